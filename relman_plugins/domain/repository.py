"""Addresses of Git repositories: which are ones at all, and which of them are used.

Patterns are compiled when used, as those of `domain.identity`.
"""

from __future__ import annotations

import re

LONGEST = 300

_HOST = r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?"
# No %: a server may take %2e%2e for a step up, and then the repository is another than the address says.
_PATH = r"(?:/[A-Za-z0-9_~+][A-Za-z0-9._~+-]*)+/?"
_REMOTE = r"[\w.+-]+@[\w.-]+:"

_ADDRESS = rf"https?://(?P<host>{_HOST}){_PATH}"
"""Over HTTP, with a host and a path; without login, query, fragment, and parts that begin with a dot."""

_NO_PLACE = rf"^-|::|://|^{_REMOTE}|[\x00-\x1f\x7f]"
"""What Git takes for something else than a directory here: other protocols, its helpers, its options."""

HTTP_PATTERN = rf"^https?://{_HOST}{_PATH}$"
"""An address only, for editors."""

PATTERN = rf"^(?:https?://{_HOST}{_PATH}|(?!-)(?!.*(?:::|://))(?!{_REMOTE})[^\x00-\x1f\x7f]*)$"
"""Either of both, for editors."""


def is_address(text: str) -> bool:
    """Say whether a text is meant for an address, usable or not, and not for a directory."""
    return bool(re.search(_NO_PLACE, text))


def refused(text: str) -> str:
    """Return why an address is not used, in words; empty for one that is, and for a directory."""
    if not is_address(text) or (len(text) <= LONGEST and re.fullmatch(_ADDRESS, text)):
        return ""
    if re.match(r"https?://[^/]*@", text):
        return "must not carry a login; name a connection: that has it"
    return "must be a directory, or an address such as https://git.example.com/shop/checkout.git"


def host_of(address: str) -> str:
    """Return the host of an address, with its port if it has one, in lower case."""
    found = re.fullmatch(_ADDRESS, address)
    if found is None:
        raise ValueError(f"no address of a repository: {address[:80]!r}")
    return found["host"].lower()

"""What looks like a secret. Specs are printed, stored and sent to Slack: they are no place for one."""

from __future__ import annotations

import re

CODE = "RM310"
"""The code of a secret in a spec; lines that hold one are never shown."""

_NAME = re.compile(
    r"(^|_)(PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|CREDENTIALS?"
    r"|API_?KEY|(PRIVATE|SECRET|ACCESS|SIGNING|ENCRYPTION|FERNET)_?KEY)$",
    re.IGNORECASE,
)
# An address with a password, a private key, and what is known by its beginning: of GitHub, Slack and AWS.
_VALUE = re.compile(
    r"://[^/\s:@]*:[^/\s@]+@|-----BEGIN [A-Z ]*PRIVATE KEY"
    r"|\b(gh[pousr]_\w{20}|xox[a-z]-[\w-]{10}|AKIA[A-Z0-9]{16})"
)


def looks_secret(name: object, value: object = None) -> bool:
    """Say whether a variable of this name would hold a secret, or this value is one."""
    named = isinstance(name, str) and _NAME.search(name) is not None
    return named or (isinstance(value, str) and _VALUE.search(value) is not None)

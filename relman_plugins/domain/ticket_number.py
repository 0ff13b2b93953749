"""What ticket systems there are, and what their tickets' numbers look like.

Apart from what a ticket says, and compiled when first used: every DAG file imports this, few ask it.
"""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

SYSTEMS = {"servicenow": "ServiceNow", "jira": "Jira"}
"""Name in specs → what people call it."""

_NUMBERS = {"servicenow": r"[A-Z]{2,10}[0-9]{4,20}", "jira": r"[A-Z][A-Z0-9_]{1,30}-[1-9][0-9]{0,9}"}
_ALONE = {name: f"(?<![A-Za-z0-9_-]){p}(?![A-Za-z0-9_-])" for name, p in _NUMBERS.items()}
_EXAMPLES = {"servicenow": "CHG0030001", "jira": "OPS-42"}
_ANY = "|".join(_NUMBERS.values())


def is_number(text: str) -> bool:
    """Say whether ``text`` may be a ticket's number in some system."""
    return re.fullmatch(_ANY, text, re.ASCII) is not None


def number_in(system: str, text: str) -> str:
    """Return the one number of ``system`` that a ticket's number or link says; empty when it says none.

    A link says it in its path or query, as in ``https://tracker.example/browse/OPS-42``.
    """
    where = urlsplit(text) if "://" in text else None
    said = unquote(f"{where.path}?{where.query}") if where else text
    found = set(re.findall(_ALONE[system], said))
    return found.pop() if len(found) == 1 else ""


def example(system: str) -> str:
    """Return what a number of a system looks like."""
    return _EXAMPLES[system]

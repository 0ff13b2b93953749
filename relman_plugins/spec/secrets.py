"""What looks like a secret. Specs are printed, stored and sent to Slack: they are no place for one."""

from __future__ import annotations

import re

CODE = "RM310"
"""The code of a secret in a spec; lines that hold one are never shown."""

_NAME = re.compile(r"(^|_)(PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY|PRIVATE_KEY|CREDENTIALS?)$", re.IGNORECASE)


def looks_secret(name: object) -> bool:
    """Say whether a variable of this name would hold a secret."""
    return isinstance(name, str) and _NAME.search(name) is not None

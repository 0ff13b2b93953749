"""Exit codes, and how a command ends with one."""

from __future__ import annotations

from enum import IntEnum

from relman_plugins import errors


class Exit(IntEnum):
    """What the exit code of every command means."""

    CLEAN = 0
    FINDINGS = 1
    """Findings, a refusal, or a release that did not succeed."""
    USAGE = 2
    ENVIRONMENT = 3
    """The server or the ledger is unreachable, or nobody is logged in."""


class Stop(Exception):
    """Ends the command with a code and one message on standard error."""

    def __init__(self, code: Exit, message: str = "") -> None:
        super().__init__(message)
        self.code = code


def code_of(error: errors.RelmanError) -> Exit:
    """Return the exit code for an error raised on purpose below the command line."""
    outside = (errors.LedgerUnavailable, errors.ClientUnavailable, errors.PlatformUnavailable)
    return Exit.ENVIRONMENT if isinstance(error, outside) else Exit.FINDINGS

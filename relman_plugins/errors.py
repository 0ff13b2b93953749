"""The exceptions that relman raises on purpose.

::

    RelmanError
    ├── SpecError            a spec has diagnostics (carried as values)
    ├── PlanError            a valid spec cannot become a plan for these options
    ├── CalendarError        a calendar, or a rule in one, that says nothing which can be followed
    ├── Refused              a rule says no: the message says which, and what to do
    │   ├── Aborted              a person ended the release
    │   ├── Held                 a person holds the release: it waits
    │   ├── Lapsed               an approval held for its time only: people are asked again
    │   ├── TooEarly             an approval or a ticket takes effect later: the step waits
    │   ├── Unlooked             a ticket's system was not asked just now: the step asks it
    │   └── Superseded           a newer release was approved for the same place
    ├── LedgerError
    │   ├── LedgerUnavailable    the database does not answer
    │   └── LedgerConflict       another writer won; nothing was written
    ├── ClientError          an outside system
    │   ├── ClientUnavailable    no answer, time-out, 5xx, 429: trying again can help
    │   └── ClientRejected       an answer that trying again will not change
    ├── BundleError          a snapshot of the specs can't be taken, or isn't there
    └── PlatformError
        ├── PlatformUnavailable  the platform does not answer
        ├── PlatformRejected     the platform refuses the desired state
        └── StaleToken           a newer fencing token was seen: this caller lost its lock

Every message says what was tried, on what, what came back and what can be done next.
"""

from __future__ import annotations

from datetime import datetime


class RelmanError(Exception):
    """Base of every error that relman raises on purpose."""


class SpecError(RelmanError):
    """A spec has diagnostics; ``diagnostics`` holds all of them, sorted by place."""

    def __init__(self, message: str, diagnostics: tuple[object, ...] = ()) -> None:
        super().__init__(message)
        self.diagnostics = diagnostics


class PlanError(RelmanError):
    """A valid spec cannot become a plan for the options given."""


class CalendarError(RelmanError):
    """A calendar, or a rule in one, that can't be followed: wrong, never-ending, or beyond its limits."""


class Refused(RelmanError):
    """A rule says no. Trying again without a change of circumstances gives the same answer."""


class Aborted(Refused):
    """A person asked to abort the release: nothing goes forward any more, as they wish."""


class Held(Refused):
    """A person holds the release. It is no answer: the same is right again after the resumption."""


class Lapsed(Refused):
    """An approval has run out (``valid_for``): it is no answer; the step waits until people are asked again.

    ``gate`` is the id of the gate, ``round`` the one that has run out.
    """

    def __init__(self, message: str, gate: str, round_: int) -> None:
        super().__init__(message)
        self.gate = gate
        self.round = round_


class TooEarly(Refused):
    """An approval, or a ticket's planned time, begins later: ``until`` (aware) is there, the step waits."""

    def __init__(self, message: str, until: datetime) -> None:
        super().__init__(message)
        self.until = until


class Unlooked(Refused):
    """What a ticket's system says is not on record, or not fresh: it is to be asked before the step acts.

    ``gate`` is the id of the ticket's step.
    """

    def __init__(self, message: str, gate: str) -> None:
        super().__init__(message)
        self.gate = gate


class Superseded(Refused):
    """A newer release of the same pipeline was approved for the same environment: this one is over."""


class BundleError(RelmanError):
    """A snapshot of the folder with DAG files and specs can't be taken, or one is not in the store."""


class LedgerError(RelmanError):
    """The ledger could not do what was asked."""


class LedgerUnavailable(LedgerError):
    """The ledger's database does not answer, or its schema is not the one this version needs."""


class LedgerConflict(LedgerError):
    """Another writer won; nothing was written."""


class ClientError(RelmanError):
    """An outside system could not be used.

    ``status`` is that of its HTTP answer, None without one; ``said`` is what it said there, in its own words;
    ``challenge`` is how it wants to be signed in to (``WWW-Authenticate``).
    """

    status: int | None = None
    said: str = ""
    challenge: str = ""


class ClientUnavailable(ClientError):
    """No answer, a time-out, 5xx or 429: trying again can help."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ClientRejected(ClientError):
    """An answer that trying again will not change."""


class PlatformError(RelmanError):
    """A platform could not observe or converge."""


class PlatformUnavailable(PlatformError):
    """The platform does not answer; trying again can help."""


class PlatformRejected(PlatformError):
    """The platform refuses the desired state; the message carries its reason."""


class StaleToken(PlatformError):
    """The platform has seen a newer fencing token: this caller no longer owns the environment."""


def recordable(error: Exception) -> str:
    """Return what may be recorded of an error and read by everybody: relman's own words, else its type.

    What a driver or a library says may quote an address with a password; it belongs into the log.
    """
    own = str(error) if isinstance(error, RelmanError) else ""
    return own or f"{type(error).__name__}; the log says more"


def unread(error: Exception) -> str:
    """Return why a connection could not be read, as far as that may be recorded.

    That there is none Airflow says in words of its own. What else a secrets backend, a parser or a driver
    says may quote the connection, and belongs into the log.
    """
    known = type(error).__name__ == "AirflowNotFoundException" or isinstance(error, RelmanError)
    return str(error) if known else f"{type(error).__name__}; the log says more"

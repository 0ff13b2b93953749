"""The way into the ledger room: open a ledger, and the types its calls take and return."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from relman_plugins.ledger.ballots import VoteResult, still
from relman_plugins.ledger.dossier import Dossier, moment_of
from relman_plugins.ledger.engine import Ledger
from relman_plugins.ledger.ephemerals import Ephemeral
from relman_plugins.ledger.freezes import Freeze, Scope, Unless
from relman_plugins.ledger.gates import GateState, Vote, debt_of, state_of
from relman_plugins.ledger.guard import check_forward, falls_short, let_past
from relman_plugins.ledger.history import Moment
from relman_plugins.ledger.locks import Busy, Lock
from relman_plugins.ledger.others import called, in_flight
from relman_plugins.ledger.outbox import Backlog, Line, Message, Thread
from relman_plugins.ledger.projections import Status
from relman_plugins.ledger.releases import ReleaseRecord
from relman_plugins.ledger.rollbacks import Asked, asked_of, last_asked
from relman_plugins.ledger.rules import planned, stuck
from relman_plugins.ledger.subject import SHOWN, differences
from relman_plugins.ledger.subject import subject_of as canonical_subject
from relman_plugins.ledger.tickets import has_begun as ticket_has_begun
from relman_plugins.ledger.tickets import last_seen, ticket_in
from relman_plugins.ledger.tickets import number_of as ticket_number
from relman_plugins.ledger.trains import Entry, TrainState
from relman_plugins.ledger.waiving import RELIEF, Waiver, left, not_needed, own_emergency, unasked, waiver
from relman_plugins.ledger.way_back import WayBack, way_back

__all__ = [
    "RELIEF",
    "SHOWN",
    "Asked",
    "Backlog",
    "Busy",
    "Dossier",
    "Entry",
    "Ephemeral",
    "Freeze",
    "GateState",
    "Ledger",
    "Line",
    "Lock",
    "Message",
    "Moment",
    "ReleaseRecord",
    "Scope",
    "Status",
    "Thread",
    "TrainState",
    "Unless",
    "Vote",
    "VoteResult",
    "Waiver",
    "WayBack",
    "asked_of",
    "called",
    "canonical_subject",
    "check_forward",
    "debt_of",
    "differences",
    "falls_short",
    "in_flight",
    "last_asked",
    "last_seen",
    "left",
    "let_past",
    "moment_of",
    "not_needed",
    "open_ledger",
    "own_emergency",
    "planned",
    "state_of",
    "still",
    "stuck",
    "ticket_has_begun",
    "ticket_in",
    "ticket_number",
    "unasked",
    "waiver",
    "way_back",
]

_open: dict[str, Ledger] = {}
_migrated: set[str] = set()


def open_ledger(url: str, migrate: bool = True, clock: Callable[[], datetime] | None = None) -> Ledger:
    """Return the ledger at ``url``: one per process, connected to lazily, safe after ``fork``.

    ``clock`` is the first caller's; None: the database's own.

    With ``migrate`` the schema is brought up to date at the first call in this process; raises
    LedgerUnavailable when that can't be done.
    """
    # setdefault is atomic; a mutex could be held by another thread at the moment of a fork.
    ledger = _open.setdefault(url, Ledger(url, clock=clock))
    if migrate and url not in _migrated:
        ledger.migrate()
        _migrated.add(url)
    return ledger

"""Delivers what the outbox holds for channels that only take letters: in order, at least once."""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from relman_plugins.errors import ClientRejected, RelmanError
from relman_plugins.ledger.api import Ledger, Line, Message
from relman_plugins.notifications.about import about
from relman_plugins.notifications.calls import LIMIT_S, TooSlow, within
from relman_plugins.notifications.letter import Letter, letter_of
from relman_plugins.notifications.limits import GIVE_UP_AFTER
from relman_plugins.notifications.outbox import (
    FAILURES_PER_DRAIN,
    FIRST_PAUSE_S,
    LEASE_S,
    LONGEST_PAUSE_S,
    UNSURE_S,
    DrainResult,
    lease_name,
    release_told,
)
from relman_plugins.notifications.text import nobody
from relman_plugins.plan.routing import Target

Send = Callable[[Letter], str]
"""Sends a letter, returns what it is called there. Raises ClientRejected for a "no" that will stay one, and
another error of relman's when trying again can help."""

_log = logging.getLogger(__name__)


def carry(
    ledger: Ledger,
    line: Line,
    send: Send,
    now: datetime | None = None,
    limit: int = 50,
    *,
    base_url: str = "",
    limit_s: float = LIMIT_S,
) -> DrainResult:
    """Deliver what is due on one line. One carrier at a time, by a lease; never raises because of ``send``.

    What takes longer than ``limit_s`` is left to itself and asked for its result later; the line goes on.

    Raises:
        LedgerUnavailable: The ledger does not answer.
    """
    holder = f"{os.uname().nodename}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
    lease, now = lease_name(line.channel, line.connection), now or datetime.now(UTC)
    if not ledger.lease(lease, holder, LEASE_S):
        return DrainResult(busy=True, pending=ledger.outbox.pending(line))
    sent = failed = given_up = unanswered = 0
    errors: dict[str, None] = {}
    blocked: set[tuple[str, str]] = set()
    try:
        for row in ledger.outbox.due(now, limit, line):
            place = (row.event.release_id, row.address)
            if place in blocked:
                continue
            if unanswered >= FAILURES_PER_DRAIN or not ledger.lease(lease, holder, LEASE_S):
                break
            ledger.outbox.failed(row.id, "being sent", now + timedelta(seconds=UNSURE_S))
            try:
                name = _send(ledger, row, send, base_url, limit_s)
            except RelmanError as error:
                said = _without_secrets(str(error))
                errors[said] = None
                _log.warning("%s %s was not told: %s", line.channel, row.address, said)
                if isinstance(error, ClientRejected) and row.attempts >= GIVE_UP_AFTER:
                    ledger.outbox.failed(row.id, said, None)
                    given_up += 1
                    continue
                pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(row.attempts // 2, 10))
                ledger.outbox.failed(row.id, said, now + timedelta(seconds=pause))
                blocked.add(place)
                failed += 1
                # Asking for the result of an earlier call costs no time, so it is no reason to stop here.
                unanswered += not isinstance(error, TooSlow) or error.waited
            else:
                ledger.outbox.sent(row.id, name[:200])
                sent += 1
        return DrainResult(
            sent=sent,
            failed=failed,
            given_up=given_up,
            pending=ledger.outbox.pending(line),
            errors=tuple(errors),
        )
    finally:
        ledger.end_lease(lease, holder)


def _send(ledger: Ledger, row: Message, send: Send, base_url: str, limit_s: float) -> str:
    release = release_told(ledger, row.event.release_id)
    target = Target(row.channel, row.connection, row.address)
    known = about(ledger, release, row.event, target, base_url)
    letter = letter_of(release, row.event, known, row.address, row.connection) if known is not None else None
    if letter is None:
        return ""
    return within(ledger, Line(row.channel, row.connection), row.id, lambda: send(letter), limit_s)


def _without_secrets(text: str) -> str:
    """Return an error as everybody may read it: libraries and servers write tokens and people into theirs."""
    from airflow.sdk.log import redact  # type: ignore[attr-defined]

    return nobody(str(redact(text)))

"""Which questions in Slack an event has answered or overtaken, and what they say from then on.

A message that asks must not go on asking: its buttons vanish, and it says what became of the question and
who decided, wherever that was done. The outbox carries it out before the event counts as told, so that a
killed process does it again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from relman_plugins.domain.event import Event, Kind
from relman_plugins.notifications.about import ASKING, asking
from relman_plugins.notifications.blocks import Message
from relman_plugins.notifications.thread import thread_message
from relman_plugins.plan.routing import Target

if TYPE_CHECKING:
    from relman_plugins.ledger.api import Ledger, ReleaseRecord

ANSWERS = (
    Kind.GATE_VOTED,
    Kind.GATE_VOTE_WITHDRAWN,
    Kind.GATE_ESCALATED,
    Kind.GATE_DECIDED,
    Kind.GATE_OPENED,
    Kind.RELEASE_CLOSED,
)
"""Events after which earlier questions say something else."""


class Rewritten(NamedTuple):
    """A message in Slack, and what it says now."""

    ts: str
    told: Message


def rewritten(
    ledger: Ledger, release: ReleaseRecord, event: Event, target: Target, base_url: str, *, buttons: bool
) -> Iterator[Rewritten]:
    """Yield the questions in one place that an event changes. Idempotent: they say how things stand now.

    Raises:
        LedgerUnavailable: The ledger does not answer.
    """
    if event.kind not in ANSWERS or (event.kind is Kind.GATE_OPENED and event.data.get("round") == 1):
        return
    asked = [a for a in ledger.outbox.told(event.release_id, target, ASKING) if a.event.id < event.id]
    if event.kind is not Kind.RELEASE_CLOSED:
        asked = [a for a in asked if a.event.step == event.step]
    decided = {_round(e) for e in ledger.events(event.release_id, kinds=[Kind.GATE_DECIDED])}
    overtakes = event.kind in (Kind.GATE_OPENED, Kind.RELEASE_CLOSED)
    for one in asked:
        if _round(one.event) == _round(event) or (overtakes and _round(one.event) not in decided):
            known = asking(ledger, release, one.event, base_url, buttons=buttons)
            told = thread_message(one.event, known)
            if told is not None:
                yield Rewritten(one.ts, told)


def _round(event: Event) -> tuple[str | None, int]:
    return event.step, int(event.data.get("round", 1))

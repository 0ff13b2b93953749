"""Exceptions: people let a step past what is closed for everybody else.

Whether there may be any, says whoever closes it; who may make them, the owner of the environment. The
question is about just what was shown and just what would ship: what is closed later is asked about anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relman_plugins.domain.event import Kind
    from relman_plugins.ledger.api import GateState
    from relman_plugins.steps.run import StepRun

STANDS_S = 366 * 86_400.0
"""How long the question stands: as long as the release waits. The opening ends it."""


def let_past(run: StepRun, past: Sequence[int | str], kind: Kind, told: Sequence[str], **about: Any) -> str:
    """Record that people have let the step past all of this; return it in words, nothing if they have not.

    Args:
        run: the step.
        past: ids of freezes, or what a closed window says.
        kind: of the event.
        told: the same in words.
        about: what else the event says.
    """
    from relman_plugins.ledger.api import let_past as by_the_plan

    gate = by_the_plan(run.ledger, run.release, run.step, past, run.ledger.now())
    if gate is None:
        return ""
    by = ", ".join(v.name or v.person for v in gate.votes)
    message = f"goes past what is closed, as {by} approved: {'; '.join(told)}"
    data = {"message": message, "gate": gate.gate, "round": gate.round, **about}
    data["approved_by"] = [v.person for v in gate.votes]
    run.record(kind, f"passed:{gate.gate}:{gate.round}", data)
    return message


def ask(run: StepRun, name: str, past: Sequence[int | str], told: Sequence[str]) -> str:
    """Return the gate at which people are asked to let the step past just this; empty if none is, or not now.

    Someone's no stands for as long as the release is in this stage. Idempotent.
    """
    asks = run.shape.exception(run.step.stage, name)
    if asks is None:
        return ""
    from relman_plugins.ledger.api import SHOWN, canonical_subject, planned

    events = run.events(*SHOWN)
    subject = canonical_subject(run.release, asks, events)
    there = run.ledger.votes.gate(run.release_id, asks.id)
    if there is not None and _covers(there, past, subject):
        return asks.id  # a part of it is over: what was said so far is about the rest, too
    panel = planned(run.release, asks, events)
    gate = run.ledger.votes.open_gate(
        run.release_id,
        asks.id,
        subject=subject | {"step": asks.id, "past": list(past), "closed": list(told)},
        people=panel.people,
        quorum=panel.needed,
        rules=panel.rules,
        own=panel.own,
        timeout_s=STANDS_S,
        on_timeout="expire",
        asker=run.step.id,
    )
    return asks.id if gate.state == "open" else ""


def lay_down(run: StepRun, name: str) -> None:
    """End the question that nobody has to answer any more, if there is one."""
    asks = run.shape.exception(run.step.stage, name)
    if asks is not None:
        run.ledger.freezes.lay_down(run.release_id, asks.id)


def _covers(gate: GateState, past: Sequence[int | str], subject: dict[str, Any]) -> bool:
    same = all(gate.subject.get(name) == value for name, value in subject.items())
    return gate.state == "open" and same and set(past) <= set(gate.subject.get("past") or ())

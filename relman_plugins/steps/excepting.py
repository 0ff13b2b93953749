"""Exceptions: people let a step past what is closed for everybody else.

Whether there may be any, says whoever closes it; who may make them, the owner of the environment. The
question is about just what was shown and just what would ship: what is closed later is asked about anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from relman_plugins.domain.base import digest_of

if TYPE_CHECKING:
    from relman_plugins.domain.event import Kind
    from relman_plugins.ledger.api import GateState
    from relman_plugins.steps.run import StepRun

STANDS_S = 366 * 86_400.0
"""How long the question stands: as long as the release waits. The opening ends it."""


def allowed(run: StepRun, name: str) -> GateState | None:
    """Return the gate (of ``EXCEPTIONS``) at which people have let the step past what it names."""
    from relman_plugins.ledger.api import let_past

    return let_past(run.ledger, run.release, run.step, name, run.ledger.now())


def tell(run: StepRun, gate: GateState, kind: Kind, told: Sequence[str], **about: Any) -> str:
    """Record that the step goes past what people have let it past; return it in words.

    Args:
        run: the step.
        gate: where they have.
        kind: of the event.
        told: what is gone past, in words.
        about: what else the event says.
    """
    by = ", ".join(v.name or v.person for v in gate.votes)
    message = f"goes past what is closed, as {by} approved: {'; '.join(told)}"
    data = {"message": message, "gate": gate.gate, "round": gate.round, **about}
    data["approved_by"] = [v.person for v in gate.votes]
    run.record(kind, f"passed:{gate.gate}:{gate.round}:{digest_of(list(told))[7:23]}", data)
    return message


def ask(run: StepRun, name: str, past: Sequence[int | str], told: Sequence[str]) -> str:
    """Return the gate at which people are asked to let the step past just this; empty if none is, or not now.

    The last of them may have answered since the step looked: then it is the gate, too, so that whoever waits
    for its decision has it at once. Someone's no stands for as long as the release is in this stage.
    Idempotent.
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
    if gate.state == "open":
        return asks.id
    answered = allowed(run, name)
    return asks.id if answered is not None and set(past) <= answered.past else ""


def lay_down(run: StepRun, name: str) -> None:
    """End the question that nobody has to answer any more, if there is one."""
    asks = run.shape.exception(run.step.stage, name)
    if asks is not None:
        run.ledger.freezes.lay_down(run.release_id, asks.id)


def _covers(gate: GateState, past: Sequence[int | str], subject: dict[str, Any]) -> bool:
    same = all(gate.subject.get(name) == value for name, value in subject.items())
    return gate.state == "open" and same and set(past) <= gate.past

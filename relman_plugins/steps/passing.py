"""Gates that were passed in Airflow and not in the ledger."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.plan.model import Step, StepKind

if TYPE_CHECKING:
    from relman_plugins.ledger.api import GateState, Ledger, ReleaseRecord

_ANSWERED = (StepKind.APPROVAL, StepKind.CHECKLIST)


def may_be_passed_by(step: Step, gate: GateState | None) -> bool:
    """Say whether a step decides about going on, so that marking it in Airflow passes a decision by.

    So do tickets, approvals, checklists and windows, a comparison that may stop the release, and any other
    step that has asked people (``gate``: what the ledger has under its name).
    """
    if step.kind is StepKind.PARITY:
        return gate is not None or step.args["on_difference"] != "show"
    return gate is not None or step.kind in (*_ANSWERED, StepKind.TICKET, StepKind.WINDOW)


def is_bypassed(step: Step, gate: GateState | None, *, ended: bool, unasked: bool = False) -> bool:
    """Say whether a step that Airflow takes for passed was passed by, nobody having decided.

    ``ended`` says whether its end is recorded: of what only people decide that proves nothing. ``unasked``
    says whether it is on record that no rule of it must be met.
    """
    if unasked and ended:
        return False
    if not may_be_passed_by(step, gate) or (gate is not None and gate.state == "approved"):
        return False
    if gate is not None and gate.renews is not None and gate.asker != step.id:
        # It was approved once, and another step asks again.
        return False
    return step.kind in _ANSWERED or not ended


def bypass(gate: str) -> dict[str, Any]:
    """Return what the event ``gate.bypassed`` says."""
    return {
        "gate": gate,
        "message": f"gate {gate} was passed in Airflow without a decision in the ledger",
    }


def tell_bypasses(
    ledger: Ledger, release: ReleaseRecord, succeeded: Callable[[list[str]], set[str]]
) -> list[str]:
    """Record which gates of a release Airflow shows as passed though nobody decided; return it in words.

    Idempotent. ``succeeded`` returns which of these tasks Airflow shows as successful; it is asked only while
    something is undecided.
    """
    if release.plan.options.dry_run:
        return []
    undecided = _would_be_bypassed(ledger, release)
    green = succeeded(undecided) if undecided else set()
    # Once more after Airflow was asked: a step records its end before it is green there.
    passed = sorted(green.intersection(_would_be_bypassed(ledger, release))) if green else []
    done = []
    for gate in passed:
        key, told = f"{release.release_id}:{gate}:bypassed:{gate}", bypass(gate)
        event = NewEvent(kind=Kind.GATE_BYPASSED, key=key, step=gate, data=told)
        if ledger.record(release.release_id, event) is not None:
            done.append(f"{release.release_id}: {told['message']}")
    return done


def _would_be_bypassed(ledger: Ledger, release: ReleaseRecord) -> list[str]:
    """Return the steps that were passed by if Airflow shows them as successful."""
    from relman_plugins.ledger.api import RELIEF, unasked

    asked = {g.gate: g for g in ledger.votes.gates(release.release_id)}
    ends = {e.step for e in ledger.events(release.release_id, kinds=[Kind.STEP_FINISHED])}
    relief = ledger.events(release.release_id, kinds=RELIEF)
    told = {e.data["gate"] for e in ledger.events(release.release_id, kinds=[Kind.GATE_BYPASSED])}
    return [
        s.id
        for s in release.plan.shape.steps
        if s.id not in told
        and is_bypassed(s, asked.get(s.id), ended=s.id in ends, unasked=unasked(release, s, relief))
    ]

"""Gates that were passed in Airflow and not in the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relman_plugins.plan.model import Step, StepKind

if TYPE_CHECKING:
    from relman_plugins.ledger.api import GateState

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

"""The rules that a gate is opened with: the plan's, and whose own release it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relman_plugins.domain.event import Kind

if TYPE_CHECKING:
    from relman_plugins.steps.run import StepRun


def ruled(run: StepRun) -> dict[str, Any]:
    """Return the rules of a step's gate for ``open_gate``; nothing for gates without any of their own."""
    if not run.step.args.get("rules"):
        return {}
    from relman_plugins.ledger.api import planned

    panel = planned(run.release, run.step, run.events(Kind.CHANGE_ASSESSED))
    return {"rules": panel.rules, "own": panel.own}

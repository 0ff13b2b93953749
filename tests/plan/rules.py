"""Airflow's trigger rules, as far as plans use them; the factory's tests hold them to the real ones."""

from __future__ import annotations

from relman_plugins.plan.model import Shape, Step, StepKind


def settle(shape: Shape, failed: str = "", running: str = "") -> dict[str, str]:
    """Play Airflow's trigger rules: one step fails, one never ends, all others succeed when they may."""
    state: dict[str, str] = {}

    def next_state(step: Step) -> str | None:
        seen = [state.get(n) for n in step.needs]
        bad = any(s in ("failed", "upstream_failed") for s in seen)
        done = all(s is not None and s != "running" for s in seen)
        if step.kind is StepKind.ROLLBACK:
            ready = bad or (None if not done else False)
            if ready is not True:
                return "skipped" if ready is False else None
        elif step.kind in (StepKind.TEARDOWN, StepKind.CLOSE):
            if not done:
                return None
            setup = "open" if step.kind is StepKind.CLOSE else f"{step.stage}.provision"
            if state[setup] != "success":
                return "upstream_failed"
        elif bad:
            return "upstream_failed"
        elif not done:
            return None
        return {failed: "failed", running: "running"}.get(step.id, "success")

    moved = True
    while moved:
        moved = False
        for step in shape.steps:
            if step.id not in state and (new := next_state(step)):
                state[step.id], moved = new, True
    return state

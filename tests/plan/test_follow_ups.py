"""Follow-ups in the plan: after the end, and nothing waits for them."""

from __future__ import annotations

from pathlib import Path

from relman_plugins.plan.compile import compile_shape
from relman_plugins.plan.model import Options, StepKind
from relman_plugins.plan.options import plan_release
from relman_plugins.plan.text import render_mermaid, render_text
from relman_plugins.plan.times import minimum_time
from relman_plugins.spec.api import load_pipeline

SPECS = Path(__file__).parents[1] / "spec" / "ok"


def test_they_are_asked_for_after_the_end_and_cost_no_time() -> None:
    loaded = load_pipeline(SPECS / "follow-ups.yaml")
    assert loaded.documents
    shape = compile_shape(loaded.documents)
    last = shape.steps[-1]
    assert (last.kind, last.needs, last.gates, last.changes) == (StepKind.FOLLOW_UP, ("close",), (), False)
    assert minimum_time(shape) == 0
    text = render_text(plan_release(shape, Options(version="1")))
    asks = (
        "asks 1 of managers (alice, bob, carol) for follow-ups after rolled_back, failed; after 2d: none. "
        "Nothing waits for it"
    )
    assert asks in text
    assert text.index("\nclose ") < text.index("\nfollow_up ") < text.index("minimum time")
    assert '(["follow_up"])' in render_mermaid(shape)


def test_without_outcomes_every_one_is_asked_about() -> None:
    loaded = load_pipeline(SPECS / "follow-ups-policy.yaml")
    assert loaded.documents
    text = render_text(plan_release(compile_shape(loaded.documents), Options(version="1")))
    assert "for follow-ups; after 1d: none" in text

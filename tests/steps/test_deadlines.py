"""Releases and stages that take longer than their pipeline says: told once, in Slack and in the status."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from relman_plugins.domain.event import Kind
from relman_plugins.ledger.api import Ledger
from relman_plugins.plan.model import Shape, StepKind
from relman_plugins.steps.housekeeping import Housekeeper
from tests.ledger.make import Clock
from tests.reports.noon import NOON, clock, ledger
from tests.reports.test_expected import GATE, approve, before_the_gate, done, opened, tell
from tests.steps import world as worlds
from tests.steps.test_housekeeping import Runs

__all__ = ["clock", "ledger"]


@pytest.fixture
def shape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shape:
    spec = worlds.SPECS["checkout.yaml"]
    spec = spec.replace("stages:\n", "deadline: 6h\nnotify: {slack: '#checkout'}\nstages:\n")
    spec = spec.replace("  - environment: production\n", "  - environment: production\n    deadline: 2h\n")
    monkeypatch.setitem(worlds.SPECS, "checkout.yaml", spec)
    return worlds.shape_in(tmp_path / "specs" / "release_specs")


def told(ledger: Ledger) -> list[str]:
    return Housekeeper(ledger, Runs()).tell_late()


def test_a_stage_and_the_release_are_told_of_once_and_shown_to_the_end(
    ledger: Ledger, clock: Clock, shape: Shape
) -> None:
    assert shape.deadlines == {"": 21_600.0, "production": 7_200.0}
    record = before_the_gate(ledger, clock, shape, NOON)
    clock.forward(7_190)
    assert told(ledger) == []
    clock.forward(20)
    (said,) = told(ledger)
    assert said.startswith(
        "checkout-1.1.0-1: stage production should have been done after 2h; what is left: "
    )
    assert "production.approval, production.canary_50" in said
    assert told(ledger) == []
    clock.forward(5 * 3600)
    (said,) = told(ledger)
    assert "the release should have been done after 6h" in said
    status = ledger.status(record.release_id)
    assert [one.stage for one in status.overdue] == ["production", ""]
    assert status.overdue[1].due_at == NOON + timedelta(hours=6)
    waiting = [m.event.kind for m in ledger.outbox.due(clock.now, 50)]
    assert waiting.count(Kind.RELEASE_OVERDUE) == 2, "for Slack, each once"
    tell(ledger, record, Kind.RELEASE_CLOSED, None, outcome="succeeded", reason="")
    assert ledger.status(record.release_id).overdue == ()
    assert told(ledger) == []


def test_what_is_done_in_time_or_was_never_begun_is_not_told(
    ledger: Ledger, clock: Clock, shape: Shape
) -> None:
    record = opened(ledger, shape)
    clock.forward(4 * 3600)
    assert told(ledger) == [], "it has not come to production"
    steps = [s.id for s in shape.steps if s.id not in ("close", "production.rollback")]
    done(ledger, clock, record, *steps, seconds=1)
    clock.forward(3600)
    assert told(ledger) == []


def test_a_stage_is_done_without_its_way_back_and_with_a_gate_that_somebody_marked(
    ledger: Ledger, clock: Clock, shape: Shape
) -> None:
    """What was never needed is not left, and an approval counts though its task recorded no end."""
    record = before_the_gate(ledger, clock, shape, NOON)
    approve(ledger, record)
    mine = [s.id for s in shape.steps if s.stage == "production" and s.kind is not StepKind.ROLLBACK]
    done(ledger, clock, record, *(id_ for id_ in mine if id_ != GATE), seconds=1)
    clock.forward(3 * 3600)
    assert told(ledger) == []
    clock.forward(4 * 3600)
    assert told(ledger) == ["checkout-1.1.0-1: the release should have been done after 6h"]


def test_a_dry_run_and_a_pipeline_without_deadlines_are_left_alone(
    ledger: Ledger, clock: Clock, shape: Shape
) -> None:
    opened(ledger, shape, "dry", dry_run=True)
    opened(ledger, shape.model_copy(update={"deadlines": {}, "pipeline": "other"}), "other")
    clock.forward(100 * 3600)
    assert told(ledger) == []

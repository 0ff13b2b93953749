"""Forecasts of releases in a ledger."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from relman_plugins.cli.words import expected as written
from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.domain.identity import Actor
from relman_plugins.domain.status import Decision
from relman_plugins.ledger.api import SHOWN, Ledger, ReleaseRecord, canonical_subject, planned
from relman_plugins.plan.model import Options, ReleasePlan, Shape
from relman_plugins.reports.expected import expected
from tests.ledger.make import Clock
from tests.reports.noon import NOON, clock, ledger, window_by_day
from tests.steps import world as worlds

__all__ = ["clock", "ledger"]

DANA = Actor(kind="person", id="dana", name="Dana", via="cli")
GATE = "production.approval"


@pytest.fixture
def shape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Shape:
    window_by_day(monkeypatch, getattr(request, "param", ""))
    return worlds.shape_in(tmp_path / "specs" / "release_specs")


def opened(ledger: Ledger, shape: Shape, run_id: str = "run-1", **options: Any) -> ReleaseRecord:
    return ledger.open_release(
        plan=ReleasePlan(shape=shape, options=Options(version="1.1.0", **options)),
        dag_id="release__checkout",
        run_id=run_id,
        started_by=DANA,
        conf={},
    )


def tell(ledger: Ledger, record: ReleaseRecord, kind: Kind, step: str | None, **data: Any) -> None:
    key = f"{record.release_id}:{step}:{kind}:{data.get('key', '')}"
    at = ledger.now()
    ledger.record(record.release_id, NewEvent(kind=kind, key=key, step=step, actor=DANA, data=data, at=at))


def done(ledger: Ledger, clock: Clock, record: ReleaseRecord, *steps: str, seconds: float = 60) -> None:
    for step in steps:
        clock.forward(seconds)
        tell(ledger, record, Kind.STEP_FINISHED, step, message="done")


def approve(ledger: Ledger, record: ReleaseRecord, gate: str = GATE, **more: Any) -> None:
    """Ask, and let Alice approve; the task of the gate records no end."""
    step, events = record.plan.shape.step(gate), ledger.events(record.release_id, kinds=SHOWN)
    panel = planned(record, step, events)
    ledger.votes.open_gate(
        record.release_id,
        gate,
        subject=canonical_subject(record, step, events) | {"step": gate} | more,
        people=panel.people,
        quorum=panel.needed,
        rules=panel.rules,
        timeout_s=600,
        on_timeout="expire",
    )
    vote = {"airflow_user": "alice", "decision": Decision.APPROVE, "via": "cli"}
    assert ledger.votes.cast(record.release_id, gate, **vote).accepted


def history(ledger: Ledger, clock: Clock, shape: Shape, count: int = 5) -> None:
    """Let releases take a minute for each step, and an hour for the approval."""
    for n in range(count):
        record = opened(ledger, shape, f"earlier-{n}")
        for step in (s.id for s in shape.steps):
            done(ledger, clock, record, step, seconds=3600 if step == GATE else 60)
        tell(ledger, record, Kind.RELEASE_CLOSED, None, outcome="succeeded", reason="")
    clock.now = NOON + timedelta(days=3)


def before_the_gate(ledger: Ledger, clock: Clock, shape: Shape, at: datetime) -> ReleaseRecord:
    clock.now = at
    record = opened(ledger, shape)
    done(ledger, clock, record, "open", "build", "staging.deploy", "staging.one", "staging.two", seconds=1)
    return record


def test_it_rests_on_the_history_and_says_what_it_waits_for(
    ledger: Ledger, clock: Clock, shape: Shape
) -> None:
    history(ledger, clock, shape)
    record = before_the_gate(ledger, clock, shape, NOON + timedelta(days=3))
    found = expected(ledger, record, 0.01)
    assert found.says == ()
    assert found.forecast is not None
    assert found.forecast.releases == 5
    assert found.forecast.guessed == ()
    assert found.forecast.critical[0].step == GATE
    assert timedelta(minutes=50) < found.forecast.p50 - clock.now < timedelta(minutes=90)
    lines = written(found.model_dump(mode="json"))
    assert lines[0].startswith("done about 2026-11-29 1")
    assert lines[-2].startswith(f"longest wait: {GATE}, ")
    assert lines[-1] == "from 5 earlier releases"


def test_an_answer_that_will_miss_the_closing_is_told_with_whom_to_ask(
    ledger: Ledger, clock: Clock, shape: Shape
) -> None:
    history(ledger, clock, shape)
    record = before_the_gate(ledger, clock, shape, NOON + timedelta(days=3, hours=5, minutes=30))
    ledger.votes.open_gate(
        record.release_id,
        GATE,
        subject={"version": "1.1.0"},
        people=record.plan.people(GATE),
        quorum=1,
        timeout_s=86_400,
        on_timeout="reject",
    )
    found = expected(ledger, record, 0.01)
    assert found.says == (
        "at this pace the approval at production.approval will miss the closing of production at "
        "Sun 2026-11-29 18:00 UTC: ask Alice or Bob now",
    )
    assert found.forecast is not None
    assert found.forecast.p50 > NOON + timedelta(days=3, hours=20), "it waits for the next day"
    assert written(found.model_dump(mode="json"))[0] == found.says[0]


def test_an_emergency_does_not_wait_for_the_window(ledger: Ledger, clock: Clock, shape: Shape) -> None:
    clock.now = NOON + timedelta(hours=9)
    record = opened(ledger, shape, emergency=True, emergency_reason="fire")
    done(ledger, clock, record, *(s.id for s in shape.steps[:6]), seconds=1)
    found = expected(ledger, record, 0.01)
    assert found.forecast is not None
    assert found.forecast.p50 < NOON + timedelta(hours=12)


def test_without_a_history_it_is_the_plan_alone(ledger: Ledger, clock: Clock, shape: Shape) -> None:
    record = before_the_gate(ledger, clock, shape, NOON)
    found = expected(ledger, record, 0.01)
    assert found.forecast is not None
    assert GATE in found.forecast.guessed
    assert written(found.model_dump(mode="json"))[-1] == "from the plan alone"


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (Kind.RELEASE_HELD, "it is held by Dana"),
        (Kind.ABORT_REQUESTED, "it is being aborted"),
        (Kind.RELEASE_CLOSED, "the release has ended"),
    ],
)
def test_what_does_not_go_on_has_no_forecast_and_it_is_said_why(
    ledger: Ledger, clock: Clock, shape: Shape, kind: Kind, why: str
) -> None:
    record = before_the_gate(ledger, clock, shape, NOON)
    data = {"outcome": "failed"} if kind is Kind.RELEASE_CLOSED else {}
    tell(ledger, record, kind, None, reason="because", **data)
    assert expected(ledger, record, 0.01).why_not == why


def test_a_failed_step_ends_the_forecast(ledger: Ledger, clock: Clock, shape: Shape) -> None:
    clock.now = NOON
    record = opened(ledger, shape)
    done(ledger, clock, record, "open")
    tell(ledger, record, Kind.STEP_FAILED, "build", message="red", final=True)
    assert expected(ledger, record, 0.01).why_not == "build has failed: red"


def test_a_freeze_is_waited_for_until_its_end_and_one_without_end_is_said(
    ledger: Ledger, clock: Clock, shape: Shape
) -> None:
    record = before_the_gate(ledger, clock, shape, NOON)
    about = {"environment": "production", "pipeline": "", "reason": "incident", "actor": DANA}
    ledger.freezes.freeze(**about, until=NOON + timedelta(days=2))
    found = expected(ledger, record, 0.01)
    assert found.forecast is not None
    assert found.forecast.p05 > NOON + timedelta(days=2)
    ledger.freezes.freeze(**about, until=None)
    why = expected(ledger, record, 0.01).why_not
    assert why.startswith("it will wait for a thaw: everything in production"), "the approval comes first"
    done(ledger, clock, record, GATE, "production.window", seconds=1)
    assert expected(ledger, record, 0.01).why_not.startswith("it waits for a thaw: everything in production")


@pytest.fixture
def frozen(ledger: Ledger, clock: Clock, shape: Shape) -> ReleaseRecord:
    """A release that has come to a freeze without an end, which leaves room for exceptions."""
    record = before_the_gate(ledger, clock, shape, NOON)
    done(ledger, clock, record, GATE, "production.window", seconds=1)
    about = {"environment": "production", "pipeline": "", "reason": "incident", "actor": DANA}
    ledger.freezes.freeze(**about, until=None, unless="approved")
    return record


def test_what_has_begun_waits_for_no_thaw_before_it_makes_the_new_version_the_stable_one(
    ledger: Ledger, clock: Clock, frozen: ReleaseRecord
) -> None:
    tell(ledger, frozen, Kind.CHANGE_STARTED, "production.canary_50")
    done(ledger, clock, frozen, "production.canary_50")
    assert expected(ledger, frozen, 0.01).why_not.startswith("it waits for a thaw")
    tell(ledger, frozen, Kind.CHANGE_STARTED, "production.canary_100")
    assert expected(ledger, frozen, 0.01).why_not.startswith("it will wait for a thaw"), "of the monitor"
    done(ledger, clock, frozen, "production.canary_100")
    tell(ledger, frozen, Kind.CHANGE_STARTED, "production.monitor", promoted=True)
    found = expected(ledger, frozen, 0.01)
    assert found.forecast is not None, found.why_not


@pytest.mark.parametrize("shape", ["exceptions: {approval: managers}\n"], indirect=True)
def test_what_people_let_past_a_freeze_waits_for_no_thaw(ledger: Ledger, frozen: ReleaseRecord) -> None:
    (freeze,) = ledger.freezes.on()
    assert expected(ledger, frozen, 0.01).why_not.startswith("it waits for a thaw")
    revision = {"version": "1.1.0", "digest": f"sha256:{'a' * 64}", "uri": "file:///1.1.0"}
    tell(ledger, frozen, Kind.ARTIFACT_BUILT, "build", revision=revision)
    approve(ledger, frozen, "production.freeze_exception", past=[freeze.id])
    found = expected(ledger, frozen, 0.01)
    assert found.forecast is not None, found.why_not


def test_what_earlier_releases_waited_for_their_windows_is_not_waited_for_again(
    ledger: Ledger, clock: Clock, shape: Shape
) -> None:
    for n in range(5):
        record = opened(ledger, shape, f"earlier-{n}")
        for step in (s.id for s in shape.steps):
            done(ledger, clock, record, step, seconds=14 * 3600 if step == "production.window" else 1)
        tell(ledger, record, Kind.RELEASE_CLOSED, None, outcome="succeeded", reason="")
    clock.now = NOON + timedelta(days=5)
    record = opened(ledger, shape)
    found = expected(ledger, record, 0.01).forecast
    assert found is not None
    assert found.p90 < clock.now + timedelta(hours=1), "it is open until six in the evening"


def test_an_approval_counts_though_somebody_marked_its_task(
    ledger: Ledger, clock: Clock, shape: Shape
) -> None:
    history(ledger, clock, shape)
    record = before_the_gate(ledger, clock, shape, clock.now)
    approve(ledger, record)
    found = expected(ledger, record, 0.01).forecast
    assert found is not None
    assert GATE not in [one.step for one in found.critical]

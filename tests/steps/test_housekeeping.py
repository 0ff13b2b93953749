"""What happens to releases whose tasks do not run any more, and to the locks of those that do."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from relman_plugins.domain.event import Kind
from relman_plugins.domain.identity import Actor
from relman_plugins.plan.model import Options, ReleasePlan
from relman_plugins.steps import housekeeping
from relman_plugins.steps.housekeeping import Housekeeper
from tests.ledger.make import make_shape
from tests.steps.world import Release, World

FIRST = "production.canary_50"
PERSON = Actor(kind="person", id="bob", name="Bob", via="cli")


@dataclass
class Runs:
    """What Airflow would say."""

    over: set[str] = field(default_factory=set)
    broken: bool = False
    green: set[str] = field(default_factory=set)
    busy: set[str] = field(default_factory=set)

    def exists(self, dag_id: str, run_id: str) -> bool:
        if self.broken:
            raise RuntimeError("Airflow's API server is away")
        return True

    def ended(self, dag_id: str, run_id: str) -> bool:
        return run_id in self.over

    def working(self, dag_id: str, run_id: str) -> bool:
        return run_id in self.busy

    def succeeded(self, dag_id: str, run_id: str, task_ids: list[str]) -> set[str]:
        return self.green & set(task_ids)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "GRACE", timedelta(0))


@pytest.fixture
def release(world: World) -> Release:
    world.live("1.0.0")
    found = world.open().approved()
    found.run(FIRST)
    return found


def test_a_lock_does_not_expire_under_a_release_that_goes_on(release: Release) -> None:
    ledger = release.world.ledger
    lock = ledger.locks.held()[0]
    Housekeeper(ledger, Runs()).round()
    assert ledger.locks.held() == [lock]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(housekeeping, "STEP_LOCK_TTL_S", 3 * 24 * 3600.0)
        Housekeeper(ledger, Runs()).round()
    assert ledger.locks.held()[0].expires_at > datetime.now(UTC) + timedelta(days=2)
    assert ledger.locks.held()[0].token == lock.token


def test_an_orphan_is_taken_back_and_ended(release: Release) -> None:
    Housekeeper(release.world.ledger, Runs({"run-1"})).round()
    assert release.world.weights() == {"1.0.0": 100}
    assert release.events(Kind.RELEASE_CLOSED)[0].data["outcome"] == "failed"
    assert release.world.ledger.locks.held() == []


def test_an_orphan_does_not_undo_what_a_later_release_did(release: Release) -> None:
    world = release.world
    world.ledger.locks.break_lock("production", "checkout", actor=PERSON, reason="urgent")
    other = world.open("1.3.0", "run-2").approved()
    other.run(FIRST)
    world.ledger.locks.release("production", "checkout", other.id)
    Housekeeper(world.ledger, Runs({"run-1"})).round()
    assert world.weights() == {"1.0.0": 50, "1.3.0": 50}
    assert release.events(Kind.RELEASE_CLOSED)
    assert world.ledger.locks.held() == []


def test_an_environment_out_of_reach_does_not_keep_other_releases_from_their_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.live("1.0.0")
    older = world.open("1.3.0", "run-0")
    stuck = world.open().approved()
    stuck.run(FIRST)
    assert [r.release_id for r in world.ledger.releases(active=True)] == [stuck.id, older.id]
    with monkeypatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_RELMAN_SANDBOX", "relman-sandbox://127.0.0.1:1")
        Housekeeper(world.ledger, Runs({"run-0", "run-1"})).round()
    assert older.events(Kind.RELEASE_CLOSED)
    assert not stuck.events(Kind.RELEASE_CLOSED)
    Housekeeper(world.ledger, Runs({"run-0", "run-1"})).round()
    assert stuck.events(Kind.RELEASE_CLOSED)
    assert world.weights() == {"1.0.0": 100}


def test_an_error_of_airflow_does_not_stop_the_other_parts(release: Release) -> None:
    world = release.world
    world.ledger.locks.break_lock("production", "checkout", actor=PERSON, reason="so")
    assert world.ledger.locks.acquire("staging", "checkout", release.id, 0)
    done = Housekeeper(world.ledger, Runs(broken=True)).round()
    assert any("expired" in line for line in done)


def test_a_run_that_goes_on_is_left_alone(release: Release) -> None:
    Housekeeper(release.world.ledger, Runs()).round()
    assert release.world.weights() == {"1.0.0": 50, "1.1.0": 50}


def test_a_gate_that_waits_long_reminds_once(world: World) -> None:
    waiting = world.open().at_the_gate()
    gate = "production.approval"
    world.ledger.votes.open_gate(
        waiting.id,
        gate,
        subject={"version": "1.1.0"},
        people=waiting.record.plan.people(gate),
        quorum=1,
        timeout_s=24 * 3600,
        on_timeout="reject",
        remind_s=3600,
        at=datetime.now(UTC) - timedelta(hours=2),
    )
    said = [line for line in Housekeeper(world.ledger, Runs()).round() if "reminded" in line]
    assert len(said) == 1
    assert [e.data["n"] for e in waiting.events(Kind.GATE_REMINDED)] == [2]
    assert not [line for line in Housekeeper(world.ledger, Runs()).round() if "reminded" in line]


def test_what_could_not_be_told_for_a_week_is_given_up_and_said(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.ledger.open_release(
        plan=ReleasePlan(shape=make_shape(), options=Options(version="1.0.0")),
        dag_id="release__checkout",
        run_id="run-told",
        started_by=PERSON,
        conf={},
    )
    outbox = world.ledger.outbox
    message = outbox.due()[0]
    for _ in range(housekeeping.GIVE_UP_AFTER):
        outbox.failed(message.id, 'no notifier "pager"', datetime.now(UTC))
    assert not [line for line in Housekeeper(world.ledger, Runs()).round() if "given up" in line]
    monkeypatch.setattr(housekeeping, "GIVE_UP_AGE", timedelta(0))
    (said,) = [line for line in Housekeeper(world.ledger, Runs()).round() if "given up" in line]
    assert said.startswith("1 messages to slack are given up")
    assert said.endswith('no notifier "pager"')
    assert outbox.backlog()[0].given_up == 1


def test_a_gate_that_somebody_marked_green_is_told_of_once(world: World) -> None:
    release = world.open().at_the_gate()
    gate, first = "production.approval", "production.canary_50"
    green = Runs(green={"staging.deploy", gate, first})
    (told,) = Housekeeper(world.ledger, green).find_bypasses()
    assert told == f"{release.id}: gate {gate} was passed in Airflow without a decision in the ledger"
    assert Housekeeper(world.ledger, green).find_bypasses() == []
    assert [e.step for e in release.events(Kind.GATE_BYPASSED)] == [gate]


def test_a_gate_that_was_marked_with_its_whole_run_is_told_of_before_the_end(world: World) -> None:
    release = world.open().at_the_gate()
    Housekeeper(world.ledger, Runs(over={"run-1"}, green={"production.approval"})).end_orphans()
    told = [e.kind for e in release.events(Kind.GATE_BYPASSED, Kind.RELEASE_CLOSED)]
    assert told == [Kind.GATE_BYPASSED, Kind.RELEASE_CLOSED]


def test_a_gate_that_people_opened_is_none(world: World) -> None:
    release = world.open().decided()
    assert Housekeeper(world.ledger, Runs(green={"production.approval"})).find_bypasses() == []
    assert not release.events(Kind.GATE_BYPASSED)


def test_a_step_that_asked_what_its_numbers_mean_is_a_gate_too(world: World) -> None:
    release = world.open().approved()
    step = "production.canary_50"
    people = release.record.plan.people("production.approval")
    asked = {"quorum": 1, "timeout_s": 60, "on_timeout": "reject", "people": people}
    world.ledger.votes.open_gate(release.id, step, subject={"verdict": "no_data"}, **asked)
    assert len(Housekeeper(world.ledger, Runs(green={step})).find_bypasses()) == 1

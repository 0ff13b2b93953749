from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.domain.identity import Actor
from relman_plugins.domain.state import DesiredState, Revision
from relman_plugins.domain.status import Decision, Outcome, Verdict
from relman_plugins.errors import LedgerError
from relman_plugins.ledger.api import Ledger, ReleaseRecord
from tests.ledger.make import ALICE, BOB, GATE, Clock, Open, build, make_shape, open_gate

OLD = Revision(version="1.0.0", digest="sha256:old", uri="file:///old")
NEW = Revision(version="1.1.0", digest="sha256:new", uri="file:///new")


class Story:
    """Events of one release, told in order."""

    def __init__(self, ledger: Ledger, release: ReleaseRecord) -> None:
        self.ledger, self.release, self.n = ledger, release, 0

    def __call__(
        self, kind: str, step: str | None = None, environment: str | None = None, **data: Any
    ) -> None:
        self.n += 1
        key = f"{self.release.release_id}:{self.n}"
        actor = Actor(kind="person", id="dana") if kind == "release.abort_requested" else Actor()
        event = NewEvent(kind=Kind(kind), key=key, step=step, environment=environment, data=data, actor=actor)
        assert self.ledger.record(self.release.release_id, event)

    def changed(self, stable: Revision | None, *, weight: int = 0, promoted: bool = False) -> None:
        desired = DesiredState(
            stable=stable or NEW, candidate=NEW if weight else None, candidate_weight=weight
        ).model_dump()
        dumped = stable.model_dump() if stable else None
        self("change.started", "production.canary_10", "production", desired=desired, token=1)
        self(
            "change.finished",
            "production.canary_10",
            "production",
            desired=desired,
            promoted=promoted,
            stable=dumped,
        )


@pytest.fixture
def tell(ledger: Ledger, release: ReleaseRecord) -> Story:
    return Story(ledger, release)


def test_a_new_release_has_nothing_to_show(ledger: Ledger, release: ReleaseRecord) -> None:
    status = ledger.status(release.release_id)
    assert (status.outcome, status.current, status.waiting_for, status.held) == (None, (), (), False)
    assert (status.abort, status.artifact, status.closed_at) == (None, None, None)
    assert status.opened_at == release.opened_at
    assert status.last_event == ledger.last_event_id()
    with pytest.raises(LedgerError, match="no release 'ghost'"):
        ledger.status("ghost")


def test_steps_are_as_their_latest_event_says(ledger: Ledger, tell: Story) -> None:
    tell("step.started", "build", message="try 1")
    tell("step.failed", "build", message="no such file")
    tell("step.started", "build")
    tell("step.started", "production.window")
    tell("step.started", "open")
    tell("step.finished", "open")
    status = ledger.status(tell.release.release_id)
    assert status.current == ("build", "production.window")
    assert status.steps == {"build": "running", "production.window": "running", "open": "finished"}
    assert status.message == "no such file"


def test_a_waiting_gate_shows_who_is_asked_and_who_answered(
    ledger: Ledger, open_release: Open, clock: Clock
) -> None:
    release = open_release(shape=make_shape(quorum=2))
    build(ledger, release)
    open_gate(ledger, release, quorum=2)
    ledger.votes.cast(release.release_id, GATE, airflow_user="a.alice", decision=Decision.APPROVE, via="api")
    (waiting,) = ledger.status(release.release_id).waiting_for
    assert (waiting.gate, waiting.people, waiting.quorum, waiting.approvals) == (GATE, (ALICE, BOB), 2, 1)
    assert waiting.expires_at - waiting.since == timedelta(seconds=600)
    ledger.votes.cast(release.release_id, GATE, airflow_user="a.bob", decision=Decision.APPROVE, via="api")
    assert ledger.status(release.release_id).waiting_for == ()


def test_the_end_is_told(ledger: Ledger, tell: Story, clock: Clock) -> None:
    tell("step.started", "production.canary_10")
    tell("release.held")
    tell("release.abort_requested", reason="wrong ticket")
    clock.forward(5)
    tell("release.closed", outcome="aborted", reason="dana said so")
    status = ledger.status(tell.release.release_id)
    assert (status.outcome, status.reason) == (Outcome.ABORTED, "dana said so")
    assert status.closed_at == clock.now
    assert (status.current, status.held) == ((), True)
    assert status.abort is not None
    assert (status.abort.actor.id, status.abort.reason) == ("dana", "wrong ticket")


def test_suites_shifts_and_analyses_are_listed(ledger: Ledger, tell: Story) -> None:
    tell("artifact.built", "build", revision=NEW.model_dump(), size=1, files=1, source="s")
    totals = {"tests": 3, "failures": 1, "errors": 0, "skipped": 1, "seconds": 0.5, "passed": False}
    tell("suite.finished", "qa.unit", "qa", suite="unit", failed=[], **totals)
    tell("suite.finished", "qa.api", "qa", suite="api", failed=[], **totals)
    tell(
        "suite.finished",
        "qa.unit",
        "qa",
        suite="unit",
        failed=[],
        **(totals | {"failures": 0, "passed": True, "flakes": 1, "flaky": [{"name": "t", "message": "m"}]}),
        reports=[{"kind": "coverage", "passed": True, "reason": "81 % of 90 lines covered", "lines": 90}],
    )
    tell.changed(OLD, weight=10)
    looks = {"analysis": "golden-signals", "weight": 10, "looks": 3}
    tell("analysis.finished", "production.canary_10", "production", verdict="fail", reason="slow", **looks)
    tell("traffic.withdrawn", reason="slow", seconds=0.1, served={"candidate": 7, "total": 100})
    status = ledger.status(tell.release.release_id)
    assert status.artifact == NEW
    assert [(s.suite, s.failures, s.passed) for s in status.suites] == [("unit", 0, True), ("api", 1, False)]
    unit = status.suites[0]
    assert (unit.flakes, unit.flaky, unit.failed) == (1, ("t",), ())
    assert unit.reports == ("coverage: 81 % of 90 lines covered",)
    assert [(s.weight, s.promoted) for s in status.shifts] == [(10, False)]
    assert [(a.verdict, a.reason) for a in status.analyses] == [(Verdict.FAIL, "slow")]
    assert status.served == {"candidate": 7, "total": 100}
    assert status.changed_environments == ("production",)


def test_the_stable_revision_is_what_the_last_change_left(ledger: Ledger, tell: Story) -> None:
    def stable() -> Revision | None:
        return ledger.stable("production", "checkout")

    assert stable() is None
    tell.changed(OLD, promoted=True)
    assert stable() == OLD
    tell.changed(OLD, weight=10)
    assert stable() == OLD
    tell.changed(NEW, promoted=True)
    assert stable() == NEW
    assert ledger.stable("production", "other") is None
    assert ledger.stable("staging", "checkout") is None
    tell("environment.removed", "production.teardown", "production", proof=[])
    assert stable() is None


def test_ephemeral_environments_expire(ledger: Ledger, tell: Story, clock: Clock) -> None:
    until = clock.now + timedelta(hours=1)
    tell("environment.provisioned", "qa.provision", "qa", expires_at=until.isoformat())
    assert ledger.expired_environments() == []
    clock.forward(3600)
    (overdue,) = ledger.expired_environments()
    assert (overdue.environment, overdue.service, overdue.expires_at) == ("qa", "checkout", until)
    assert overdue.release_id == tell.release.release_id
    tell("environment.removed", "qa.teardown", "qa", proof=["gone"])
    assert ledger.expired_environments() == []
    tell("environment.provisioned", "qa.provision", "qa", expires_at=until.isoformat())
    assert len(ledger.expired_environments()) == 1

"""What was shown is made again from the record when a step acts, and whatever differs is named."""

from __future__ import annotations

from typing import Any

import pytest

from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.domain.status import Decision
from relman_plugins.errors import Refused
from relman_plugins.ledger.api import SHOWN, Ledger, ReleaseRecord, canonical_subject
from relman_plugins.plan.model import Shape, Step
from tests.ledger.make import GATE, Open, build, go, make_shape, open_gate

UNIT, PARITY, ASSESS, LATER = "staging.unit", "production.parity", "assess", "production.smoke"
CANARY = "production.canary_10"
SUITE = {"suite": "unit", "tests": 12, "failures": 0, "errors": 0, "skipped": 0, "passed": True}
COMPARED = {"with": "staging", "lines": ["A: 1 there, 2 here"], "differences": [{"name": "A"}]}
ASSESSED: dict[str, Any] = {
    "risk": "low",
    "headline": "low (1)",
    "contributions": [{"reason": "one file", "points": 1}],
    "circumstances": {"live": "1.0.0"},
    "authors": [],
    "changes": {"head": "abc", "commits": [], "commit_count": 0, "issues": []},
}


def shape_with_more() -> Shape:
    shape = make_shape()
    more = (
        Step(id=ASSESS, kind="assess", needs=("open",)),
        Step(id=UNIT, kind="suite", stage="staging", environment="staging", needs=("build", ASSESS)),
        Step(id=PARITY, kind="parity", stage="production", environment="production", needs=(UNIT,)),
    )
    later = Step(id=LATER, kind="suite", stage="production", environment="production", needs=(CANARY,))
    steps = [s.model_copy(update={"needs": (PARITY,)}) if s.id == GATE else s for s in shape.steps]
    return shape.model_copy(update={"steps": (*steps[:2], *more, *steps[2:], later)})


@pytest.fixture
def approved(ledger: Ledger, open_release: Open) -> ReleaseRecord:
    release = open_release(
        shape=shape_with_more(), changes="Faster", ticket="https://t.example/CHG-1", parameters={"users": 5}
    )
    build(ledger, release)
    says(ledger, release, Kind.CHANGE_ASSESSED, ASSESS, ASSESSED)
    says(ledger, release, Kind.SUITE_FINISHED, UNIT, SUITE)
    says(ledger, release, Kind.PARITY_COMPARED, PARITY, COMPARED)
    open_gate(ledger, release, subject=shown(ledger, release))
    done = ledger.votes.cast(
        release.release_id, GATE, airflow_user="a.alice", decision=Decision.APPROVE, via="api"
    )
    assert done.accepted
    go(ledger, release)
    return release


def says(ledger: Ledger, release: ReleaseRecord, kind: Kind, step: str, data: Any) -> None:
    key = f"{kind}:{step}:{ledger.last_event_id()}"
    ledger.record(release.release_id, NewEvent(kind=kind, key=key, step=step, data=data))


def shown(ledger: Ledger, release: ReleaseRecord) -> dict[str, Any]:
    events = ledger.events(release.release_id, kinds=SHOWN)
    return canonical_subject(release, release.plan.shape.step(GATE), events)


@pytest.mark.parametrize(
    ("kind", "step", "data", "named"),
    [
        (Kind.SUITE_FINISHED, UNIT, {**SUITE, "failures": 1}, r"other results of tests \(staging\.unit\)"),
        (Kind.PARITY_COMPARED, PARITY, {**COMPARED, "lines": []}, r"another parity \(lines\)"),
        (
            Kind.CHANGE_ASSESSED,
            ASSESS,
            {**ASSESSED, "risk": "high", "headline": "high (9)"},
            r"another assessment \(headline, risk\)",
        ),
    ],
)
def test_what_differs_from_what_was_shown_is_named(
    ledger: Ledger, approved: ReleaseRecord, kind: Kind, step: str, data: Any, named: str
) -> None:
    says(ledger, approved, kind, step, data)
    with pytest.raises(Refused, match=f"the approval at {GATE} is for {named}; approve again"):
        go(ledger, approved)


def test_several_differences_are_all_named(ledger: Ledger, approved: ReleaseRecord) -> None:
    build(ledger, approved, "sha256:" + "b" * 64)
    says(ledger, approved, Kind.SUITE_FINISHED, UNIT, {**SUITE, "failures": 1})
    with pytest.raises(Refused, match=r"artifact_digest .* would ship; other results of tests"):
        go(ledger, approved)


def test_what_runs_after_the_gate_changes_no_approval(ledger: Ledger, approved: ReleaseRecord) -> None:
    says(ledger, approved, Kind.SUITE_FINISHED, LATER, {**SUITE, "suite": "smoke", "failures": 3})
    go(ledger, approved)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("environment", "staging"),
        ("changes", "Slower"),
        ("ticket", "https://t.example/CHG-2"),
        ("emergency", True),
        ("parameters", {"users": 500}),
        ("tests", []),
        ("pipeline", "cart"),
    ],
)
def test_every_part_of_what_was_shown_counts(
    ledger: Ledger, open_release: Open, field: str, value: Any
) -> None:
    release = open_release(
        shape=shape_with_more(), changes="Faster", ticket="https://t.example/CHG-1", parameters={"users": 5}
    )
    build(ledger, release)
    says(ledger, release, Kind.SUITE_FINISHED, UNIT, SUITE)
    open_gate(ledger, release, subject=shown(ledger, release) | {field: value})
    ledger.votes.cast(release.release_id, GATE, airflow_user="a.alice", decision=Decision.APPROVE, via="api")
    with pytest.raises(Refused, match=field):
        go(ledger, release)


def test_what_an_older_relman_did_not_show_is_not_asked_for_again(ledger: Ledger, open_release: Open) -> None:
    release = open_release(shape=shape_with_more())
    build(ledger, release)
    older = shown(ledger, release)
    del older["parameters"], older["emergency_reason"]
    open_gate(ledger, release, subject=older)
    ledger.votes.cast(release.release_id, GATE, airflow_user="a.alice", decision=Decision.APPROVE, via="api")
    go(ledger, release)


@pytest.mark.parametrize("unnamed", ["release_id", "version", "artifact_digest", "plan_hash", "spec_digest"])
def test_an_approval_of_something_unnamed_is_for_nothing(
    ledger: Ledger, open_release: Open, unnamed: str
) -> None:
    release = open_release(shape=shape_with_more())
    build(ledger, release)
    whole = shown(ledger, release)
    open_gate(ledger, release, subject={name: said for name, said in whole.items() if name != unnamed})
    ledger.votes.cast(release.release_id, GATE, airflow_user="a.alice", decision=Decision.APPROVE, via="api")
    with pytest.raises(Refused, match=f"is for {unnamed} None"):
        go(ledger, release)

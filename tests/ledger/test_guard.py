from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import NullPool, create_engine, text

from relman_plugins.domain.base import digest_of
from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.domain.identity import Actor
from relman_plugins.domain.status import Decision
from relman_plugins.errors import Aborted, LedgerUnavailable, Refused
from relman_plugins.ledger.api import Ledger, ReleaseRecord, check_forward
from relman_plugins.plan.model import Step
from tests.ledger.make import ALICE, BOB, DIGEST, GATE, Clock, Open, build, make_shape, open_gate, subject_of

CAROL = Actor(kind="person", id="carol", name="Carol")


def step_of(release: ReleaseRecord, step: str = "production.canary_10") -> Step:
    return release.plan.shape.step(step)


def go(ledger: Ledger, release: ReleaseRecord, clock: Clock, **other: Any) -> ReleaseRecord:
    arguments = {"step": step_of(release), "frame": release.plan.shape.frame, "now": clock.now} | other
    return check_forward(ledger, release.release_id, **arguments)


def vote(ledger: Ledger, release: ReleaseRecord, user: str = "a.alice", decision: str = "approve") -> None:
    result = ledger.votes.cast(
        release.release_id, GATE, airflow_user=user, decision=Decision(decision), via="api"
    )
    assert result.accepted, result.reason


def say(ledger: Ledger, release: ReleaseRecord, kind: Kind, **data: Any) -> None:
    ledger.record(
        release.release_id,
        NewEvent(kind=kind, key=f"{kind}:{ledger.last_event_id()}", actor=CAROL, data=data),
    )


@pytest.fixture
def approved(ledger: Ledger, release: ReleaseRecord) -> ReleaseRecord:
    build(ledger, release)
    open_gate(ledger, release)
    vote(ledger, release)
    return release


def test_an_approved_release_goes_forward(ledger: Ledger, approved: ReleaseRecord, clock: Clock) -> None:
    assert go(ledger, approved, clock) == approved
    clock.forward(3600)
    assert go(ledger, approved, clock) == approved


def test_a_step_without_gates_needs_no_approval(ledger: Ledger, release: ReleaseRecord, clock: Clock) -> None:
    assert go(ledger, release, clock, step=step_of(release, "build")) == release


def test_an_unknown_release_is_refused(ledger: Ledger, approved: ReleaseRecord, clock: Clock) -> None:
    with pytest.raises(Refused, match="no release 'ghost'"):
        check_forward(ledger, "ghost", step_of(approved), frame=approved.plan.shape.frame, now=clock.now)


def test_a_closed_release_is_refused(ledger: Ledger, approved: ReleaseRecord, clock: Clock) -> None:
    say(ledger, approved, Kind.RELEASE_CLOSED, outcome="failed", reason="x")
    with pytest.raises(Refused, match="closed as failed"):
        go(ledger, approved, clock)


def test_a_held_release_waits_to_be_resumed(ledger: Ledger, approved: ReleaseRecord, clock: Clock) -> None:
    say(ledger, approved, Kind.RELEASE_HELD)
    with pytest.raises(Refused, match="is held; resume it"):
        go(ledger, approved, clock)
    say(ledger, approved, Kind.RELEASE_RESUMED)
    assert go(ledger, approved, clock) == approved


def test_an_abort_is_refused_for_good(ledger: Ledger, approved: ReleaseRecord, clock: Clock) -> None:
    say(ledger, approved, Kind.ABORT_REQUESTED, reason="wrong ticket")
    say(ledger, approved, Kind.RELEASE_RESUMED)
    with pytest.raises(Refused, match="Carol asked to abort the release: wrong ticket"):
        go(ledger, approved, clock)


def test_an_abort_counts_while_the_release_is_held(
    ledger: Ledger, approved: ReleaseRecord, clock: Clock
) -> None:
    for kind in (Kind.RELEASE_HELD, Kind.ABORT_REQUESTED):
        say(ledger, approved, kind)
    with pytest.raises(Aborted):
        go(ledger, approved, clock)


def test_a_changed_spec_is_refused(ledger: Ledger, approved: ReleaseRecord, clock: Clock) -> None:
    with pytest.raises(Refused, match="the pipeline's spec changed under the release"):
        go(ledger, approved, clock, frame=make_shape(quorum=2).frame)


def test_an_unplanned_step_is_refused(ledger: Ledger, approved: ReleaseRecord, clock: Clock) -> None:
    with pytest.raises(Refused, match="no such step"):
        go(ledger, approved, clock, step=Step(id="production.surprise", kind="deploy", changes=True))


def test_the_stored_plan_says_which_gates_count(ledger: Ledger, release: ReleaseRecord, clock: Clock) -> None:
    ungated = step_of(release).model_copy(update={"gates": ()})
    with pytest.raises(Refused, match="never opened"):
        go(ledger, release, clock, step=ungated)


def test_an_unopened_gate_is_refused(ledger: Ledger, release: ReleaseRecord, clock: Clock) -> None:
    build(ledger, release)
    with pytest.raises(Refused, match=r"gate production\.approval was never opened"):
        go(ledger, release, clock)


def test_an_open_gate_is_refused(ledger: Ledger, release: ReleaseRecord, clock: Clock) -> None:
    build(ledger, release)
    open_gate(ledger, release)
    with pytest.raises(Refused, match="is open, not approved"):
        go(ledger, release, clock)


def test_a_no_is_refused(ledger: Ledger, release: ReleaseRecord, clock: Clock) -> None:
    build(ledger, release)
    open_gate(ledger, release)
    vote(ledger, release, decision="reject")
    with pytest.raises(Refused, match="is rejected, not approved"):
        go(ledger, release, clock)


def test_silence_is_refused(ledger: Ledger, release: ReleaseRecord, clock: Clock) -> None:
    build(ledger, release)
    open_gate(ledger, release, on_timeout="expire")
    clock.forward(600)
    ledger.votes.expire_gate(release.release_id, GATE)
    with pytest.raises(Refused, match="is expired, not approved"):
        go(ledger, release, clock)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("release_id", "checkout-1.1.0-2"),
        ("version", "1.0.9"),
        ("artifact_digest", "sha256:" + "b" * 64),
        ("artifact_digest", None),
        ("plan_hash", "sha256:other"),
        ("spec_digest", "sha256:other"),
    ],
)
def test_what_was_approved_is_what_ships(
    ledger: Ledger, release: ReleaseRecord, clock: Clock, field: str, value: str | None
) -> None:
    build(ledger, release)
    open_gate(ledger, release, subject=subject_of(release, **{field: value}))
    vote(ledger, release)
    with pytest.raises(Refused, match=f"approval at production.approval is for {field}"):
        go(ledger, release, clock)


def test_another_artifact_than_the_approved_one_is_refused(
    ledger: Ledger, approved: ReleaseRecord, clock: Clock
) -> None:
    build(ledger, approved, "sha256:" + "b" * 64)
    with pytest.raises(Refused, match=f"artifact_digest {DIGEST}, but sha256:b+ would ship"):
        go(ledger, approved, clock)


def test_no_artifact_at_all_is_refused(ledger: Ledger, release: ReleaseRecord, clock: Clock) -> None:
    open_gate(ledger, release, subject=subject_of(release, artifact_digest=None))
    vote(ledger, release)
    with pytest.raises(Refused, match="artifact_digest"):
        go(ledger, release, clock)


def test_a_gate_opened_with_a_weaker_quorum_than_planned_is_refused(
    ledger: Ledger, open_release: Open, clock: Clock
) -> None:
    release = open_release(shape=make_shape(quorum=2))
    build(ledger, release)
    open_gate(ledger, release, quorum=1)
    vote(ledger, release)
    with pytest.raises(Refused, match="has 1 valid approvals, the plan asks for 2"):
        go(ledger, release, clock)


def test_an_approval_by_somebody_not_planned_is_refused(
    ledger: Ledger, open_release: Open, clock: Clock
) -> None:
    release = open_release(shape=make_shape(people=(BOB,)))
    build(ledger, release)
    open_gate(ledger, release, people=(ALICE,))
    vote(ledger, release)
    with pytest.raises(Refused, match="has 0 valid approvals"):
        go(ledger, release, clock)


def test_an_approval_from_tomorrow_is_refused(ledger: Ledger, approved: ReleaseRecord, clock: Clock) -> None:
    with pytest.raises(Refused, match="outside the time it was asked for"):
        go(ledger, approved, clock, now=clock.forward(-60))


@pytest.mark.parametrize("after_s", [600, 601])
def test_a_decision_forged_in_the_database_at_the_end_or_after_it_is_refused(
    ledger: Ledger, url: str, release: ReleaseRecord, clock: Clock, after_s: int
) -> None:
    build(ledger, release)
    gate = open_gate(ledger, release)
    late = clock.forward(after_s)
    digest = gate.subject_digest
    data = json.dumps({"state": "approved", "by": "mallory", "round": 1, "comment": "", "digest": digest})
    statement = text(
        "INSERT INTO event "
        "(id, release_id, kind, key, at, recorded_at, step, actor, data, schema_version, hash) "
        "VALUES (99, :release, 'gate.decided', 'forged', :at, :at, :gate, '{}', :data, 1, 'forged')"
    )
    with create_engine(url).begin() as conn:
        at = late.replace(tzinfo=None).isoformat(" ") if url.startswith("sqlite") else late
        conn.execute(statement, {"release": release.release_id, "at": at, "gate": GATE, "data": data})
    with pytest.raises(Refused, match="outside the time it was asked for"):
        go(ledger, release, clock)


def tamper(url: str, table: str, column: str, old: str, new: str) -> None:
    """Change the record as somebody could who owns the database and switches its protection off."""
    sqlite = url.startswith("sqlite")
    off = f"DROP TRIGGER relman_{table}_update" if sqlite else f"ALTER TABLE {table} DISABLE TRIGGER USER"
    value = f"replace(CAST({column} AS text), :old, :new)"
    if not sqlite and column in ("data", "plan"):
        value = f"CAST({value} AS json)"
    with create_engine(url, poolclass=NullPool).begin() as conn:
        conn.execute(text(off))
        changed = conn.execute(text(f"UPDATE {table} SET {column} = {value}"), {"old": old, "new": new})
        assert changed.rowcount


def test_a_stored_plan_changed_in_the_database_is_refused(
    ledger: Ledger, url: str, approved: ReleaseRecord, clock: Clock
) -> None:
    tamper(url, "release", "plan", '"replicas":2', '"replicas":9')
    with pytest.raises(Refused, match="the stored plan is not the one the release was opened with"):
        go(ledger, approved, clock)


def test_a_subject_changed_in_the_database_is_refused(
    ledger: Ledger, url: str, approved: ReleaseRecord, clock: Clock
) -> None:
    tamper(url, "event", "data", '"tests":[]', '"tests":["all green"]')
    with pytest.raises(Refused, match="doesn't match its own digest"):
        go(ledger, approved, clock)


def test_without_a_ledger_nothing_goes_forward(approved: ReleaseRecord, clock: Clock) -> None:
    gone = Ledger("postgresql+psycopg://nobody:hunter2@127.0.0.1:1/none")
    with pytest.raises(LedgerUnavailable, match="does not answer") as caught:
        go(gone, approved, clock)
    assert "hunter2" not in str(caught.value)


def test_a_plan_that_an_older_version_stored_is_still_the_one_it_was(
    ledger: Ledger, url: str, approved: ReleaseRecord, clock: Clock
) -> None:
    older = approved.plan.model_dump(mode="json")
    del older["shape"]["parameters"], older["options"]["parameters"]
    new = approved.plan.model_dump_json()
    with create_engine(url, poolclass=NullPool).connect() as conn:
        stored = conn.execute(text("SELECT CAST(plan AS text) FROM release")).scalar_one()
    assert json.loads(stored) == json.loads(new)
    tamper(url, "release", "plan", stored, json.dumps(older))
    # As if it had been opened so: both columns were written by the version of then.
    sqlite = url.startswith("sqlite")
    with create_engine(url, poolclass=NullPool).begin() as conn:
        conn.execute(text("UPDATE release SET plan_hash = :hash"), {"hash": digest_of(older)})
        if not sqlite:
            conn.execute(text("ALTER TABLE release ENABLE TRIGGER USER"))
    record = ledger.release(approved.release_id)
    assert record is not None
    assert record.plan == approved.plan
    assert record.plan_hash != record.plan.hash
    with pytest.raises(Refused, match="is for plan_hash"):
        # The approval was for another plan hash; the plan itself is believed.
        go(ledger, approved, clock)

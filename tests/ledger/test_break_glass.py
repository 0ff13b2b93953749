"""Break-glass: who may skip which rules, what is on record of it, and the approval afterwards."""

from __future__ import annotations

from typing import Any

import pytest

from relman_plugins.domain.approval import Rule
from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.domain.identity import Actor, Person
from relman_plugins.domain.status import Decision
from relman_plugins.errors import Refused
from relman_plugins.ledger.api import GateState, Ledger, ReleaseRecord, VoteResult
from relman_plugins.plan.model import BreakGlassPlan, Options, ReleasePlan, Shape
from tests.ledger.make import ALICE, BOB, GATE, Clock, build, make_shape, open_gate
from tests.ledger.test_lapse import HOUR, go
from tests.ledger.test_rules import assess

DANA = Person(id="dana", airflow="a.dana", name="Dana")
ERIN = Person(id="erin", airflow="a.erin", name="Erin")
FINN = Person(id="finn", airflow="a.finn", name="Finn")
DEBT = "production.break_glass"
GLASS = BreakGlassPlan(
    group="incident", people=(DANA,), reviewing="directors", reviewers=(DANA, ERIN), within_s=24 * HOUR
)
MANAGERS = {"id": "managers", "group": "managers", "quorum": 1, "people": ["alice"], "waivable": True}
BOARD = {"id": "board", "group": "board", "quorum": 1, "people": ["bob"]}


def shape(rules: list[dict[str, Any]], glass: BreakGlassPlan | None = GLASS, **place: Any) -> Shape:
    made = make_shape()
    args = {"rules": rules, "quorum": len(rules)}
    steps = [s.model_copy(update={"args": s.args | args}) if s.id == GATE else s for s in made.steps]
    places = tuple(e.model_copy(update={"break_glass": glass, **place}) for e in made.environments)
    return made.model_copy(update={"steps": tuple(steps), "environments": places})


def start(
    ledger: Ledger,
    rules: list[dict[str, Any]],
    who: str = "a.dana",
    *,
    emergency: bool = True,
    glass: BreakGlassPlan | None = GLASS,
    run_id: str = "run-1",
    **place: Any,
) -> ReleaseRecord:
    reason = "the shop is down" if emergency else ""
    options = Options(version="1.1.0", emergency=emergency, emergency_reason=reason)
    actor = Actor(kind="person", id=who, name=who, via="airflow") if who else Actor(id="schedule")
    release = ledger.open_release(
        plan=ReleasePlan(shape=shape(rules, glass, **place), options=options),
        dag_id="release__checkout",
        run_id=run_id,
        started_by=actor,
        conf={},
    )
    build(ledger, release)
    return release


def cast(ledger: Ledger, release: ReleaseRecord, user: str, gate: str = DEBT, **more: Any) -> VoteResult:
    said = {"decision": Decision.APPROVE, "via": "cli"} | more
    return ledger.votes.cast(release.release_id, gate, airflow_user=user, **said)


def debt_of(ledger: Ledger, release: ReleaseRecord) -> GateState:
    gate = ledger.votes.gate(release.release_id, DEBT)
    assert gate is not None
    return gate


def test_a_member_skips_the_rules_that_say_so_and_goes_forward(ledger: Ledger, clock: Clock) -> None:
    release = start(ledger, [MANAGERS])
    with pytest.raises(Refused, match="never opened"):
        go(ledger, release)
    for _ in range(2):
        found = ledger.votes.waive(release.release_id, GATE)
        assert ([r.id for r in found.skipped], found.left) == (["managers"], ())
    go(ledger, release)
    (event,) = ledger.events(release.release_id, kinds=[Kind.GATE_WAIVED])
    assert (event.actor.id, event.data["reason"]) == ("a.dana", "the shop is down")
    assert event.data["rules"] == [{"id": "managers", "group": "managers", "quorum": 1}]
    debt = debt_of(ledger, release)
    assert (debt.state, debt.debt, (debt.expires_at - clock.now).total_seconds()) == ("open", True, 24 * HOUR)
    assert ledger.votes.open_gates() == []
    assert ledger.status(release.release_id).waiting_for == ()


def test_rules_that_can_not_be_skipped_must_be_met(ledger: Ledger) -> None:
    release = start(ledger, [MANAGERS, BOARD])
    found = ledger.votes.waive(release.release_id, GATE)
    assert [r.id for r in found.left] == ["board"]
    with pytest.raises(Refused, match="never opened"):
        go(ledger, release)
    open_gate(ledger, release, rules=found.left, people=(BOB,), subject=shown(ledger, release))
    assert cast(ledger, release, "a.bob", GATE).accepted
    go(ledger, release)


def shown(ledger: Ledger, release: ReleaseRecord) -> dict[str, Any]:
    from relman_plugins.ledger.api import SHOWN, canonical_subject

    events = ledger.events(release.release_id, kinds=SHOWN)
    return canonical_subject(release, release.plan.shape.step(GATE), events)


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"who": "a.alice"}, "a.alice is not in incident"),
        ({"who": ""}, "schedule is not in incident"),
        ({"emergency": False}, ""),
        ({"glass": None}, "nobody may skip rules in production"),
    ],
)
def test_nobody_else_skips_anything_and_is_told_why(ledger: Ledger, how: Any, why: str) -> None:
    release = start(ledger, [MANAGERS], **how)
    found = ledger.votes.waive(release.release_id, GATE)
    assert (found.skipped, [r.id for r in found.left]) == ((), ["managers"])
    assert why in found.why_not
    assert not ledger.events(release.release_id, kinds=[Kind.GATE_WAIVED])
    assert ledger.votes.debts() == []
    with pytest.raises(Refused, match="never opened"):
        go(ledger, release)


NUMBERED = DANA.model_copy(update={"airflow": "17"})


def test_a_member_whom_airflow_counts_is_known_by_name(ledger: Ledger) -> None:
    people = {"people": (NUMBERED,), "reviewers": (NUMBERED, ERIN)}
    glass = GLASS.model_copy(update={**people, "usernames": {"dana": "dana"}})
    release = start(ledger, [MANAGERS], "dana", glass=glass)
    assert [r.id for r in ledger.votes.waive(release.release_id, GATE).skipped] == ["managers"]
    assert debt_of(ledger, release).own["17"] == "started it"
    assert cast(ledger, release, "17").code == "own_release"
    assert cast(ledger, release, "a.erin").accepted
    # Somebody else, whose name is her number.
    other = start(ledger, [MANAGERS], "17", glass=glass, run_id="run-2")
    assert ledger.votes.waive(other.release_id, GATE).skipped == ()


def test_a_member_whose_name_nobody_wrote_skips_nothing_and_is_told_what_to_do(ledger: Ledger) -> None:
    glass = GLASS.model_copy(update={"people": (NUMBERED,)})
    release = start(ledger, [MANAGERS], "dana", glass=glass)
    found = ledger.votes.waive(release.release_id, GATE)
    assert (found.skipped, "people.yaml gives no username of dana" in found.why_not) == ((), True)


def test_a_rule_that_does_not_say_so_is_not_skipped(ledger: Ledger) -> None:
    release = start(ledger, [BOARD])
    assert ledger.votes.waive(release.release_id, GATE).skipped == ()
    with pytest.raises(Refused, match="never opened"):
        go(ledger, release)


def test_nobody_writes_the_events_by_hand(ledger: Ledger) -> None:
    release = start(ledger, [MANAGERS])
    for kind in (Kind.GATE_WAIVED, Kind.GATE_ESCALATED, Kind.GATE_OVERDUE):
        with pytest.raises(Exception, match="only the ledger's own calls"):
            ledger.record(release.release_id, NewEvent(kind=kind, key="k", step=GATE))


def test_what_was_skipped_is_approved_afterwards_also_when_the_release_has_ended(
    ledger: Ledger, clock: Clock
) -> None:
    release = start(ledger, [MANAGERS])
    ledger.votes.waive(release.release_id, GATE)
    closed = NewEvent(kind=Kind.RELEASE_CLOSED, key="c", data={"outcome": "succeeded", "reason": ""})
    ledger.record(release.release_id, closed)
    assert [d.release_id for d in ledger.votes.debts()] == [release.release_id]
    own = cast(ledger, release, "a.dana")
    assert (own.accepted, own.code) == (False, "own_release")
    assert cast(ledger, release, "a.alice").code == "not_entitled"
    clock.forward(23 * HOUR)
    assert cast(ledger, release, "a.erin", comment="right so").accepted
    assert (debt_of(ledger, release).state, ledger.votes.debts()) == ("approved", [])


def test_who_wrote_commits_in_an_emergency_does_not_approve_it_afterwards(ledger: Ledger) -> None:
    glass = GLASS.model_copy(update={"emails": {"erin": "E@Shop.example"}, "reviewers": (DANA, ERIN, FINN)})
    release = start(ledger, [MANAGERS], glass=glass)
    assess(ledger, release, "e@shop.example")
    ledger.votes.waive(release.release_id, GATE)
    [event] = ledger.events(release.release_id, kinds=[Kind.GATE_WAIVED])
    assert [p["id"] for p in event.data["reviewers"]] == ["finn"]
    refused = cast(ledger, release, "a.erin")
    assert (refused.code, "a.erin wrote commits in it" in refused.reason) == ("own_release", True)
    assert cast(ledger, release, "a.finn").accepted


def test_what_is_overdue_is_told_once_and_can_still_be_approved(ledger: Ledger, clock: Clock) -> None:
    release = start(ledger, [MANAGERS])
    ledger.votes.waive(release.release_id, GATE)
    clock.forward(24 * HOUR - 1)
    assert ledger.votes.tell_overdue(release.release_id, DEBT) is None
    clock.forward(1)
    event = ledger.votes.tell_overdue(release.release_id, DEBT)
    assert event is not None
    assert [p["id"] for p in event.data["people"]] == ["erin"]
    assert ledger.votes.tell_overdue(release.release_id, DEBT) is None
    assert debt_of(ledger, release).state == "open"
    assert cast(ledger, release, "a.erin").accepted


def test_a_no_afterwards_is_on_record_and_changes_nothing_that_was_done(ledger: Ledger) -> None:
    release = start(ledger, [MANAGERS])
    ledger.votes.waive(release.release_id, GATE)
    assert cast(ledger, release, "a.erin", decision=Decision.REJECT, comment="no need").accepted
    assert debt_of(ledger, release).state == "rejected"
    [kept] = ledger.votes.debts()
    assert (kept.state, kept.decided_by, kept.comment) == ("rejected", "erin", "no need")
    assert ledger.votes.tell_overdue(release.release_id, DEBT) is None
    go(ledger, release)


def test_older_releases_that_wait_are_superseded_and_by_the_approval_afterwards_none(ledger: Ledger) -> None:
    older = start(ledger, [MANAGERS], "a.carol", emergency=False)
    open_gate(ledger, older, people=(ALICE,), rules=(Rule.model_validate(MANAGERS),))
    newer = start(ledger, [MANAGERS], run_id="run-2")
    ledger.votes.waive(newer.release_id, GATE)
    assert ledger.events(older.release_id, kinds=[Kind.RELEASE_SUPERSEDED])
    third = start(ledger, [MANAGERS], "a.carol", emergency=False, run_id="run-3")
    open_gate(ledger, third, people=(ALICE,), rules=(Rule.model_validate(MANAGERS),))
    assert cast(ledger, newer, "a.erin").accepted
    assert not ledger.events(third.release_id, kinds=[Kind.RELEASE_SUPERSEDED])

"""Rules that the risk does not ask for: decided by the record, again at each step that changes something."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relman_plugins.domain.assessment import Circumstances, assess
from relman_plugins.domain.change_set import ChangeSet
from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.domain.identity import Actor
from relman_plugins.domain.risk import Risk, RiskPolicy
from relman_plugins.domain.state import Revision
from relman_plugins.domain.status import Decision
from relman_plugins.errors import Refused, Superseded
from relman_plugins.ledger.api import RELIEF, SHOWN, Ledger, ReleaseRecord, canonical_subject, waiver
from relman_plugins.plan.model import BreakGlassPlan, Options, ReleasePlan, Shape, Step, Weighing
from tests.ledger.make import ALICE, BOB, DIGEST, GATE, build, make_shape, open_gate
from tests.ledger.test_bound import CANARY, go, says, shown

DANA = BOB.model_copy(update={"id": "dana", "airflow": "a.dana", "name": "Dana"})
POLICY = RiskPolicy()
STRICT = RiskPolicy(medium=5, high=10)
"""An owner's: what is low for the pipeline is medium here."""
MANAGERS: dict[str, Any] = {"id": "managers", "group": "managers", "quorum": 1, "people": ["alice"]}


def board(when: str, by: str = "", **more: Any) -> dict[str, Any]:
    operator, risk = when.split()
    condition = {"operator": operator, "risk": risk, "weighed_by": by}
    return {"id": "board", "group": "board", "quorum": 1, "people": ["bob"], "when": condition} | more


def shape(*rules: dict[str, Any], owner: RiskPolicy | None = STRICT, assesses: bool = True) -> Shape:
    made = make_shape()
    args = {"rules": list(rules), "quorum": len(rules)}
    steps = [s.model_copy(update={"args": s.args | args}) if s.id == GATE else s for s in made.steps]
    looks_at = {"risk": POLICY.model_dump(mode="json"), "environment": "production"}
    look = Step(id="assess", kind="assess", needs=("open",), args=looks_at)
    weighing = Weighing(migrations=(), risk=owner) if owner else None
    glass = BreakGlassPlan(
        group="incident", people=(DANA,), reviewing="directors", reviewers=(ALICE,), within_s=60
    )
    places = tuple(
        e.model_copy(update={"weighing": weighing, "break_glass": glass}) for e in made.environments
    )
    looks = (look,) if assesses else ()
    return made.model_copy(update={"steps": (*steps[:2], *looks, *steps[2:]), "environments": places})


def live(ledger: Ledger, made: Shape, version: str) -> None:
    """Let a version have come into production by a release of before."""
    before = ledger.open_release(
        plan=ReleasePlan(shape=made, options=Options(version=version)),
        dag_id="release__checkout",
        run_id=f"before-{ledger.last_event_id()}",
        started_by=Actor(kind="person", id="a.dana", name="Dana", via="airflow"),
        conf={},
    )
    stable = Revision(version=version, digest=DIGEST, uri="file:///tmp/a").model_dump(mode="json")
    data = {"stable": stable, "promoted": True}
    kind, key = Kind.CHANGE_FINISHED, f"live:{before.release_id}"
    brought = NewEvent(kind=kind, key=key, step=CANARY, environment="production", data=data)
    assert ledger.record(before.release_id, brought)
    says(ledger, before, Kind.RELEASE_CLOSED, "close", {"outcome": "succeeded"})


def start(ledger: Ledger, made: Shape, run_id: str = "run-1", **options: Any) -> ReleaseRecord:
    if not ledger.live("production"):
        live(ledger, made, "1")
    release = ledger.open_release(
        plan=ReleasePlan(shape=made, options=Options(version="1.1.0", **options)),
        dag_id="release__checkout",
        run_id=run_id,
        started_by=Actor(kind="person", id="a.dana", name="Dana", via="airflow"),
        conf={},
    )
    build(ledger, release)
    return release


def weighed(policy: RiskPolicy, points: int) -> dict[str, Any]:
    """What the step records: 5 points for a version without a tag, 15 since the last release failed."""
    untagged, failed = {0: (False, False), 5: (True, False), 20: (True, True)}[points]
    changes = ChangeSet(base="a" * 40, head="b" * 40, head_by="HEAD" if untagged else "tag v1")
    found = assess(changes, Circumstances(live="1", last_outcome="failed" if failed else ""), policy)
    assert found.points == points
    return found.model_dump(mode="json") | {"headline": found.headline(), "authors": []}


LOW, MEDIUM = weighed(POLICY, 5), weighed(POLICY, 20)


def assessed(ledger: Ledger, release: ReleaseRecord, data: Any, owner: Any = None) -> None:
    more = {"environments": {"production": owner}} if owner is not None else {}
    says(ledger, release, Kind.CHANGE_ASSESSED, "assess", {**data, **more})


def ask(ledger: Ledger, release: ReleaseRecord, user: str = "a.alice") -> None:
    """What the gate's task does: see what is to be asked, ask it, and somebody says yes."""
    found = ledger.votes.waive(release.release_id, GATE)
    assert found.left
    people = tuple(p for p in (ALICE, BOB) if any(p.id in rule.people for rule in found.left))
    open_gate(
        ledger,
        release,
        rules=found.left,
        people=people,
        quorum=sum(r.quorum for r in found.left),
        not_needed=found.spared,
        subject=shown(ledger, release),
    )
    approve(ledger, release, user)


def approve(ledger: Ledger, release: ReleaseRecord, user: str) -> None:
    said = ledger.votes.cast(
        release.release_id, GATE, airflow_user=user, decision=Decision.APPROVE, via="api"
    )
    assert said.accepted, said.reason


def test_a_record_that_does_not_add_up_spares_nobody(ledger: Ledger) -> None:
    release = start(ledger, shape(MANAGERS, board(">= medium")))
    assessed(ledger, release, LOW | {"risk": "high"})
    assert [rule.id for rule in ledger.votes.waive(release.release_id, GATE).left] == ["managers", "board"]


def test_a_low_risk_needs_no_board_and_says_why(ledger: Ledger) -> None:
    release = start(ledger, shape(MANAGERS, board(">= medium")))
    assessed(ledger, release, LOW)
    ask(ledger, release)
    go(ledger, release)
    gate = ledger.votes.gate(release.release_id, GATE)
    assert gate is not None
    assert [r.id for r in gate.rules] == ["managers"]
    line = "1 of board: low risk (5 points), and it is asked only if risk >= medium"
    assert [one.line() for one in gate.not_needed] == [line]
    assert gate.subject["not_needed"] == [line]
    [event] = ledger.events(release.release_id, kinds=[Kind.GATE_NOT_NEEDED])
    assert event.data["left"] == [{"id": "managers", "group": "managers", "quorum": 1}]


@pytest.mark.parametrize(("owner", "by"), [(None, ""), (weighed(STRICT, 0), "production")])
def test_a_risk_that_was_told_of_another_live_version_is_none(ledger: Ledger, owner: Any, by: str) -> None:
    made = shape(MANAGERS, board(">= medium", by))
    release = start(ledger, made)
    assessed(ledger, release, LOW, owner)
    assert [r.id for r in ledger.votes.waive(release.release_id, GATE).left] == ["managers"]
    live(ledger, made, "2")
    assert [r.id for r in ledger.votes.waive(release.release_id, GATE).left] == ["managers", "board"]
    # It stays so, whatever is live later.
    live(ledger, made, "1")
    assert [r.id for r in ledger.votes.waive(release.release_id, GATE).left] == ["managers", "board"]
    assert len(ledger.events(release.release_id, kinds=[Kind.CHANGE_OUTDATED])) == 1


def test_a_medium_risk_needs_both(ledger: Ledger) -> None:
    release = start(ledger, shape(MANAGERS, board(">= medium")))
    assessed(ledger, release, MEDIUM)
    ask(ledger, release)
    with pytest.raises(Refused, match="is open, not approved"):
        go(ledger, release)
    approve(ledger, release, "a.bob")
    go(ledger, release)
    assert not ledger.events(release.release_id, kinds=[Kind.GATE_NOT_NEEDED])


def test_a_gate_without_a_rule_that_is_asked_for_is_passed_on_record_and_not_before(ledger: Ledger) -> None:
    release = start(ledger, shape(board(">= medium")))
    assessed(ledger, release, LOW)
    with pytest.raises(Refused, match="never opened"):
        go(ledger, release)
    for _ in range(2):
        assert ledger.votes.waive(release.release_id, GATE).left == ()
    go(ledger, release)
    [event] = ledger.events(release.release_id, kinds=[Kind.GATE_NOT_NEEDED])
    assert (event.data["left"], event.data["subject"]["version"]) == ([], "1.1.0")
    build(ledger, release, "sha256:" + "b" * 64)
    with pytest.raises(Refused, match=r"asked nobody, .* for artifact_digest .* clear production\.approval"):
        go(ledger, release)


@pytest.mark.parametrize(
    "broken",
    [
        None,
        {},
        {**LOW, "risk": "none"},
        {**LOW, "changes": {}},
        {**LOW, "contributions": "?"},
        {**MEDIUM, "risk": "low"},
        {name: value for name, value in LOW.items() if name != "circumstances"},
    ],
)
def test_what_is_not_known_is_asked_for(ledger: Ledger, broken: Any) -> None:
    release = start(ledger, shape(MANAGERS, board(">= medium")))
    if broken is not None:
        says(ledger, release, Kind.CHANGE_ASSESSED, "assess", broken)
    events = ledger.events(release.release_id, kinds=RELIEF)
    assert [r.id for r in waiver(release, release.plan.shape.step(GATE), events).left] == [
        "managers",
        "board",
    ]


def test_without_a_step_that_assesses_or_an_owners_weights_all_is_asked_for(ledger: Ledger) -> None:
    for n, made in enumerate(
        (
            shape(board(">= medium"), assesses=False),
            shape(board(">= medium", "production"), owner=None),
            shape(board(">= medium", "elsewhere")),
        )
    ):
        release = start(ledger, made, f"run-{n}")
        assessed(ledger, release, LOW, LOW)
        assert ledger.votes.waive(release.release_id, GATE).left


def test_an_owners_rule_goes_by_the_owners_weights_only(ledger: Ledger) -> None:
    release = start(ledger, shape(MANAGERS, board(">= medium", "production")))
    assessed(ledger, release, LOW, weighed(STRICT, 5))
    assert [r.id for r in ledger.votes.waive(release.release_id, GATE).left] == ["managers", "board"]
    other = start(ledger, shape(MANAGERS, board(">= medium", "production")), "run-2")
    assessed(ledger, other, MEDIUM, weighed(STRICT, 0))
    assert [r.id for r in ledger.votes.waive(other.release_id, GATE).left] == ["managers"]
    assert "by the weights of production" in ledger.votes.waive(other.release_id, GATE).spared[0].reason


def test_an_owners_rule_is_asked_for_where_only_the_pipelines_findings_are_on_record(ledger: Ledger) -> None:
    release = start(ledger, shape(board(">= medium", "production")))
    assessed(ledger, release, LOW)
    assert ledger.votes.waive(release.release_id, GATE).left


@pytest.mark.parametrize("later", [MEDIUM, {**LOW, "risk": "?"}])
def test_a_risk_that_is_told_anew_after_the_gate_is_refused(ledger: Ledger, later: Any) -> None:
    release = start(ledger, shape(MANAGERS, board(">= medium")))
    assessed(ledger, release, LOW)
    ask(ledger, release)
    go(ledger, release)
    assessed(ledger, release, {**later, "headline": "another"})
    with pytest.raises(Refused, match="it lacks 1 of board"):
        go(ledger, release)


def test_a_lower_risk_that_is_told_while_people_are_asked_lets_nobody_be_left_out(ledger: Ledger) -> None:
    release = start(ledger, shape(MANAGERS, board(">= medium")))
    assessed(ledger, release, MEDIUM)
    assessed(ledger, release, LOW)
    assert [r.id for r in ledger.votes.waive(release.release_id, GATE).left] == ["managers", "board"]


def test_nobody_writes_the_event_by_hand(ledger: Ledger) -> None:
    release = start(ledger, shape(board(">= medium")))
    event = NewEvent(kind=Kind.GATE_NOT_NEEDED, key="k", step=GATE, data={"left": [], "subject": {}})
    with pytest.raises(Exception, match="only the ledger's own calls"):
        ledger.record(release.release_id, event)


def test_a_gate_opened_with_too_few_rules_is_refused_where_a_step_acts(ledger: Ledger) -> None:
    release = start(ledger, shape(MANAGERS, board(">= medium")))
    assessed(ledger, release, MEDIUM)
    from relman_plugins.domain.approval import Rule

    rules = (Rule.model_validate(MANAGERS),)
    open_gate(ledger, release, rules=rules, people=(ALICE,), subject=shown(ledger, release))
    approve(ledger, release, "a.alice")
    with pytest.raises(Refused, match="it lacks 1 of board"):
        go(ledger, release)


def test_an_emergency_skips_only_what_is_asked_for(ledger: Ledger) -> None:
    both = shape(MANAGERS | {"waivable": True}, board(">= medium", waivable=True))
    release = start(ledger, both, emergency=True, emergency_reason="down")
    assessed(ledger, release, LOW)
    found = ledger.votes.waive(release.release_id, GATE)
    assert [[r.id for r in found.skipped], [r.id for r in found.spared], found.left] == [
        ["managers"],
        ["board"],
        (),
    ]
    go(ledger, release)
    [debt] = ledger.votes.debts()
    assert [r["id"] for r in debt.subject["waived"]] == ["managers"]


def test_who_waits_is_superseded_by_a_newer_release_that_needs_nobody_and_not_the_other_way(
    ledger: Ledger,
) -> None:
    made = shape(board(">= medium"))
    older, newer = start(ledger, made), start(ledger, made, "run-2")
    assessed(ledger, older, MEDIUM)
    open_gate(ledger, older, people=(BOB,), rules=ledger.votes.waive(older.release_id, GATE).left)
    assessed(ledger, newer, LOW)
    assert ledger.votes.waive(newer.release_id, GATE).left == ()
    [event] = ledger.events(older.release_id, kinds=[Kind.RELEASE_SUPERSEDED])
    assert event.data["by"] == newer.release_id


def test_an_older_release_that_needs_nobody_does_not_overtake_a_newer_one(ledger: Ledger) -> None:
    made = shape(board(">= medium"))
    older, newer = start(ledger, made), start(ledger, made, "run-2")
    assessed(ledger, older, LOW)
    assessed(ledger, newer, LOW)
    ledger.votes.waive(newer.release_id, GATE)
    with pytest.raises(Superseded):
        ledger.votes.waive(older.release_id, GATE)
    with pytest.raises(Refused, match="superseded by"):
        go(ledger, older)


FINDINGS = st.builds(
    ChangeSet,
    base=st.just("a" * 40),
    head=st.just("b" * 40),
    head_by=st.sampled_from(["tag v1", "HEAD"]),
    commit_count=st.integers(0, 100),
    lines=st.integers(0, 2000),
    migrations=st.sampled_from([(), ("1.sql",)]),
    unknown=st.sampled_from(["", "not read"]),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(FINDINGS, FINDINGS, st.sampled_from([">=", ">", "==", "<", "<="]), st.sampled_from(list(Risk)))
def test_a_rule_is_left_out_exactly_when_every_record_says_so(
    ledger: Ledger, one: ChangeSet, two: ChangeSet, operator: str, risk: Risk
) -> None:
    from relman_plugins.domain.event import Event
    from relman_plugins.ledger.conditions import sort
    from relman_plugins.ledger.releases import ReleaseRecord as Record

    made = shape(board(f"{operator} {risk}"))
    release = Record.model_construct(plan=ReleasePlan(shape=made, options=Options(version="1")))
    around = Circumstances(live="1.0.0")
    found = [assess(changes, around, POLICY) for changes in (one, two)]
    events = [
        Event.model_construct(kind=Kind.CHANGE_ASSESSED, data=one.model_dump(mode="json")) for one in found
    ]
    order = list(Risk)
    holds = {">=": "__ge__", ">": "__gt__", "==": "__eq__", "<": "__lt__", "<=": "__le__"}[operator]
    asked = any(getattr(order.index(f.risk), holds)(order.index(risk)) for f in found)
    assert bool(sort(release, made.step(GATE), events).needed) is asked


def test_what_is_approved_names_what_is_not_asked_for_only_where_something_depends(ledger: Ledger) -> None:
    release = start(ledger, shape(MANAGERS))
    assessed(ledger, release, LOW)
    events = ledger.events(release.release_id, kinds=SHOWN)
    assert "not_needed" not in canonical_subject(release, release.plan.shape.step(GATE), events)

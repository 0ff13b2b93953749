"""An emergency at the gate: what its task does, asks and tells."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from airflow.sdk.exceptions import TaskDeferred

from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.domain.identity import Actor
from relman_plugins.domain.status import Decision
from relman_plugins.plan.model import Options, ReleasePlan
from relman_plugins.steps.housekeeping import Housekeeper
from relman_plugins.triggers.analysis import AnalysisTrigger
from tests.steps import world as worlds
from tests.steps.rewriting import rewrite
from tests.steps.world import Release, Shows, World

GATE, FIRST, DEBT = "production.approval", "production.canary_50", "production.break_glass"
PRODUCTION = """
gates:
  - rules: [{approval: managers, waivable: true}, {approval: board}]
    escalate: {after: 2h, to: directors}
    valid_for: 3h
break_glass:
  group: incident
  audience: {slack: "#incidents"}
  follow_up: {approval: directors, within: 8h}
"""
PEOPLE = """
apiVersion: relman/v1
kind: People
people:
  alice: {airflow: alice, name: Alice}
  bob: {airflow: bob, name: Bob}
  carol: {airflow: carol, name: Carol}
  dora: {airflow: dora, name: Dora, slack: U0DORA1}
groups: {managers: [alice, bob], board: [bob], incident: [carol], directors: [dora]}
"""


@pytest.fixture
def board() -> bool:
    """Whether a rule that can't be skipped is there too."""
    return False


@pytest.fixture(autouse=True)
def specs(monkeypatch: pytest.MonkeyPatch, board: bool) -> None:
    gate = "    gates: [{approval: managers, timeout: 30m, on_timeout: reject}]\n"
    rewrite(monkeypatch, "checkout.yaml", (gate, ""))
    name = "environments/production.yaml"
    own = PRODUCTION if board else PRODUCTION.replace(", {approval: board}", "")
    monkeypatch.setitem(worlds.SPECS, name, worlds.SPECS[name] + own)
    monkeypatch.setitem(worlds.SPECS, "people.yaml", PEOPLE)


def emergency(world: World, who: str = "carol") -> Release:
    world.live("1.0.0")
    options = Options(version="1.1.0", emergency=True, emergency_reason="the shop is down")
    record = world.ledger.open_release(
        plan=ReleasePlan(shape=world.shape, options=options),
        dag_id=world.dag.dag_id,
        run_id="run-1",
        started_by=Actor(kind="person", id=who, name=who.title(), via="airflow"),
        conf={},
    )
    return Release(world, record, world.revisions["1.1.0"]).at_the_gate()


def test_a_member_goes_past_the_gate_and_owes_an_approval(world: World, comms: list[Any]) -> None:
    release = emergency(world)
    done = release.run(GATE)
    assert done["message"].startswith("break-glass: an emergency skips managers here")
    assert comms == []
    assert isinstance(release.run(FIRST).trigger, AnalysisTrigger)
    assert Housekeeper(world.ledger, Shows(GATE)).find_bypasses() == []
    wider = [m.event.kind for m in world.ledger.outbox.due(limit=500) if m.address == "#incidents"]
    assert wider == [Kind.GATE_WAIVED]
    debt = world.ledger.votes.debts()[0]
    assert (debt.gate, [p.id for p in debt.awaited]) == (DEBT, ["dora"])


def test_somebody_else_is_asked_for_as_ever_and_the_question_says_why(world: World, comms: list[Any]) -> None:
    release = emergency(world, "alice")
    assert isinstance(release.run(GATE), TaskDeferred)
    assert "This emergency skips no rule:" in comms[-1].body
    assert "Alice is not in incident" in comms[-1].body
    assert world.ledger.votes.debts() == []


@pytest.mark.parametrize("board", [True])
def test_the_rules_that_are_left_are_asked_for(world: World, comms: list[Any]) -> None:
    release = emergency(world)
    waiting = release.run(GATE)
    assert isinstance(waiting, TaskDeferred)
    assert [u.id for u in comms[-1].assigned_users] == ["bob", "dora"]
    assert "BREAK-GLASS" in comms[-1].body
    said = world.ledger.votes.cast(release.id, GATE, airflow_user="bob", decision=Decision.APPROVE, via="cli")
    assert said.accepted, said.reason
    assert release.resume(GATE, waiting, {"state": "approved"})["message"] == "approved by Bob"
    assert isinstance(release.run(FIRST).trigger, AnalysisTrigger)


@pytest.mark.parametrize("board", [True])
def test_what_was_skipped_is_not_asked_for_when_the_rest_is_asked_again(
    world: World, comms: list[Any]
) -> None:
    release = emergency(world)
    waiting = release.run(GATE)
    assert world.ledger.votes.cast(
        release.id, GATE, airflow_user="bob", decision=Decision.APPROVE, via="cli"
    ).accepted
    release.resume(GATE, waiting, {"state": "approved"})
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=3, seconds=1)):
        again = release.run(FIRST)
        assert [u.id for u in comms[-1].assigned_users] == ["bob", "dora"]
        assert world.ledger.votes.cast(
            release.id, GATE, airflow_user="bob", decision=Decision.APPROVE, via="cli"
        ).accepted
        done = release.resume(FIRST, again, {"state": "approved"})
        assert isinstance(done.trigger, AnalysisTrigger)


def test_maintenance_calls_the_second_group_and_tells_what_is_overdue(world: World, comms: list[Any]) -> None:
    release = emergency(world, "alice")
    release.run(GATE)
    gate = world.ledger.votes.gate(release.id, GATE)
    assert gate is not None
    from_then_on = (
        f"from {gate.opened_at + timedelta(hours=2):%Y-%m-%d %H:%M} UTC on also members of `directors`"
    )
    assert f"**Until when:** {gate.expires_at:%Y-%m-%d %H:%M} UTC, 1d after this was asked" in comms[-1].body
    assert from_then_on in comms[-1].body
    keeper = Housekeeper(world.ledger, Shows(GATE))
    assert keeper.escalate() == []
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=2, seconds=1)):
        assert keeper.escalate() == [f"{release.id}: {GATE} still waits; directors may answer now"]
        assert keeper.escalate() == []
    assert [e.data["group"] for e in release.events(Kind.GATE_ESCALATED)] == ["directors"]


def test_what_is_overdue_is_told(world: World, comms: list[Any]) -> None:
    release = emergency(world)
    release.run(GATE)
    keeper = Housekeeper(world.ledger, Shows(GATE))
    assert keeper.tell_overdue() == []
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=8, seconds=1)):
        assert len(keeper.tell_overdue()) == 1
        assert keeper.tell_overdue() == []
    assert [e.step for e in release.events(Kind.GATE_OVERDUE)] == [DEBT]


def test_maintenance_takes_a_rollback_after_the_no_for_what_was_done_about_it(
    world: World, comms: list[Any]
) -> None:
    release = emergency(world)
    release.run(GATE)
    keeper = Housekeeper(world.ledger, Shows(GATE))
    no = {"airflow_user": "dora", "decision": Decision.REJECT, "via": "cli"}
    assert world.ledger.votes.cast(release.id, DEBT, **no).accepted
    assert keeper.settle() == []
    back = NewEvent(
        kind=Kind.ROLLBACK_FINISHED, key="back", environment="production", data={"to": {"version": "1.0.0"}}
    )
    world.ledger.record(release.id, back)
    assert keeper.round().count(f"{release.id}: {DEBT} is settled: production was rolled back to 1.0.0") == 1
    assert keeper.settle() == []
    assert world.ledger.votes.debts() == []

"""Who started a release does not approve it from Slack either, where Airflow's ids are not its names."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from relman_plugins.domain.approval import Rule
from relman_plugins.domain.identity import Actor, Person
from relman_plugins.domain.status import Decision
from relman_plugins.ledger.api import Ledger, ReleaseRecord, open_ledger
from relman_plugins.notifications.buttons import Question
from relman_plugins.plan.model import BreakGlassPlan, Options, ReleasePlan
from relman_plugins.plugin import access, lookup
from relman_plugins.plugin.slack_command import Command
from relman_plugins.plugin.slack_freezes import obey
from relman_plugins.plugin.slack_request import Place, Press
from relman_plugins.plugin.slack_votes import Reply, reply_to
from tests.ledger.make import GATE, make_shape

PEOPLE = (
    Person(id="alice", airflow="7", name="Alice Example", slack="U01ALICE"),
    Person(id="bob", airflow="8", name="Bob Example", slack="U02BOB"),
)
RULE = Rule(id="managers", group="managers", people=("alice", "bob"), quorum=1)


class FabAuthManager:
    """FAB's, as far as it is asked: users have a number for an id, and a name of their own."""

    names = {7: "alice", 8: "bob"}  # noqa: RUF012 - nobody changes it

    def deserialize_user(self, token: dict[str, Any]) -> Any:
        number = int(token["sub"])
        if number not in self.names:
            raise ValueError(f"User with id {number} not found")
        return SimpleNamespace(
            is_active=True, get_id=lambda: number, get_name=lambda: self.names[number], id=number
        )

    def is_authorized_dag(self, **_: Any) -> bool:
        return True


class OtherAuthManager:
    """One that can't say anything of who is not there."""


@pytest.fixture
def manager(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    made = request.param()
    for module in (lookup, access):
        monkeypatch.setattr(module, "get_auth_manager", lambda: made)
    monkeypatch.setattr(access, "DagModel", SimpleNamespace(get_team_name=lambda _: None))
    return made


@pytest.fixture
def ledger(tmp_path: Path) -> Any:
    found = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield found
    found.close()


def asked(ledger: Ledger, starter: str) -> ReleaseRecord:
    """A release that somebody started, as Airflow tells it: by name."""
    record = ledger.open_release(
        plan=ReleasePlan(shape=make_shape(people=PEOPLE), options=Options(version="1.1.0")),
        dag_id="release__checkout",
        run_id="run",
        started_by=Actor(kind="person", id=starter, name=starter, via="airflow"),
        conf={},
    )
    ledger.votes.open_gate(
        record.release_id,
        GATE,
        subject={"version": "1.1.0"},
        people=PEOPLE,
        quorum=1,
        rules=(RULE,),
        own={starter: "started it"},
        timeout_s=600,
        on_timeout="reject",
    )
    return record


def press(ledger: Ledger, record: ReleaseRecord, user: str, decision: Decision = Decision.APPROVE) -> Reply:
    gate = ledger.votes.gate(record.release_id, GATE)
    assert gate is not None
    question = Question(release=record.release_id, gate=GATE, round=gate.round, digest=gate.subject_digest)
    place, seal = Place(channel="C01REL"), f"{user}{decision}"
    return reply_to(ledger, Press(user=user, question=question, decision=decision, place=place, seal=seal))


def state(ledger: Ledger, record: ReleaseRecord) -> str:
    gate = ledger.votes.gate(record.release_id, GATE)
    assert gate is not None
    return gate.state


@pytest.mark.parametrize("manager", [FabAuthManager], indirect=True)
def test_a_starter_known_by_name_is_refused_and_somebody_else_is_not(ledger: Ledger, manager: Any) -> None:
    record = asked(ledger, "alice")
    assert "nobody approves their own release" in press(ledger, record, "U01ALICE").told
    assert state(ledger, record) == "open"
    assert press(ledger, record, "U02BOB").counted
    assert state(ledger, record) == "approved"


@pytest.mark.parametrize("manager", [OtherAuthManager], indirect=True)
def test_where_nobody_can_say_who_started_it_nobody_approves_from_slack(ledger: Ledger, manager: Any) -> None:
    record = asked(ledger, "alice")
    for user in ("U01ALICE", "U02BOB"):
        assert "approve in Airflow" in press(ledger, record, user).told
    assert state(ledger, record) == "open"
    refused = [e.data["code"] for e in ledger.events(record.release_id) if e.kind == "vote.refused"]
    assert refused == ["not_authorised"] * 2


@pytest.mark.parametrize("manager", [OtherAuthManager], indirect=True)
def test_a_starter_known_by_id_is_refused_and_others_are_not(ledger: Ledger, manager: Any) -> None:
    record = asked(ledger, "7")
    assert "nobody approves their own release" in press(ledger, record, "U01ALICE").told
    assert press(ledger, record, "U02BOB").counted


@pytest.mark.parametrize("manager", [OtherAuthManager], indirect=True)
def test_a_rejection_is_nobodys_own(ledger: Ledger, manager: Any) -> None:
    reply = press(ledger, asked(ledger, "alice"), "U01ALICE", Decision.REJECT)
    assert reply.asks is not None, "a rejection asks for its reason, and is refused to nobody who is asked"


def told(ledger: Ledger, text: str) -> str:
    command = Command(user_id="U02BOB", channel_id="C01REL", text=text, seal=text)
    answer = obey(ledger, command)
    assert answer is not None
    return answer.text


@pytest.mark.parametrize("manager", [FabAuthManager], indirect=True)
def test_the_line_is_stopped_by_whom_the_auth_manager_knows(ledger: Ledger, manager: Any) -> None:
    asked(ledger, "alice")
    assert told(ledger, "freeze --reason x").startswith("everything in every environment is frozen by bob: x")
    (freeze,) = ledger.freezes.on()
    assert freeze.actor == Actor(kind="person", id="8", name="bob", via="slack", slack="U02BOB")


@pytest.mark.parametrize("manager", [FabAuthManager], indirect=True)
@pytest.mark.parametrize("named", ["people", "reviewers", "exceptions"])
def test_whoever_is_called_on_at_all_may_be_known(ledger: Ledger, manager: Any, named: str) -> None:
    people: dict[str, Any] = {"people": (), "reviewers": (), named: PEOPLE[1:]}
    glass = BreakGlassPlan(
        group="on-call",
        people=people["people"],
        reviewing="leads",
        reviewers=people["reviewers"],
        within_s=60,
    )
    shape = make_shape(people=())
    update = {"break_glass": glass, "exceptions": {"people": people.get("exceptions", ())}}
    environments = tuple(e.model_copy(update=update) for e in shape.environments)
    ledger.open_release(
        plan=ReleasePlan(
            shape=shape.model_copy(update={"environments": environments}), options=Options(version="1.1.0")
        ),
        dag_id="release__checkout",
        run_id="run",
        started_by=Actor(),
        conf={},
    )
    assert told(ledger, "freezes") == "nothing is frozen"


@pytest.mark.parametrize("manager", [OtherAuthManager], indirect=True)
def test_where_nobody_can_say_what_people_may_do_the_line_is_not_stopped_from_slack(
    ledger: Ledger, manager: Any
) -> None:
    asked(ledger, "alice")
    assert "can't be asked from here what you may do; use the command line" in told(
        ledger, "freeze --reason x"
    )
    assert ledger.freezes.on() == []


@pytest.mark.parametrize("manager", [FabAuthManager], indirect=True)
def test_who_is_two_people_or_is_gone_stops_no_line(ledger: Ledger, manager: Any) -> None:
    asked(ledger, "alice")
    manager.names = {7: "alice"}
    assert "no active user '8'" in told(ledger, "freeze --reason x")
    manager.names = FabAuthManager.names
    twin = Person(id="ben", airflow="7", name="Ben Example", slack="U02BOB")
    ledger.open_release(
        plan=ReleasePlan(shape=make_shape(people=(*PEOPLE, twin)), options=Options(version="1.2.0")),
        dag_id="release__checkout",
        run_id="later",
        started_by=Actor(),
        conf={},
    )
    assert "several people have your Slack id U02BOB" in told(ledger, "freeze --reason y")
    assert ledger.freezes.on() == []


def opened(ledger: Ledger, pipeline: str, *people: Person, environment: str = "", votes: str = "") -> None:
    """Let the newest release of a pipeline know people, in an environment of its own if it is named."""
    shape = make_shape(people=people)
    named = {"name": environment} if environment else {}
    named |= {"slack_votes": votes} if votes else {}
    there = tuple(e.model_copy(update=named) for e in shape.environments)
    plan = shape.model_copy(update={"pipeline": pipeline, "environments": there})
    ledger.open_release(
        plan=ReleasePlan(shape=plan, options=Options(version="1.0.0")),
        dag_id=f"release__{pipeline}",
        run_id=pipeline,
        started_by=Actor(),
        conf={},
    )


@pytest.mark.parametrize("manager", [FabAuthManager], indirect=True)
def test_one_pipeline_does_not_say_who_acts_for_the_others(ledger: Ledger, manager: Any) -> None:
    opened(ledger, "checkout", PEOPLE[0])
    opened(ledger, "toy", Person(id="alice", airflow="7", name="Alice Example", slack="U02BOB"))
    for scope in ("--environment production", ""):
        assert "who has another one as well" in told(ledger, f"freeze {scope} --reason x")
    assert "nobody whom the newest releases" in told(ledger, "freeze --pipeline checkout --reason x")
    assert ledger.freezes.on() == []


@pytest.mark.parametrize("manager", [FabAuthManager], indirect=True)
def test_only_plans_that_have_the_environment_say_who_acts_there(ledger: Ledger, manager: Any) -> None:
    opened(ledger, "checkout", *PEOPLE)
    opened(ledger, "toy", Person(id="mallory", airflow="7", name="M", slack="U02BOB"), environment="toys")
    assert "several people" in told(ledger, "freeze --reason x")
    assert told(ledger, "freeze --environment production --reason x").endswith("frozen by bob: x")
    assert "see that the names are right" in told(ledger, "freeze --environment prodution --reason x")


@pytest.mark.parametrize("manager", [FabAuthManager], indirect=True)
def test_whom_airflow_has_no_more_is_in_nobodys_way(ledger: Ledger, manager: Any) -> None:
    opened(ledger, "abandoned", Person(id="bob", airflow="bob", name="Bob", slack="U02BOB"))
    opened(ledger, "checkout", *PEOPLE)
    assert told(ledger, "freeze --environment production --reason x").endswith("frozen by bob: x")


@pytest.mark.parametrize("manager", [FabAuthManager], indirect=True)
def test_what_one_plan_says_of_an_environment_holds_for_all_that_have_it(
    ledger: Ledger, manager: Any
) -> None:
    opened(ledger, "checkout", *PEOPLE, votes="link")
    opened(ledger, "toy", *PEOPLE)
    opened(ledger, "apart", *PEOPLE, environment="toys")
    for scope in ("--pipeline toy --environment production", "--pipeline toy"):
        assert "is frozen" in told(ledger, f"freeze {scope} --reason x")
        assert "production has slack_votes: link" in told(ledger, f"thaw {scope} --reason x")
    assert "is frozen" in told(ledger, "freeze --pipeline apart --reason x")
    assert told(ledger, "thaw --pipeline apart --reason x").startswith("thawed: apart")


@pytest.mark.parametrize("manager", [FabAuthManager], indirect=True)
@pytest.mark.parametrize("user_id", ["07", "٧", "+7", " 7", "7.0", "seven", "", "9"])
def test_a_user_has_one_id_and_one_only(manager: Any, user_id: str) -> None:
    assert lookup.name_of(user_id) is None
    assert "no active user" in str(lookup.withheld(user_id, "release__checkout"))
    assert lookup.name_of("7") == "alice"

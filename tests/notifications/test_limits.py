"""Slack's limits hold for whatever a release is made of: any text, many stages, many people, many tests."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from relman_plugins.domain.event import Event, Kind
from relman_plugins.domain.identity import Actor, Person
from relman_plugins.notifications.about import About
from relman_plugins.notifications.blocks import MAX_BLOCKS, MAX_SECTION, Message, message, section
from relman_plugins.notifications.release import release_message
from relman_plugins.notifications.thread import thread_message
from relman_plugins.plan.model import Options, ReleasePlan, Shape, Step, StepKind
from relman_plugins.testing.slack_rules import check_message

AT = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
UGLY = st.lists(
    st.sampled_from(
        ["<!channel>", "<@U01EVIL>", "&", "<", ">", "|", "*", "_", "~", "`", "@here ", "#x", "\n", "\u202e",
         "\0", "👩‍👩‍👧", "é", "名前", "x" * 300, " "]
    ),
    max_size=40,
).map("".join)  # fmt: skip
MEMBER = st.integers(0, 10**6).map(lambda n: f"U{n:09d}")
PEOPLE = st.lists(st.tuples(MEMBER, UGLY), max_size=70, unique_by=lambda p: p[0]).map(
    lambda found: [Person(id=f"p{i}", airflow=f"p{i}", slack=s, name=n) for i, (s, n) in enumerate(found)]
)
ABOUT = st.builds(
    About,
    base_url=st.sampled_from(["", "https://airflow.example/" + "x" * 100]),
    dag_id=st.just("release__" + "c" * 63),
    run_id=UGLY.map(lambda t: "run" + t[:200]),
    call=PEOPLE.map(tuple),
    can_act=st.none() | st.frozensets(st.integers(0, 70).map("p{}".format)),
)


def checked(told: Message, *allowed: str) -> None:
    check_message(told.text, told.blocks, None)
    text = " ".join(
        str(block.get("text") or block.get("elements"))
        for block in told.blocks
        if "rich" not in block["type"]
    )
    found = re.findall(r"<@(\w+)>", text)
    assert len(found) == len(set(found)), "a person is mentioned twice"
    assert set(found) <= set(allowed)
    assert not re.search(r"<(?!@U\d|https://airflow|!date)", text)


def event(kind: Kind, step: str, id: int = 1, **data: Any) -> Event:
    return Event(
        id=id, release_id="checkout-1.1.0-1", kind=kind, key=f"k{id}", at=AT + timedelta(seconds=id),
        step=step, environment=step.partition(".")[0], data=data,
        actor=Actor(kind="person", id="x", name=data.pop("who", "x")),
    )  # fmt: skip


FIELDS = ("changes", "message", "reason", "comment", "suite", "analysis", "verdict", "outcome")
ASKS = [Kind.GATE_OPENED, Kind.GATE_REMINDED]


@settings(max_examples=40, deadline=None)
@given(kind=st.sampled_from(ASKS), text=UGLY, people=PEOPLE, known=ABOUT)
def test_a_gate_mentions_those_who_can_act_once_however_many_they_are(
    kind: Kind, text: str, people: list[Person], known: About
) -> None:
    data = {"people": [p.model_dump() for p in people * 2], "quorum": 50, "subject": {"changes": text}}
    told = thread_message(event(kind, "production.approval", **data), known._replace(call=()))
    assert told is not None
    asked = [p.slack for p in people if known.can_act is None or p.id in known.can_act]
    checked(told, *asked)


@settings(max_examples=80, deadline=None)
@given(
    kind=st.sampled_from([k for k in Kind if k not in ASKS]),
    text=UGLY,
    known=ABOUT,
    failed=st.lists(st.fixed_dictionaries({"name": UGLY, "message": UGLY}), max_size=20),
    times=st.integers(1, 40),
)
def test_any_event_makes_a_message_that_slack_takes_and_that_mentions_only_who_is_called(
    kind: Kind, text: str, known: About, failed: list[dict[str, str]], times: int
) -> None:
    many = {"failed": failed * times, "failures": len(failed) * times, "tests": 900, "lines": [text] * times}
    told = thread_message(
        event(kind, f"production.{text[:60]}", who=text, **many, **dict.fromkeys(FIELDS, text)), known
    )
    if told is not None:
        checked(told, *(p.slack for p in known.call))


def a_plan(names: list[str], owner: str = "o", version: str = "1.1.0") -> ReleasePlan:
    steps = tuple(Step(id=f"{n}.approval", kind=StepKind.APPROVAL, stage=n, environment=n) for n in names)
    shape = Shape(
        pipeline="c" * 63, owner=owner, description=owner, service="c", spec_digest="sha256:" + "5" * 64,
        steps=steps, environments=(),
    )  # fmt: skip
    return ReleasePlan(shape=shape, options=Options(version=version))


def lines_of(told: Message) -> list[str]:
    texts = [block["text"]["text"] for block in told.blocks if block["type"] == "section"]
    return "\n".join(texts).split("\n")


def test_hundreds_of_stages_are_all_listed_in_several_blocks() -> None:
    names = [f"stage-{n}" for n in range(400)]
    waits = event(Kind.GATE_OPENED, "stage-399.approval", people=[], quorum=1)
    told = release_message(
        "checkout-1.1.0-1", a_plan(names), [event(Kind.RELEASE_OPENED, "open"), waits], About()
    )
    checked(told)
    found = [line for line in lines_of(told) if "*stage-" in line]
    assert [line.split("*")[1] for line in found] == names
    assert found[-1].startswith("✋")
    assert 2 < len(told.blocks) < MAX_BLOCKS


def test_more_stages_than_slack_shows_are_counted_and_the_foot_stays() -> None:
    names = [f"{n:03}{'&' * 70}" for n in range(500)]
    told = release_message("checkout-1.1.0-1", a_plan(names), [event(Kind.RELEASE_OPENED, "open")], About())
    checked(told)
    assert len(told.blocks) == MAX_BLOCKS
    assert told.blocks[-1]["type"] == "context"
    assert "checkout-1.1.0-1" in str(told.blocks[-1])
    full = [len(b["text"]["text"]) for b in told.blocks if b["type"] == "section"][1:]
    assert min(full) > MAX_SECTION - 600
    lines = lines_of(told)
    shown = sum("&amp;" in line for line in lines)
    assert lines[-1] == f"… and {len(names) - shown} more"


def test_hundreds_of_failed_tests_and_parts_stay_within_a_message() -> None:
    for many in (9, 900):
        failed = [{"name": f"test_{n}_" + "x" * 400, "message": "&" * 3000} for n in range(many)]
        told = thread_message(event(Kind.SUITE_FINISHED, "qa.unit", failed=failed, failures=many, tests=900))
        assert told is not None
        checked(told)
        shown = sum(line.startswith("• ") for line in lines_of(told))
        assert 1 < shown < 9
        assert lines_of(told)[-1] == f"… and {many - shown} more"
    parts = message("m", [section("x" * 9000, str(n)) for n in range(MAX_BLOCKS + 7)])
    checked(parts)
    assert len(parts.blocks) == MAX_BLOCKS
    assert "8 more parts not shown" in str(parts.blocks[-1])


@settings(max_examples=40, deadline=None)
@given(
    stages=st.integers(1, 20) | st.integers(200, 300),
    people=PEOPLE,
    text=UGLY,
    known=ABOUT,
    waits=st.booleans(),
    version=st.text("1.-+", min_size=1, max_size=64),
)
def test_the_message_of_a_release_with_many_stages_fits_and_mentions_nobody(
    stages: int, people: list[Person], text: str, known: About, waits: bool, version: str
) -> None:
    names = [f"{'s' * 55}-{n}" for n in range(stages)]
    plan = a_plan(names, text, "1" + version)
    asked = {
        "people": [p.model_dump() for p in people],
        "quorum": 2,
        "expires_at": AT.isoformat(),
        "round": 1,
    }
    events = [event(Kind.RELEASE_OPENED, "open", who=text)]
    events += [event(Kind.GATE_OPENED, step.id, n, **asked) for n, step in enumerate(plan.shape.steps, 2)]
    if not waits:
        events.append(event(Kind.RELEASE_CLOSED, "close", 999, outcome="failed", reason=text))
    checked(release_message("checkout-1.1.0-1", plan, events, known))

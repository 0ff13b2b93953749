"""What is said of follow-ups: who is asked, who is mentioned, what was wanted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from relman_plugins.domain.event import Kind
from relman_plugins.domain.identity import Actor
from relman_plugins.notifications.about import About
from relman_plugins.notifications.progress import stages
from relman_plugins.notifications.thread import thread_message
from relman_plugins.plan.model import ReleasePlan, Step, StepKind
from relman_plugins.testing.slack import plain as read
from relman_plugins.testing.slack_rules import check_message
from tests.notifications.test_messages import event

ASKED = {
    "people": [{"id": "alice", "name": "Alice", "slack": "U01ALICE"}, {"id": "bob", "name": "Bob"}],
    "until": "2026-01-03T03:04:00+00:00",
    "outcome": "failed",
}
WHERE = About(base_url="https://airflow.example", dag_id="release__checkout", run_id="r")
BOB = Actor(kind="person", id="bob", name="Bob", via="airflow")


def said(kind: Kind, about: About = WHERE, actor: Actor | None = None, **data: Any) -> str:
    told = thread_message(event(kind, "follow_up", actor, **data), about)
    assert told is not None
    check_message(told.text, told.blocks, None)
    return read({"text": told.text, "blocks": told.blocks}) + str(told.blocks)


def test_those_asked_are_mentioned_while_they_can_answer() -> None:
    asked = said(Kind.FOLLOW_UP_ASKED, **ASKED)
    assert "checkout-1.1.0-1: one of @U01ALICE, Bob is asked for follow-ups until" in asked
    assert "/runs/r/tasks/follow_up/required_actions|Answer in Airflow>" in asked
    assert "/report?format=html|Read the report>" in asked
    answered = said(Kind.FOLLOW_UP_ASKED, WHERE._replace(can_act=frozenset()), **ASKED)
    assert "one of Alice, Bob is asked" in answered
    assert "<@" not in answered


def test_what_was_wanted_is_said_as_it_was_written() -> None:
    items = [
        {"what": "<!channel> *alert*", "who": "Bob", "by": "2026-03-09"},
        {"what": "test it", "who": "", "by": None},
    ]
    told = said(Kind.FOLLOW_UP, actor=BOB, items=items)
    assert "Bob (via airflow) wants 2 follow-ups of checkout-1.1.0-1" in told
    assert "• <!channel> ∗alert∗ (Bob, by 2026-03-09)\n• test it\n" in told.partition("[{")[0] + "\n"
    assert "&lt;!channel&gt;" in told
    assert "has no follow-ups of" in said(Kind.FOLLOW_UP, actor=BOB, items=[])


def test_the_question_is_no_stage_of_the_release(plan: Callable[..., ReleasePlan]) -> None:
    known = plan("1.1.0")
    step = Step(id="follow_up", kind=StepKind.FOLLOW_UP, needs=("close",))
    longer = known.model_copy(
        update={"shape": known.shape.model_copy(update={"steps": (*known.shape.steps, step)})}
    )
    assert stages(longer, []) == stages(known, [])

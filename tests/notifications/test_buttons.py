"""Buttons under a gate's question: within Slack's limits, gone when it is answered, and hostile values."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman_plugins.domain.event import Kind
from relman_plugins.domain.identity import Actor, Person
from relman_plugins.domain.status import Decision
from relman_plugins.ledger.api import GateState, Ledger, ReleaseRecord
from relman_plugins.notifications.buttons import MAX_VALUE, Question, buttons, form
from relman_plugins.notifications.outbox import drain
from relman_plugins.notifications.slack import Slack
from relman_plugins.plan.routing import Route
from relman_plugins.testing.slack import SlackServer
from relman_plugins.testing.slack_interactive import buttons_of
from relman_plugins.testing.slack_rules import check_message
from relman_plugins.testing.slack_views import check_view

GATE = "production.approval"
LATER = datetime(2100, 1, 1, tzinfo=UTC)
ALICE = Person(id="alice", airflow="alice", name="Alice", slack="U01ALICE")
BOB = Person(id="bob", airflow="bob", name="Bob", slack="U02BOB")

words = st.text(max_size=400) | st.text(alphabet="<>&*_~`@\u202e\U0001f600x", max_size=9000)


def ask(ledger: Ledger, release: ReleaseRecord, quorum: int = 1, **subject: Any) -> GateState:
    asked = {"pipeline": "checkout", "version": release.version, "artifact_digest": "sha256:" + "a" * 64}
    return ledger.votes.open_gate(
        release.release_id,
        GATE,
        subject=asked | subject,
        people=[ALICE, BOB],
        quorum=quorum,
        timeout_s=600,
        on_timeout="reject",
    )


def approve(ledger: Ledger, release: ReleaseRecord, user: str) -> None:
    vote = {"airflow_user": user, "decision": Decision.APPROVE, "via": "cli"}
    assert ledger.votes.cast(release.release_id, GATE, **vote).accepted


def questions(server: SlackServer, channel: str = "rel-checkout") -> list[dict[str, Any]]:
    return [m for m in server.messages(channel) if "What is approved" in json.dumps(m["blocks"])]


@given(changes=words, suite=words, environment=words, version=words)
def test_buttons_and_form_keep_slacks_limits_whatever_is_asked(
    changes: str, suite: str, environment: str, version: str
) -> None:
    subject = {
        "pipeline": "c" * 63,
        "version": version,
        "environment": environment,
        "changes": changes,
        "tests": [{"suite": suite, "tests": 10**9, "failures": 1}] * 30,
    }
    gate = GateState.model_construct(
        release_id="r" * 140, gate="g" * 140, round=1, subject=subject, subject_digest="sha256:" + "f" * 64,
        rules=(), people=(ALICE,), state="open",
    )  # fmt: skip
    check_message("asked", [buttons(gate)], None)
    (value,) = {b["value"] for b in buttons_of({"blocks": [buttons(gate)]})}
    assert len(value) <= MAX_VALUE
    assert Question.read(value) == Question.of(gate)
    for decision in Decision:
        check_view(form(gate, decision, "x" * 3000))


def test_only_what_comes_before_a_change_may_take_effect_later() -> None:
    """What an emergency owes, say, is followed by nothing that could wait."""
    known = {
        "release_id": "r",
        "gate": "g",
        "round": 1,
        "subject_digest": "d",
        "rules": (),
        "people": (ALICE,),
    }
    for subject, offered in (({}, True), ({"step": "production.break_glass"}, False)):
        gate = GateState.model_construct(**known, subject=subject, state="open")
        shown = [b["action_id"] for b in buttons_of({"blocks": [buttons(gate)]})]
        assert ("relman.approve_later" in shown) is offered
        asked = [b.get("block_id") for b in form(gate, Decision.APPROVE, "")["blocks"]]
        assert ("effect_at" in asked) is offered
        assert "effect_at" not in str(form(gate, Decision.REJECT, ""))


@given(st.text(max_size=3000) | st.recursive(st.none() | st.integers(), st.lists).map(json.dumps))
def test_what_no_button_ever_carried_is_refused(value: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any text at all
        Question.read(value)


def test_without_a_way_back_there_is_a_link_and_no_button(
    ledger: Ledger, server: SlackServer, slack: Slack, opened: Callable[..., ReleaseRecord]
) -> None:
    ask(ledger, opened())
    drain(ledger, slack, base_url="https://airflow.example")
    (asked,) = questions(server)
    assert not list(buttons_of(asked))
    assert "Answer in Airflow" in json.dumps(asked)


def test_a_checklist_has_a_link(
    ledger: Ledger, server: SlackServer, slack: Slack, opened: Callable[..., ReleaseRecord]
) -> None:
    ask(ledger, opened(), checklist=[{"id": "pay", "item": "Paid"}], suite="hands")
    drain(ledger, slack, buttons=True)
    assert not any(list(buttons_of(m)) for m in server.messages())


def test_a_rewriting_that_failed_is_done_by_the_next_process(
    ledger: Ledger, server: SlackServer, slack: Slack, opened: Callable[..., ReleaseRecord]
) -> None:
    release = opened()
    ask(ledger, release)
    assert drain(ledger, slack, buttons=True).pending == 0
    assert list(buttons_of(questions(server)[0]))
    approve(ledger, release, "alice")
    server.fault("server_error", method="chat.update")
    assert drain(ledger, slack, buttons=True).pending > 0
    assert list(buttons_of(questions(server)[0]))

    assert drain(ledger, slack, LATER, buttons=True).pending == 0
    (asked,) = questions(server)
    assert not list(buttons_of(asked))
    assert asked["text"].startswith("✅ production: approved by Alice")
    assert sum("approved production" in m["text"] for m in server.messages()) == 1


def test_a_reminders_buttons_go_with_the_question_and_a_half_answered_gate_keeps_them(
    ledger: Ledger, server: SlackServer, slack: Slack, opened: Callable[..., ReleaseRecord]
) -> None:

    release = opened()
    ledger.votes.open_gate(
        release.release_id, GATE, subject={"version": "1.1.0"}, people=[ALICE, BOB], quorum=2, timeout_s=600,
        on_timeout="reject", remind_s=60,
    )  # fmt: skip
    drain(ledger, slack, LATER, buttons=True)
    gate = ledger.votes.gate(release.release_id, GATE)
    assert gate is not None
    assert ledger.votes.remind(release.release_id, GATE, now=gate.opened_at + timedelta(seconds=61))
    approve(ledger, release, "alice")
    drain(ledger, slack, LATER, buttons=True)
    assert [bool(list(buttons_of(m))) for m in server.messages()].count(True) == 2
    assert "waits for 1 more of 2 approvals of <@U02BOB>" in questions(server)[0]["text"]
    approve(ledger, release, "bob")
    drain(ledger, slack, LATER, buttons=True)
    assert not any(list(buttons_of(m)) for m in server.messages())


def test_a_question_that_the_end_of_the_release_overtook_asks_nobody(
    ledger: Ledger, server: SlackServer, slack: Slack, opened: Callable[..., ReleaseRecord],
    happens: Callable[..., None],
) -> None:  # fmt: skip
    release = opened()
    ask(ledger, release)
    drain(ledger, slack, buttons=True)
    happens(release.release_id, Kind.RELEASE_CLOSED, "close", outcome="aborted", reason="stop")
    drain(ledger, slack, buttons=True)
    (asked,) = questions(server)
    assert not list(buttons_of(asked))
    assert "the release has ended before this was answered" in asked["text"]


def test_a_channel_that_hears_only_of_questions_is_told_the_decision_too(
    ledger: Ledger, server: SlackServer, slack: Slack, plan: Callable[..., Any]
) -> None:

    asks = Route(channel="slack", addresses=("#releases",), when=("waiting",))
    made = plan("1.1.0")
    shape = made.shape.model_copy(update={"routes": (asks,)})
    release = ledger.open_release(
        plan=made.model_copy(update={"shape": shape}), dag_id="release__checkout", run_id="r",
        started_by=Actor(), conf={},
    )  # fmt: skip
    ask(ledger, release)
    drain(ledger, slack, buttons=True)
    assert list(buttons_of(questions(server, "releases")[0]))
    approve(ledger, release, "alice")
    drain(ledger, slack, buttons=True)
    assert not list(buttons_of(questions(server, "releases")[0]))

"""What the page of a gate says of each kind of question."""

from __future__ import annotations

import html
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from relman_plugins.domain.approval import Escalation, Lacking, Rule
from relman_plugins.domain.field import Field
from relman_plugins.domain.identity import Person
from relman_plugins.domain.status import Decision
from relman_plugins.ledger.api import GateState, Vote
from relman_plugins.reports.gate import gate_page

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
ALICE = Person(id="al", airflow="alice", name="Alice Example")
BOB = Person(id="alice", airflow="b.b", name="Bob")
BASE = {"pipeline": "shop", "version": "1.1.0", "environment": "production", "changes": "new\n\n- prices"}
RULE = Rule(id="board", group="board", people=("al", "alice"), comment="required")


def gate(subject: dict[str, Any], **more: Any) -> GateState:
    facts: dict[str, Any] = {
        "release_id": "shop-1.1.0-1",
        "gate": "production.approval",
        "round": 1,
        "state": "open",
        "subject": BASE | subject,
        "subject_digest": "sha256:" + "a" * 64,
        "people": (ALICE, BOB),
        "quorum": 1,
        "rules": (RULE,),
        "on_timeout": "reject",
        "votes": (),
        "missing": 1,
        "lacking": (),
        "opened_at": NOW,
        "expires_at": NOW + timedelta(hours=1),
    }
    return GateState(**facts | more)


def page(state: GateState, user: str = "alice", name: str = "", ended: str = "") -> str:
    urls = {"votes_url": "/v", "asked_url": "/a", "report_url": "/r"}
    return html.unescape(gate_page(state, user, name, ended=ended, **urls))


@pytest.mark.parametrize(
    ("subject", "words"),
    [
        ({}, ["new\n\n- prices", '  "version": "1.1.0"']),
        ({"parity": {"with": "qa", "lines": ["A: 1, not 2"]}}, ["What differs from qa", "A: 1, not 2"]),
        ({"ticket": "CHG0000042"}, ["CHG0000042"]),
        ({"verdict": "no_data", "reason": "no series"}, ["no_data: neither good nor bad", "no series"]),
        ({"waived": [{"id": "b", "group": "board", "quorum": 2, "gate": "x"}]}, ["2 of board at x"]),
        ({"closed": ["Friday"], "past": ["c1"]}, ["What it goes past", "Friday"]),
        ({"emergency": True, "emergency_reason": "down"}, ["Emergency:</b> down"]),
        ({"parameters": {"users": 7, "note": ""}}, ["users: 7"]),
        (
            {
                "tests": [
                    {"step": "qa.unit", "tests": 3, "failures": 1, "skipped": 2, "failed": ["test_a"]},
                    {"step": "qa.scan", "tests": 0, "reports": ["sarif: 1 high"], "flaky": ["test_b"]},
                ]
            },
            ["qa.unit: 3 tests, 1 failed, 2 skipped", "failed: test_a", "sarif: 1 high", "flaky: test_b"],
        ),
        (
            {
                "assessment": {
                    "headline": "high (80)",
                    "reasons": ["migrations: 40"],
                    "environments": {"production": {"headline": "low (1)", "reasons": []}},
                    "commits": ["abc: prices"],
                    "commit_count": 3,
                    "authors": ["Carol"],
                    "issues": ["PAY-1"],
                }
            },
            [
                "Risk: high (80)",
                "migrations: 40",
                "By the weights of production: low (1)",
                "abc: prices",
                "2 more",
            ],
        ),
        (dict.fromkeys(BASE), ["not said", "–"]),
    ],
)
def test_each_kind_of_question_is_there_to_be_read(subject: dict[str, Any], words: list[str]) -> None:
    shown = page(gate(subject))
    for each in words:
        assert each in shown.partition("<details>")[0] or each.startswith('  "'), each
        assert each in shown
    assert "None" not in shown.partition("<details>")[0]


def test_what_is_missing_is_said_as_everywhere_and_what_a_rule_asks_for_is_marked() -> None:
    vote = Vote(person="al", name="Alice", decision=Decision.APPROVE, comment="", via="api", at=NOW)
    lacking = Lacking(
        rule="board", group="board", missing=1, people=("alice",), again=("al",), wants=("a comment",)
    )
    shown = page(gate({}, votes=(vote,), lacking=(lacking,)))
    assert "1 of board (Bob, Alice Example by withdrawing and voting again), with a comment" in shown
    assert "Take back my approval" in shown
    assert 'value="approve"' not in shown
    assert "Comment *" in page(gate({}), "b.b")


def test_who_reads_it_is_known_by_the_user_and_by_the_name_that_airflow_has_for_a_starter() -> None:
    vote = Vote(person="alice", name="Bob", decision=Decision.APPROVE, comment="", via="api", at=NOW)
    assert "Take back" not in page(gate({}, votes=(vote,))), "user alice is person al"
    started = gate({}, own={"carol": "started it"})
    assert "your own release (started it)" in page(started, "7", "carol")
    assert "not among those" in page(gate({}), "mallory")


def test_whom_an_escalation_calls_later_and_when_is_said_until_it_does() -> None:
    lead = Person(id="lea", airflow="lea", name="Lea <Lead>")
    second = Escalation(after_s=1800, group="leads", people=("lea", "al"))
    more: dict[str, Any] = {"people": (ALICE, BOB, lead), "escalate": second}
    shown = page(gate({}, **more))
    assert "from 2026-11-26 12:30:00 UTC on, while nobody has decided, leads may answer too: Alice" in shown
    assert "too: Alice Example, Lea <Lead></li>" in shown
    over = {"escalated_at": NOW + timedelta(minutes=30)}
    late = {"expires_at": NOW + timedelta(minutes=30)}
    for other in (over, late, {"state": "approved"}, {"escalate": None}):
        assert "may answer too" not in page(gate({}, **more | other))
    assert "may answer too" not in page(gate({}, **more), ended="its time is over")


def test_no_answer_is_offered_when_none_counts_and_choices_go_as_they_are() -> None:
    assert "<form" not in page(gate({}), ended="its time is over")
    field = Field(name="dataset", enum=("low  risk", "high"))
    rule = RULE.model_copy(update={"fields": (field,)})
    shown = page(gate({}, rules=(rule,)))
    assert 'name="field-dataset"' in shown
    assert '<option value="low  risk">' in shown

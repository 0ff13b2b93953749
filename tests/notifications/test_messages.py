"""What people read, and that no text of anybody can do more than be read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman_plugins.domain.event import Kind
from relman_plugins.domain.identity import Actor
from relman_plugins.ledger.api import Ledger, ReleaseRecord
from relman_plugins.notifications.blocks import Message
from relman_plugins.notifications.outbox import drain
from relman_plugins.notifications.slack import Slack
from relman_plugins.notifications.text import duration, escape, moment, plain
from relman_plugins.notifications.thread import thread_message
from relman_plugins.testing.slack import SlackServer
from relman_plugins.testing.slack_rules import check_message
from tests.notifications.telling import ALICE, REVISION, STABLE, STOPPED_LINE, event, said

HOSTILE = (
    "<!channel> <@U01ALICE> <https://evil.example|click> @here :fire: *bold* _it_ ~no~ `code`\n"
    "&lt;!here&gt; \x00\x1b[31m \u202egnp.exe \u200f\u061c\x9b31m \u200b\U000e0041 " + "x" * 5000
)
SUBJECT = {
    "pipeline": "checkout",
    "version": "1.1.0",
    "artifact_digest": "sha256:" + "b" * 64,
    "plan_hash": "sha256:" + "c" * 64,
    "changes": "New prices",
    "tests": [{"suite": "unit", "tests": 3, "failures": 0}],
}
PEOPLE = [{"id": "alice", "name": "Alice", "slack": "U01ALICE"}, {"id": "bob", "name": "Bob"}]
TELLING: list[tuple[Kind, dict[str, Any], list[str]]] = [
    (
        Kind.CHANGE_ASSESSED,
        {
            "risk": "medium",
            "headline": "medium risk (40 points)",
            "contributions": [{"factor": "migrations", "points": 30, "reason": "db/1.sql"}],
            "changes": {
                "commit_count": 12,
                "file_count": 3,
                "commits": [{"id": "a" * 40, "subject": "Move data"}] * 12,
                "issues": ["OPS-7"],
            },
            "circumstances": {"live": "1.0.0"},
            "authors": [{"name": "Ann", "email": "ann@example.org"}],
            "environments": {"production": {"headline": "high risk (60 points)"}},
        },
        [
            "• by the weights of production: high risk (60 points)",
            "🟡 medium risk (40 points) since 1.0.0: 12 commits, 3 files, 1 author",
            "db/1.sql (+30)",
            "aaaaaaaaa Move data",
            "and 2 more",
            "OPS-7",
        ],
    ),
    (
        Kind.RELEASE_OPENED,
        {"actor": ALICE, "changes": "New prices", "emergency": True},
        ["Alice (via cli)", "emergency", "│ New prices"],
    ),
    (
        Kind.ARTIFACT_BUILT,
        {"revision": REVISION, "size": 2048, "files": 3},
        ["1.1.0", "sha256:aaaaaaaaaaaa", "3 files", "2 KB"],
    ),
    (
        Kind.SUITE_FINISHED,
        {
            "suite": "unit",
            "tests": 3,
            "failures": 1,
            "errors": 0,
            "skipped": 1,
            "seconds": 1.5,
            "passed": False,
            "failed": [{"name": "t.a", "message": "boom"}],
        },
        ["❌ unit", "3 tests, 1 failed, 1 skipped", "t.a", "boom"],
    ),
    (
        Kind.GATE_OPENED,
        {"subject": SUBJECT, "people": PEOPLE, "quorum": 1, "expires_at": "2026-01-02T04:00:00+00:00"},
        [
            "1 approval of @U01ALICE, Bob",
            "04:00 UTC",
            "sha256:bbbbbbbbbbbb",
            "sha256:cccccccccccc",
            "unit 3 tests, 0 failed",
            "│ New prices",
            "relman approve checkout-1.1.0-1",
        ],
    ),
    (
        Kind.GATE_OPENED,
        {
            "subject": SUBJECT
            | {"suite": "acceptance", "checklist": [{"id": "pay", "item": "A card <can> be paid with"}]},
            "people": PEOPLE,
            "quorum": 1,
        },
        [
            "📋 acceptance in production waits for one of @U01ALICE, Bob to try 1 item of 1.1.0",
            "• A card <can> be paid with",
            "│ New prices",
            "relman approve checkout-1.1.0-1 --passed all",
        ],
    ),
    (
        Kind.PARITY_COMPARED,
        {
            "with": "staging",
            "of": ["config"],
            "lines": [f"KEY_{n}: only in staging (<x>)" for n in range(12)],
        },
        [
            "⚖️ production and staging: 12 differences in config",
            "• KEY_9: only in staging (<x>)",
            "… and 2 more",
        ],
    ),
    (
        Kind.PARITY_COMPARED,
        {"with": "staging", "of": ["config", "drift"], "lines": []},
        ["⚖️ production and staging: no difference in config, drift"],
    ),
    (
        Kind.GATE_VOTED,
        {"actor": ALICE, "decision": "reject", "via": "api", "comment": "Not today"},
        ["👎 Alice rejected production (via api)", "│ Not today"],
    ),
    (Kind.GATE_DECIDED, {"state": "expired"}, ["⌛ production: expired"]),
    (
        Kind.RELEASE_SUPERSEDED,
        {"actor": ALICE, "by": "checkout-1.2.0-1", "version": "1.2.0", "reason": "…"},
        ["⏭️ Superseded by 1.2.0 (checkout-1.2.0-1), which Alice approved for production"],
    ),
    (
        Kind.GATE_WAIVED,
        {
            "actor": ALICE,
            "rules": [{"id": "m", "group": "managers", "quorum": 2}],
            "left": [{"id": "b", "group": "board", "quorum": 1}],
            "reason": "The shop is down",
            "reviewers": [{"id": "dora", "name": "Dora", "slack": "U0DORA1"}],
            "due_at": "2026-03-29T12:00:00+00:00",
            "debt": "production.break_glass",
        },
        [
            "🔓 Break-glass: Alice skips 2 of managers in production",
            "│ The shop is down",
            "Still needed: 1 of board. One of @U0DORA1 must approve this afterwards",
            "--gate production.break_glass",
        ],
    ),
    (
        Kind.GATE_NOT_NEEDED,
        {
            "rules": [
                {
                    "id": "b",
                    "group": "board",
                    "quorum": 2,
                    "when": "risk > low",
                    "reason": "low risk (5 points)",
                }
            ],
            "left": [],
        },
        [
            "🟢 production needs no approval at this risk",
            "• not needed: 2 of board: low risk (5 points), and it is asked only if risk > low",
        ],
    ),
    (
        Kind.GATE_ESCALATED,
        {
            "group": "directors",
            "people": [{"id": "dora", "name": "Dora", "slack": "U0DORA1"}],
            "after_s": 7200.0,
        },
        ["⏫ production has waited for 2 h 0 min and now also asks directors: @U0DORA1"],
    ),
    (
        Kind.GATE_OVERDUE,
        {
            "waived": [{"id": "m", "group": "managers", "quorum": 2}],
            "people": [{"id": "dora", "name": "Dora"}],
            "due_at": "2026-03-29T12:00:00+00:00",
        },
        ["⏰ Overdue: what an emergency skipped in production (2 of managers) is still not approved", "Dora"],
    ),
    (
        Kind.GATE_SETTLED,
        {"how": "acknowledged", "reason": "there is an alert now"},
        ["🧾 production: the rejection of what an emergency skipped is settled", "│ there is an alert now"],
    ),
    (Kind.GATE_BYPASSED, {"message": "marked green"}, ["🚨", "without a decision", "│ marked green"]),
    (
        Kind.CHANGE_FINISHED,
        {"desired": {"stable": STABLE, "candidate": REVISION, "candidate_weight": 10}, "seconds": 0.5},
        ["1.1.0 gets 10 %, 1.0.0 the rest in 0.5 s"],
    ),
    (
        Kind.CHANGE_FINISHED,
        {"desired": {"stable": REVISION}, "promoted": True, "stable": REVISION},
        ["🏁 production: 1.1.0 is live"],
    ),
    (Kind.CHANGE_FINISHED, {"desired": {}, "seconds": 1.0}, ["🧹 production was emptied in 1.0 s"]),
    (
        Kind.CHANGE_FINISHED,
        {"desired": {}, "provisioned": True},
        ["🌱 production is provisioned: empty, ready for the first version"],
    ),
    (
        Kind.ANALYSIS_FINISHED,
        {
            "analysis": "golden-signals",
            "weight": 10,
            "verdict": "no_data",
            "reason": "rests on 3",
            "looks": 3,
        },
        ["golden-signals in production at 10 %: no data after 3 looks", "rests on 3"],
    ),
    (
        Kind.TRAFFIC_WITHDRAWN,
        {"reason": "errors", "seconds": 0.4, "served": {"candidate": 12, "total": 400}},
        ["back at the old version after 0.4 s; the new version served 12 of 400 requests", "│ errors"],
    ),
    (Kind.ROLLBACK_FINISHED, {"to": STABLE}, ["rolled back to 1.0.0"]),
    (
        Kind.RELEASE_CLOSED,
        {"outcome": "rolled_back", "reason": "analysis failed"},
        ["↩️ checkout-1.1.0-1 is closed: rolled back", "│ analysis failed"],
    ),
    *STOPPED_LINE,
    (
        Kind.WINDOW_WAITED,
        {
            "reasons": ["denied by year <end> of calendar company", "opens soon"],
            "gives_up_at": "2026-03-09T12:00:00+00:00",
        },
        ["🕒 production waits for its release window; gives up ", "denied by year <end> of calendar company"],
    ),
    (Kind.STEP_REFUSED, {"message": "no decision"}, ["⛔ production.canary_10 was refused", "│ no decision"]),
    (Kind.RELEASE_HELD, {"actor": ALICE, "reason": "lunch"}, ["⏸️ Alice (via cli) holds", "│ lunch"]),
]


@pytest.mark.parametrize(("kind", "fields", "words"), TELLING, ids=[str(t[0]) for t in TELLING])
def test_each_kind_says_what_people_need(kind: Kind, fields: dict[str, Any], words: list[str]) -> None:
    text = said(kind, **fields)
    for word in words:
        assert word in text


@pytest.mark.parametrize("kind", [k for k in Kind if thread_message(event(k)) is not None])
def test_an_event_without_its_data_or_with_odd_data_is_told_all_the_same(kind: Kind) -> None:
    keys = {k for _, fields, _ in TELLING for k in fields if k != "actor"}
    assert said(kind)
    assert said(kind, **dict.fromkeys(keys, "odd"))
    assert said(kind, **{key: ["odd"] for key in keys})


def poisoned(value: Any) -> Any:
    if isinstance(value, str):
        return HOSTILE
    if isinstance(value, dict):
        return {k: poisoned(v) for k, v in value.items()}
    return [poisoned(v) for v in value] if isinstance(value, list) else value


def mrkdwn(told: Message) -> list[str]:
    found = [told.text]
    for block in told.blocks:
        objects = [block["text"]] if "text" in block else []
        objects += block["elements"] if block["type"] == "context" else []
        found += [o["text"] for o in objects if o["type"] == "mrkdwn"]
        assert all(o.get("verbatim") for o in objects if o["type"] == "mrkdwn")
        assert all(o.get("emoji") is False for o in objects if o["type"] == "plain_text")
    return found


def uncoded(text: str) -> str:
    """What stands outside of code spans, where marks mean something."""
    return "".join(text.split("`")[::2])


@pytest.mark.parametrize(("kind", "fields", "_"), TELLING, ids=[str(t[0]) for t in TELLING])
def test_nobodys_text_mentions_links_or_formats(kind: Kind, fields: dict[str, Any], _: Any) -> None:
    actor = Actor(kind="person", id="x", name=HOSTILE, via="cli")
    data = poisoned({k: v for k, v in fields.items() if k != "actor"})
    told = thread_message(event(kind, actor=actor, **data))
    assert told is not None
    check_message(told.text, told.blocks, None)
    for text in mrkdwn(told):
        assert "<!c" not in text
        assert "<@" not in text
        assert "<h" not in text
        assert "*bold*" not in uncoded(text)
        assert "_it_" not in uncoded(text)
        assert "@here" not in uncoded(text)
        assert ":fire:" not in uncoded(text)
        assert not any(c in text for c in "\x00\x1b\x9b\u202e\u200f\u061c\U000e0041")


def test_a_member_id_mentions_and_anything_else_does_not() -> None:
    for slack, mentions in (
        ("U01ALICE", True),
        ("!channel", False),
        ("U01>x<!here", False),
        ("", False),
        (None, False),
    ):
        told = thread_message(event(Kind.GATE_OPENED, people=[{"id": "alice", "slack": slack}], quorum=1))
        assert told is not None
        assert ("<@U01ALICE>" in told.text) is mentions
        assert told.text.count("<") == (1 if mentions else 0)


def test_hundreds_of_failed_tests_name_some_and_count_the_rest() -> None:
    failed = [{"name": f"tests.test_{i}", "message": "assert " + "y" * 900} for i in range(500)]
    text = said(
        Kind.SUITE_FINISHED, suite="unit", tests=900, failures=700, errors=0, passed=False, failed=failed
    )
    assert "tests.test_9" in text
    assert "tests.test_10" not in text
    assert "… and 690 more" in text


@given(st.text(max_size=400))
def test_plain_text_is_one_inert_line(text: str) -> None:
    line = plain(text)
    assert "\n" not in line
    assert "<" not in line
    assert ">" not in line
    assert all(part.split(";")[0] in ("amp", "lt", "gt") for part in line.split("&")[1:])


@given(
    st.lists(
        st.sampled_from(["<!channel>", "&", "<", "*", "`", "word ", "\n", "\u202e", "é" * 50]), max_size=400
    )
)
def test_any_words_make_a_message_that_slack_takes(parts: list[str]) -> None:
    text = "".join(parts) or "x"
    for kind in (Kind.RELEASE_OPENED, Kind.STEP_FAILED, Kind.ANALYSIS_FINISHED, Kind.SUITE_FINISHED):
        told = thread_message(event(kind, changes=text, message=text, reason=text, verdict=text, suite=text))
        assert told is not None
        check_message(told.text, told.blocks, None)


def test_hostile_text_goes_through_slack_whole_and_inert(
    ledger: Ledger,
    server: SlackServer,
    slack: Slack,
    opened: Callable[..., ReleaseRecord],
    happens: Callable[..., None],
) -> None:
    release = opened(changes=HOSTILE)
    happens(release.release_id, Kind.STEP_FAILED, "qa.deploy", message=HOSTILE)
    result = drain(ledger, slack, datetime(2100, 1, 1, tzinfo=UTC))
    assert (result.sent, result.errors) == (2, ())
    for m in server.messages():
        for text in mrkdwn(Message(m["text"], m["blocks"])):
            assert "<!channel" not in text
    assert "<!channel> <@U01ALICE>" in server.transcript()


def test_small_words() -> None:
    assert [duration(s) for s in (0.42, 12, 200, 7500, None)] == [
        "0.4 s",
        "12 s",
        "3 min",
        "2 h 5 min",
        "0.0 s",
    ]
    assert moment("2026-01-02T03:04:00+00:00").endswith("|2026-01-02 03:04 UTC>")
    assert moment("soon") == "soon"
    assert escape("a<b>&c") == "a&lt;b&gt;&amp;c"

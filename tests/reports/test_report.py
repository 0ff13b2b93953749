"""A report, from fixed events and from hostile ones."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from relman_plugins.domain.event import Event, Kind
from relman_plugins.domain.identity import Actor
from relman_plugins.ledger.api import ReleaseRecord
from relman_plugins.plan.model import Options, ReleasePlan, Shape, Step
from relman_plugins.reports.facts import report_of
from relman_plugins.reports.html import content_security_policy, html
from relman_plugins.reports.markdown import inert, markdown
from relman_plugins.reports.model import ReleaseReport, Segment
from relman_plugins.reports.spans import ORDER, parts

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
GOLDEN = Path(__file__).parent / "golden"
ALICE = Actor(kind="person", id="alice", name="Alice Example", via="cli")
GATE, CANARY = "production.approval", "production.canary_10"
HOSTILE = "<script>alert(1)</script> [x](https://evil.example) ![](//e) | *b* \u202eevil `c` www.evil.example"


def record(changes: str = "faster checkout") -> ReleaseRecord:
    steps = (
        Step(id="open", kind="open"),
        Step(id="build", kind="build"),
        Step(id="qa.unit", kind="suite", stage="qa", environment="qa"),
        Step(id=GATE, kind="approval", stage="production", environment="production"),
        Step(id=CANARY, kind="shift", stage="production", environment="production"),
        Step(id="production.rollback", kind="rollback", stage="production", environment="production"),
        Step(id="close", kind="close"),
    )
    shape = Shape(
        pipeline="checkout",
        owner="team-payments",
        description="",
        service="checkout",
        spec_digest="sha256:" + "5" * 64,
        steps=steps,
        environments=(),
    )
    return ReleaseRecord(
        release_id="checkout-1.2.0-1",
        pipeline="checkout",
        service="checkout",
        version="1.2.0",
        n=1,
        dag_id="release__checkout",
        run_id="r",
        plan=ReleasePlan(shape=shape, options=Options(version="1.2.0", changes=changes)),
        plan_hash="sha256:" + "1" * 64,
        stored_hash="sha256:" + "1" * 64,
        shape_hash="sha256:" + "2" * 64,
        spec_digest=shape.spec_digest,
        started_by=ALICE,
        conf={},
        opened_at=START,
    )


def events(text: str = "error rate 0.6521 is above 0.05") -> list[Event]:
    told: list[tuple[float, Kind, str | None, dict[str, Any]]] = [
        (0, Kind.RELEASE_OPENED, None, {"version": "1.2.0", "changes": text}),
        (1, Kind.STEP_STARTED, "qa.unit", {"kind": "suite"}),
        (
            31,
            Kind.SUITE_FINISHED,
            "qa.unit",
            {"suite": "unit", "tests": 20, "failures": 1, "errors": 0, "skipped": 2, "seconds": 28.0}
            | {"passed": True, "reason": "", "flakes": 1, "tries": 2, "took": 29.5}
            | {"flaky": [{"name": "test_clock", "message": text}]}
            | {"reports": [{"kind": "coverage", "passed": True, "reason": "91.5 % covered", "lines": 200}]}
            | {"failed": [{"name": "test_slow", "message": text}]},
        ),
        (31, Kind.STEP_FINISHED, "qa.unit", {"message": "suite unit"}),
        (40, Kind.STEP_STARTED, GATE, {"kind": "approval"}),
        (
            40,
            Kind.GATE_OPENED,
            GATE,
            {"people": [{"id": "alice", "name": "Alice Example"}], "quorum": 1, "round": 1}
            | {"subject_digest": "sha256:" + "d" * 64, "subject": {"artifact_digest": "sha256:" + "a" * 64}},
        ),
        (7240, Kind.GATE_VOTED, GATE, {"decision": "approve", "comment": text, "via": "cli", "round": 1}),
        (7240, Kind.GATE_DECIDED, GATE, {"state": "approved", "by": "alice", "round": 1}),
        (7248, Kind.STEP_FINISHED, GATE, {"message": "approved by Alice Example"}),
        (7250, Kind.STEP_STARTED, CANARY, {"kind": "shift"}),
        (7310, Kind.LOCK_ACQUIRED, None, {}),
        (7320, Kind.CHANGE_FINISHED, CANARY, {"desired": {"candidate": {"version": "1.2.0"}}}),
        (
            7380,
            Kind.TRAFFIC_WITHDRAWN,
            CANARY,
            {"reason": text, "seconds": 0.4, "served": {"candidate": 14, "total": 159}},
        ),
        (
            7380,
            Kind.ANALYSIS_MEASURED,
            CANARY,
            {"analysis": "signals", "weight": 10, "look": 1}
            | {"metrics": [{"name": "errors", "value": 0.6521, "verdict": "fail"}]},
        ),
        (
            7380,
            Kind.ANALYSIS_FINISHED,
            CANARY,
            {"analysis": "signals", "weight": 10, "verdict": "fail", "reason": text},
        ),
        (7388, Kind.STEP_FAILED, CANARY, {"message": text, "final": True}),
        (7400, Kind.RELEASE_CLOSED, "close", {"outcome": "rolled_back", "reason": f"{CANARY}: {text}"}),
    ]
    people = (Kind.RELEASE_OPENED, Kind.GATE_VOTED, Kind.GATE_DECIDED)
    return [
        Event(
            id=n,
            release_id="checkout-1.2.0-1",
            kind=kind,
            key=str(n),
            at=START + timedelta(seconds=after),
            step=step,
            environment=step.split(".")[0]
            if step and "." in step
            else "production"
            if step is None
            else None,
            actor=ALICE if kind in people else Actor(),
            data=data,
        )
        for n, (after, kind, step, data) in enumerate(told, 1)
    ]


@pytest.mark.parametrize(("name", "write"), [("report.md", markdown), ("report.html", html)])
def test_the_report_is_written_as_agreed(name: str, write: Any) -> None:
    """Regenerate with RELMAN_GOLDEN=1 and look at the difference."""
    written = write(report_of(record(), events()))
    if os.environ.get("RELMAN_GOLDEN"):
        GOLDEN.mkdir(exist_ok=True)
        (GOLDEN / name).write_text(written, "utf-8")
    assert written == (GOLDEN / name).read_text("utf-8")


def test_waiting_is_told_apart_from_working() -> None:
    report = report_of(record(), events())
    assert report.parts == {
        "working": 30.0 + 8.0 + 10.0 + 8.0,
        "approval": 7200.0,
        "lock": 60.0,
        "watch": 60.0,
        "between": 7400.0 - 7376.0,
    }
    steps = {s.id: s for stage in report.stages for s in stage.steps}
    assert (steps[GATE].seconds, steps[GATE].waited_s) == (7208.0, 7200.0)
    assert (steps[CANARY].seconds, steps[CANARY].waited_s) == (138.0, 120.0)
    assert steps["production.rollback"].state == "not reached"


def test_a_release_under_way_has_a_report_too() -> None:
    report = report_of(record(), events()[:6])
    assert (report.outcome, report.closed_at) == (None, None)
    assert report.gates[0].state == "undecided"
    assert "under way" in markdown(report)
    assert "under way" in html(report)
    assert report_of(record(), []).seconds == 0
    assert html(report_of(record(), []))


@pytest.mark.parametrize("write", [markdown, html])
def test_the_head_says_what_was_filled_in_and_that_it_was_taken_back_since(write: Any) -> None:
    asked = record()
    options = asked.plan.options.model_copy(update={"parameters": {"city": "Paris"}})
    asked = asked.model_copy(update={"plan": asked.plan.model_copy(update={"options": options})})
    *before, closed = events()
    back = closed.model_copy(update={"id": closed.id + 1, "kind": Kind.ROLLBACK_FINISHED, "data": {}})
    back = back.model_copy(update={"key": "back", "environment": "qa"})
    head = write(report_of(asked, [*before, closed, back])).partition("Where the time went")[0]
    assert "qa rolled back since" in head
    assert "Paris" in head
    # What the release took back itself is how it ended.
    own = back.model_copy(update={"id": closed.id - 1})
    assert "rolled back since" not in write(report_of(asked, [*before, own, closed]))


def test_the_json_reads_back_as_the_same_report() -> None:
    report = report_of(record(), events())
    assert ReleaseReport.model_validate_json(report.model_dump_json()) == report


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def test_what_people_wrote_is_shown_and_not_executed() -> None:
    report = report_of(record(HOSTILE), events(HOSTILE))
    page, plain = html(report), markdown(report)
    tags = Tags()
    tags.feed(page)
    assert {"script", "img", "a", "link", "iframe"} & {tag for tag, _ in tags.seen} == set()
    assert not [
        a for _, attrs in tags.seen for a in attrs if a.startswith("on") or a in ("href", "src", "style")
    ]
    for text in (page, plain):
        assert "\u202e" not in text
        assert "\\u202e" in text
    assert "&lt;script&gt;" in page
    assert "<script" not in plain
    assert not re.search(r"(?<!\\)\]\(", plain)
    assert "https://" not in plain
    rows = [line for line in plain.splitlines() if line.startswith("| ") and "evil" in line]
    assert rows
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} <= {3, 6, 7, 8, 9}


@pytest.mark.parametrize("text", ["@all", "see @team/payments.", "ops@shop.example"])
def test_the_markdown_calls_nobody_where_it_is_pasted(text: str) -> None:
    shown = MarkdownIt("commonmark").renderInline(inert(text))
    assert not re.search(r"@\w", shown)
    assert shown.replace("\u200b", "") == text


@pytest.mark.parametrize("text", ["1. x", "2026. x", "12) x", "- x", "7."])
def test_the_markdown_begins_no_list(text: str) -> None:
    assert MarkdownIt("commonmark").render(f"- {inert(text)}") == f"<ul>\n<li>{text}</li>\n</ul>\n"


def test_the_policy_allows_the_pages_own_style_and_nothing_else() -> None:
    page = html(report_of(record(), events()))
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in content_security_policy()
    assert "default-src 'none'" in content_security_policy()


_segment = st.tuples(st.sampled_from(ORDER), st.integers(-50, 150), st.integers(0, 100)).map(
    lambda s: Segment(
        what=s[0], start=START + timedelta(seconds=s[1]), end=START + timedelta(seconds=s[1] + s[2])
    )
)


@given(st.lists(_segment, max_size=12), st.integers(0, 100))
def test_the_parts_add_up_to_the_whole(segments: list[Segment], length: int) -> None:
    total = parts(segments, START, START + timedelta(seconds=length))
    assert sum(total.values()) == length
    assert all(seconds > 0 for seconds in total.values())

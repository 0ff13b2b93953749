"""Follow-ups in the report: asked, named, not given; and no part of how the release went."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from relman_plugins.domain.event import Event, Kind
from relman_plugins.domain.follow_up import read
from relman_plugins.domain.identity import Actor
from relman_plugins.plan.model import Step, StepKind
from relman_plugins.reports.facts import report_of
from relman_plugins.reports.html import html
from relman_plugins.reports.markdown import markdown
from tests.reports.test_report import HOSTILE, START, events, record

BOB = Actor(kind="person", id="bob", name="Bob Example", via="airflow")
ITEMS = [{"what": HOSTILE, "who": "Bob", "by": "2026-03-09"}, {"what": "test it"}]


def after(*told: tuple[Kind, dict[str, Any]]) -> Any:
    asks = Step(id="follow_up", kind=StepKind.FOLLOW_UP, needs=("close",))
    opened = record()
    shape = opened.plan.shape.model_copy(update={"steps": (*opened.plan.shape.steps, asks)})
    plan = opened.plan.model_copy(update={"shape": shape})
    asked: tuple[Kind, dict[str, Any]] = (
        Kind.FOLLOW_UP_ASKED,
        {"people": [{"id": "bob", "name": "Bob Example"}], "until": "2026-03-04T09:00:00+00:00"},
    )
    seen = events()
    for n, (kind, data) in enumerate([(Kind.STEP_STARTED, {"kind": "follow_up"}), asked, *told]):
        at = START + timedelta(days=1, hours=n)
        seen.append(
            Event(
                id=1000 + n, release_id="checkout-1.2.0-1", kind=kind, key=f"after-{n}", at=at,
                step="follow_up", environment=None, actor=BOB, data=data,
            )
        )  # fmt: skip
    return report_of(opened.model_copy(update={"plan": plan}), seen)


def test_the_wait_for_an_answer_is_no_part_of_the_release() -> None:
    before, now = report_of(record(), events()), after()
    assert (now.seconds, now.parts, now.stages) == (before.seconds, before.parts, before.stages)
    assert now.retrospective == before.retrospective
    assert now.follow_ups.state == "asked"
    assert "asked of Bob Example until 2026-03-04 09:00:00 UTC" in markdown(now)
    assert "asked of Bob Example until" in html(now)
    assert report_of(record(), events()).follow_ups is None


def test_what_was_wanted_stands_in_the_report_and_as_actions_of_the_retrospective() -> None:
    report = after((Kind.FOLLOW_UP, {"items": ITEMS}), (Kind.STEP_FINISHED, {"message": "2 named"}))
    assert (report.follow_ups.state, report.follow_ups.by) == ("given", "Bob Example")
    told = markdown(report)
    assert told.count("| test it |  |  |") == 2, "as follow-up, and as action"
    assert told.endswith("| test it |  |  |\n")
    assert "named by Bob Example" in told
    for text in (told, html(report)):
        assert "<script" not in text
        assert "2026-03-09" in text


def test_nobodys_answer_and_none_needed_are_told_apart() -> None:
    late = after((Kind.STEP_FINISHED, {"message": "nobody named follow-ups in time"}))
    assert (late.follow_ups.state, late.follow_ups.by) == ("none given", "")
    assert "asked of Bob Example; none given" in markdown(late)
    none = after((Kind.FOLLOW_UP, {"items": []}))
    assert "none needed, says Bob Example" in markdown(none)
    assert markdown(none).endswith("|  |  |  |\n")


@pytest.mark.parametrize("items", [None, 5, True, "text", [None, 1, {"what": ""}, {"what": 3}, {"who": "x"}]])
def test_follow_ups_of_another_shape_are_left_out(items: Any) -> None:
    assert read({"items": items}) == ()
    assert [f.what for f in read({"items": [{"what": "a"}, {"strange": 1}]})] == ["a"]

"""A release that went past what was closed: who has only its evidence sees whether people had let it."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from relman_plugins.calendars.gate import Gate
from relman_plugins.calendars.model import Calendar, TimeWindow
from relman_plugins.calendars.series import Length, Series
from relman_plugins.domain.event import Kind
from relman_plugins.domain.status import Decision
from relman_plugins.ledger.api import SHOWN, canonical_subject
from relman_plugins.ledger.rules import rules_of
from relman_plugins.plan.model import Step
from tests.evidence.make import CANARY, DANA, ERIN, Story, shape
from tests.evidence.test_verify import Good, failed

GATE = "production.freeze_exception"
PAST = "production.window_exception"
WINDOW = "production.window"
FREEZE = {"id": 7, "unless": "approved"}


def started(good: Good, run_id: str, calendar: Calendar | None = None) -> Story:
    """Open a release of an environment with exceptions; with a calendar, behind a window gate."""
    plain = shape()
    asks = {
        "group": "incident",
        "quorum": 2,
        "people": [DANA.model_dump(), ERIN.model_dump()],
        "rules": [{"id": "incident", "group": "incident", "quorum": 2, "people": ["dana", "erin"]}],
    }
    places = tuple(e.model_copy(update={"exceptions": asks}) for e in plain.environments)
    steps = plain.steps
    if calendar is not None:
        args = {"windows": [], "timeout_s": 9, "calendars": [calendar.model_dump(mode="json", by_alias=True)]}
        live = {"stage": "production", "environment": "production"}
        window = Step(id=WINDOW, kind="window", needs=steps[3].needs, args=args, **live)
        gated = steps[4].model_copy(update={"gates": (*steps[4].gates, WINDOW)})
        steps = (*steps[:4], window, gated, *steps[5:])
    planned = plain.model_copy(update={"environments": places, "steps": steps})
    return Story(good[0].ledger, good[0].clock, run_id, planned=planned).build().approve()


def let_past(story: Story, *closed: int | str) -> Story:
    """Ask, and let both approve."""
    name = GATE if all(isinstance(one, int) for one in closed) else PAST
    gate = story.release.plan.shape.step(name)
    subject = canonical_subject(story.release, gate, story.ledger.events(story.id, kinds=SHOWN))
    story.clock.forward(1)
    story.ledger.votes.open_gate(
        story.id,
        name,
        subject=subject | {"step": name, "past": list(closed)},
        people=story.release.plan.people(name),
        quorum=2,
        rules=rules_of(gate.args),
        timeout_s=600,
        on_timeout="expire",
        asker=CANARY,
    )
    for person in (DANA, ERIN):
        story.clock.forward(1)
        said = story.ledger.votes.cast(
            story.id, name, airflow_user=person.airflow, decision=Decision.APPROVE, via="cli"
        )
        assert said.accepted, said.reason
    return story


def past(story: Story) -> Story:
    story.tell(Kind.FREEZE_PASSED, CANARY, freezes=[FREEZE], gate=GATE, round=1, approved_by=["dana"])
    return story.shift().measure(0.5)


def test_what_people_let_past_is_good(good: Good) -> None:
    story = past(let_past(started(good, "past"), 7))
    found = good[0].verify(good[0].statement(story.back()))
    assert found.good, failed(found)


@pytest.mark.parametrize("approved", [(), (8,)])
def test_what_nobody_let_past_is_told(good: Good, approved: tuple[int, ...]) -> None:
    story = started(good, f"frozen-{approved}")
    if approved:
        let_past(story, *approved)
    found = good[0].verify(good[0].statement(past(story).back()))
    assert "went past a freeze without an approval that lets it" in failed(found)["changes"]


def once(name: str, start: datetime, hours: int) -> TimeWindow:
    series = Series(start=start.replace(tzinfo=None), zone="UTC", length=Length(seconds=hours * 3600))
    return TimeWindow(effect="deny", name=name, unless="approved", series=(series,))


def behind_a_window(good: Good, run_id: str) -> tuple[Story, str, str]:
    """Open a release where it is closed for three hours, and again in the last; return both closings."""
    now = good[0].clock.now
    windows = (once("audit", now - timedelta(hours=1), 3), once("audit", now + timedelta(hours=1), 1))
    calendar = Calendar(name="company", windows=windows)
    way = Gate(calendars=(calendar,)).look(now, "person", 2 * 3600).asks
    return started(good, run_id, calendar), way[0].id, way[1].id


def went(story: Story, *past: str) -> Story:
    story.tell(Kind.WINDOW_PASSED, CANARY, past=list(past), gate=PAST, round=1, approved_by=["dana"])
    return story.shift().measure(0.5).back()


def test_a_closing_that_people_let_past_is_good_in_evidence_too(good: Good) -> None:
    story, first, _ = behind_a_window(good, "window-past")
    found = good[0].verify(good[0].statement(went(let_past(story, first), first)))
    assert found.good, failed(found)


def test_a_closing_that_nobody_let_past_is_told(good: Good) -> None:
    story, first, second = behind_a_window(good, "window-none")
    told = failed(good[0].verify(good[0].statement(went(let_past(story, second), first))))["changes"]
    assert f"{CANARY} went past a closed window without an approval that lets it" in told
    assert f"{WINDOW} was closed: denied by audit of calendar company until " in told


def test_a_later_closing_than_people_were_shown_is_told(good: Good) -> None:
    story, first, _ = behind_a_window(good, "window-later")
    let_past(story, first).clock.forward(3700)
    told = failed(good[0].verify(good[0].statement(went(story, first))))["changes"]
    assert f"{WINDOW} was closed: denied by audit of calendar company until " in told
    assert "without an approval" not in told, "what it says that it went past, it was let past"


def test_whoever_says_not_what_was_gone_past_went_past_it_without_an_approval(good: Good) -> None:
    story, first, _ = behind_a_window(good, "window-silent")
    told = failed(good[0].verify(good[0].statement(went(let_past(story, first)))))["changes"]
    assert f"{CANARY} went past a closed window without an approval that lets it" in told


def test_a_change_goes_by_the_calendar_that_was_on_record_then(good: Good) -> None:
    now = good[0].clock.now
    audit, over = (
        Calendar(name="company", windows=(once("audit", now - timedelta(hours=n), 3),)) for n in (1, 9)
    )
    edited = {"message": "", "windows": [], "calendars": [over.model_dump(mode="json", by_alias=True)]}
    for run_id, tells, is_good in (("edited", True, True), ("as-planned", False, False)):
        story = started(good, f"calendar-{run_id}", audit)
        if tells:
            story.tell(Kind.CALENDAR_CHANGED, WINDOW, **edited)
        found = good[0].verify(good[0].statement(story.shift().measure(0.5).back()))
        assert found.good is is_good, failed(found)

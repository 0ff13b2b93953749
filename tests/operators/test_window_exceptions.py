"""A closed window that leaves room for exceptions: what one yes lets past, and that it is nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from relman_plugins.domain.event import Kind
from relman_plugins.domain.status import Decision
from relman_plugins.triggers.waits import WindowTrigger
from tests.operators.test_changing import FIRST, LAST, passed
from tests.operators.test_exceptions import PEOPLE, answering, goes, vote
from tests.steps import world as worlds
from tests.steps.world import Release, World, told

YEAR_END = datetime.now(UTC).replace(microsecond=0, second=0)


def hours(n: float) -> str:
    return f"{YEAR_END + timedelta(hours=n):%Y-%m-%dT%H:%M}"


def at(n: float) -> Any:
    """Move the clock to so many hours after now."""
    return time_machine.travel(YEAR_END + timedelta(hours=n))


CALENDAR = f"""
apiVersion: relman/v1
kind: Calendar
metadata: {{name: company, owner: platform}}
zone: UTC
windows:
  - name: year end
    effect: deny
    unless: approved
    once: {{from: "{hours(-1)}", until: "{hours(8)}"}}
  - name: audit
    effect: deny
    once: {{from: "{hours(4)}", until: "{hours(6)}"}}
  - name: ever
    effect: allow
    weekly: {{days: [mon, tue, wed, thu, fri, sat, sun], from: "00:00", to: "24:00"}}
"""
HEAD = CALENDAR[: CALENDAR.index("  - name")]
AGAIN = f"""
  - name: year end
    effect: deny
    unless: approved
    once: {{from: "{hours(2)}", until: "{hours(8)}"}}
"""
WINDOW, PAST = "production.window", "production.window_exception"
BY_TWO = "exceptions: {approval: incident, quorum: 2, comment: required}\ncalendars: [company]\n"


@pytest.fixture(autouse=True)
def specs(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    name = "environments/production.yaml"
    more, calendar = getattr(request, "param", (BY_TWO, CALENDAR))
    monkeypatch.setitem(worlds.SPECS, name, worlds.SPECS[name] + more)
    monkeypatch.setitem(worlds.SPECS, "people.yaml", PEOPLE)
    monkeypatch.setitem(worlds.SPECS, "calendars/company.yaml", calendar)


@pytest.fixture
def closed(world: World) -> Release:
    world.live("1.0.0")
    return world.open().approved()


def waits(result: Any) -> Any:
    assert isinstance(result.trigger, WindowTrigger)
    return result


def asked(release: Release) -> list[str]:
    """Return what people are shown that they would let the release past."""
    gate = release.world.ledger.votes.gate(release.id, PAST)
    assert gate is not None
    assert gate.state == "open"
    assert len(gate.subject["past"]) == len(gate.subject["closed"])
    return list(gate.subject["closed"])


def both(release: Release) -> None:
    """Let both approve."""
    assert vote(release, "bob", gate=PAST).accepted
    assert vote(release, "erin", gate=PAST).accepted


def let_past(release: Release) -> None:
    """Let people be asked, both approve, and the gate's task end."""
    waits(release.run(WINDOW))
    both(release)
    release.finished(WINDOW)


def test_a_window_that_leaves_room_is_passed_by_approval_and_no_other(closed: Release) -> None:
    waiting = closed.run(WINDOW)
    assert isinstance(waiting.trigger, WindowTrigger)
    gate = closed.world.ledger.votes.gate(closed.id, PAST)
    assert gate is not None
    (one,) = gate.subject["closed"]
    assert one.startswith("denied by year end of calendar company until ")
    assert closed.events(Kind.WINDOW_WAITED)[0].data["gate"] == PAST
    both(closed)
    assert told(waiting) == {"state": "decided"}
    done = closed.resume(WINDOW, waiting, {"state": "decided"})
    assert done["message"].startswith("the window is open: goes past what is closed, as Bob, Erin")
    assert goes(closed.run(FIRST)), "and at the moment of the act"
    assert [e.step for e in closed.events(Kind.WINDOW_PASSED)] == [WINDOW, FIRST]


def test_where_something_else_closes_it_too_no_exception_helps(closed: Release) -> None:
    waiting = closed.run(WINDOW)
    both(closed)
    with at(5):
        again = closed.resume(WINDOW, waiting, {"state": "decided"})
        assert isinstance(again.trigger, WindowTrigger)
        assert again.trigger.asks == ""
        closed.finished(WINDOW)
        at_the_act = closed.run(FIRST)
        assert isinstance(at_the_act.trigger, WindowTrigger)
    assert closed.world.weights() == {"1.0.0": 100}
    with at(6.1):
        assert told(at_the_act) == {"state": "open"}, "the exception helps again"
        assert goes(closed.resume(FIRST, at_the_act, {"state": "open"}))


@pytest.mark.parametrize("specs", [("calendars: [company]\n", CALENDAR), (BY_TWO, CALENDAR)], indirect=True)
def test_a_no_or_nobody_leaves_it_closed_to_its_end(closed: Release) -> None:
    waiting = closed.run(WINDOW)
    if closed.world.ledger.votes.gate(closed.id, PAST) is not None:
        assert vote(closed, "erin", Decision.REJECT, gate=PAST).accepted
    waiting = closed.resume(WINDOW, waiting, {"state": "decided"})
    assert waiting.trigger.asks == ""
    with at(9):
        assert told(waiting) == {"state": "open"}


HOLD = BY_TWO + "on_close: hold\n"


@pytest.mark.parametrize("specs", [(HOLD, CALENDAR + AGAIN)], indirect=True)
def test_one_yes_opens_no_later_closing_not_even_one_that_sounds_the_same(closed: Release) -> None:
    waits(closed.run(WINDOW))
    (said,) = asked(closed)
    let_past(closed)
    passed(closed, FIRST)
    with at(2.5):
        later = waits(closed.run(LAST))
        assert asked(closed) == [said, said], "another one, of the same name and end"
        assert vote(closed, "bob", gate=PAST).gate.missing == 1  # type: ignore[union-attr]
    assert closed.world.weights() == {"1.0.0": 50, "1.1.0": 50}
    with at(2.6):
        assert vote(closed, "erin", gate=PAST).accepted
        assert goes(closed.resume(LAST, later, told(later)))
    told_of = [len(e.data["past"]) for e in closed.events(Kind.WINDOW_PASSED)]
    assert told_of == [1, 2]


def test_what_is_asked_no_more_may_be_asked_again_in_the_same_words(closed: Release) -> None:
    waits(closed.run(WINDOW))
    said = asked(closed)
    closed.world.ledger.freezes.lay_down(closed.id, PAST)
    assert closed.world.ledger.votes.gate(closed.id, PAST).state == "expired"  # type: ignore[union-attr]
    waits(closed.run(WINDOW))
    assert asked(closed) == said
    gate = closed.world.ledger.votes.gate(closed.id, PAST)
    assert gate is not None
    assert (gate.state, gate.round) == ("open", 2)


OFTEN = f"""{HEAD}
  - name: batch
    effect: deny
    unless: approved
    cron: {{at: "{YEAR_END:%M} * * * *", for: 150m}}
"""


@pytest.mark.parametrize("specs", [(HOLD, OFTEN)], indirect=True)
def test_every_time_of_a_window_that_a_yes_lets_past_is_shown_and_the_next_one_is_asked_about(
    closed: Release,
) -> None:
    """Each hour one of two and a half hours begins."""
    waits(closed.run(WINDOW))
    ends = [f"{YEAR_END + timedelta(hours=n):%a %Y-%m-%d %H:%M} UTC" for n in (0.5, 1.5, 2.5)]
    assert asked(closed) == [f"denied by batch of calendar company until {end}" for end in ends]
    let_past(closed)
    with at(0.75):
        passed(closed, FIRST)
    with at(1.1):
        waits(closed.run(LAST))
        assert len(asked(closed)) == 3


NIGHT = f"""{HEAD}
  - name: year end
    effect: deny
    unless: approved
    once: {{from: "{hours(-1)}", until: "{hours(8)}"}}
  - name: night
    effect: deny
    once: {{from: "{hours(3)}", until: "{hours(4)}"}}
"""


@pytest.mark.parametrize("specs", [(BY_TWO + "outlasting: wait\n", NIGHT)], indirect=True)
def test_an_exception_lets_past_what_it_is_from_and_the_change_must_still_fit(closed: Release) -> None:
    """Two weights and a monitor of two seconds each, before the night that nobody has let it past."""
    let_past(closed)
    with time_machine.travel(YEAR_END + timedelta(hours=3, seconds=-5)):
        waiting = waits(closed.run(FIRST))
        assert closed.events(Kind.WINDOW_WAITED)[-1].data["reasons"][0].endswith("takes 0:00:06 at least")
    assert closed.world.weights() == {"1.0.0": 100}
    with time_machine.travel(YEAR_END + timedelta(hours=3, seconds=-7)):
        assert goes(closed.run(FIRST, try_number=2)), "there it fits"
    assert datetime.fromisoformat(waiting.trigger.opens_at) == YEAR_END + timedelta(hours=4)


SOON = f"""{HEAD}
  - name: year end
    effect: deny
    unless: approved
    once: {{from: "{hours(3)}", until: "{hours(8)}"}}
  - name: batch
    effect: deny
    once: {{from: "{hours(1)}", until: "{hours(2)}"}}
"""


@pytest.mark.parametrize("specs", [(BY_TWO + "outlasting: wait\n", SOON)], indirect=True)
def test_who_comes_just_before_the_closing_and_does_not_fit_is_asked_for_at_once(closed: Release) -> None:
    with time_machine.travel(YEAR_END + timedelta(hours=3, seconds=-5)):
        waiting = waits(closed.run(WINDOW))
        (said,) = asked(closed)
        begins, ends = (f"{YEAR_END + timedelta(hours=n):%a %Y-%m-%d %H:%M} UTC" for n in (3, 8))
        assert said == f"denied by year end of calendar company from {begins} until {ends}"
        assert waiting.trigger.asks == PAST
        both(closed)
        assert closed.resume(WINDOW, waiting, told(waiting))["message"].startswith("the window is open")
        assert goes(closed.run(FIRST))


@pytest.mark.parametrize("specs", [(BY_TWO + "outlasting: wait\n", SOON)], indirect=True)
def test_who_waits_for_something_firm_is_asked_for_when_only_the_rest_is_in_the_way(closed: Release) -> None:
    """The batch leaves no room; when it is over, an hour is left, and then the closing that does comes."""
    with at(1.5):
        waiting = waits(closed.run(WINDOW))
        assert waiting.trigger.asks == ""
    with time_machine.travel(YEAR_END + timedelta(hours=3, seconds=-5)):
        assert told(waiting) == {"state": "changed"}
        assert waits(closed.resume(WINDOW, waiting, {"state": "changed"})).trigger.asks == PAST


def test_an_answer_that_comes_while_the_step_looks_is_not_lost(
    closed: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits(closed.run(WINDOW))
    assert vote(closed, "bob", gate=PAST).accepted
    answering(monkeypatch, closed, PAST)
    waiting = waits(closed.run(WINDOW, try_number=2))
    assert told(waiting) == {"state": "decided"}
    assert "goes past what is closed" in closed.resume(WINDOW, waiting, {"state": "decided"})["message"]

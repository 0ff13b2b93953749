"""The journal of trains, on both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from relman_plugins.domain.identity import Actor
from relman_plugins.errors import Refused
from relman_plugins.ledger.api import Entry, Ledger
from tests.ledger.make import Clock, Open

ALICE = Actor(kind="person", id="alice", name="Alice", via="cli")
BOB = Actor(kind="person", id="bob", name="Bob", via="cli")


def act(ledger: Ledger, action: str, actor: Actor = ALICE, **more: object) -> Entry:
    return ledger.trains.act("shop", action, **{"actor": actor, "reason": "because"} | more)  # type: ignore[arg-type]


def end(ledger: Ledger, after_s: float = 0, version: str = "1.0", **more: object) -> Entry:
    about = {"version": version, "reason": "tag", "data": {}, "channel": "#rel"} | more
    return ledger.trains.end("shop", ledger.now() + timedelta(seconds=after_s), **about)  # type: ignore[arg-type]


def test_of_many_who_ask_at_once_all_get_the_one_end_that_is_recorded(ledger: Ledger, clock: Clock) -> None:
    with ThreadPoolExecutor(8) as many:
        ends = list(many.map(lambda n: end(ledger, version=f"1.{n}"), range(16)))
    assert len({e.id for e in ends}) == 1
    assert [e.action for e in ledger.trains.latest("shop")] == ["departed"]


def test_a_hold_counts_until_somebody_lets_it_go_on_and_is_not_for_other_trains(ledger: Ledger) -> None:
    act(ledger, "hold", reason="audit")
    assert end(ledger).action == "held"
    assert ledger.trains.state("web").held is None
    with pytest.raises(Refused, match="Alice holds it already: audit"):
        act(ledger, "hold", BOB)
    act(ledger, "resume", BOB)
    assert end(ledger, 60).action == "departed"
    assert end(ledger).action == "held", "what was decided stays"
    with pytest.raises(Refused, match="neither held nor skipped"):
        act(ledger, "resume")


def test_only_a_person_with_a_reason_changes_a_train(ledger: Ledger) -> None:
    for more in ({"actor": Actor()}, {"reason": " \x00"}):
        with pytest.raises(Refused, match="named person who gives a reason"):
            act(ledger, "hold", **more)  # type: ignore[arg-type]
    assert ledger.trains.latest("shop") == []


def test_the_newest_version_that_was_added_in_time_goes(ledger: Ledger, clock: Clock) -> None:
    act(ledger, "add", version="1.0")
    clock.forward(60)
    second = act(ledger, "add", BOB, version="1.1")
    closes = clock.forward(60)
    clock.forward(60)
    late = act(ledger, "add", version="1.2")
    state = ledger.trains.state("shop", closes)
    assert (state.added, state.later) == (second, late)
    assert end(ledger, version="1.1", data={"added": second.id}).action == "departed"
    assert ledger.trains.state("shop").added == late, "the ones before it went with it, or were replaced"


def test_a_departure_that_never_ended_keeps_no_version_for_ever(ledger: Ledger, clock: Clock) -> None:
    act(ledger, "add", version="1.0")
    first, next_ = clock.now + timedelta(hours=1), clock.now + timedelta(days=1)
    settled = ledger.trains.state("shop").added
    assert settled is not None
    ledger.trains.note("shop", "settled", first, data={"added": settled.id})
    assert ledger.trains.state("shop", departs=next_).added is None, "the one before it has it"
    clock.forward(3 * 3600)
    aboard = ledger.trains.state("shop", departs=next_).added
    assert (aboard and aboard.version) == "1.0"


def test_what_is_taken_off_does_not_go(ledger: Ledger) -> None:
    with pytest.raises(Refused, match="nobody has added a version"):
        act(ledger, "remove")
    added = act(ledger, "add", version="1.0")
    with pytest.raises(Refused, match=r"1\.0 is on it already"):
        act(ledger, "add", BOB, version="1.0")
    act(ledger, "remove", BOB)
    assert ledger.trains.state("shop").added is None
    said = end(ledger, data={"added": added.id})
    assert (said.action, said.reason, said.version) == ("nothing", "1.0 was taken off again", "")


def test_one_departure_is_skipped_and_may_go_again_while_it_is_to_come(ledger: Ledger, clock: Clock) -> None:
    departs = ledger.now() + timedelta(seconds=60)
    act(ledger, "skip", departs=departs)
    with pytest.raises(Refused, match="skipped already"):
        act(ledger, "skip", departs=departs)
    act(ledger, "resume")
    assert ledger.trains.state("shop").skips == {}
    act(ledger, "skip", departs=departs)
    assert end(ledger, 60).action == "skipped"
    assert end(ledger, 120).action == "departed"
    clock.forward(61)
    with pytest.raises(Refused, match="neither held nor skipped"):
        act(ledger, "resume")


def test_slack_is_told_of_what_has_a_channel_once(ledger: Ledger, clock: Clock) -> None:
    since = ledger.now()
    said = ledger.trains.note("shop", "announced", since, channel="#rel", version="1.0")
    assert ledger.trains.note("shop", "announced", since, channel="#other") == said
    ledger.trains.note("shop", "settled", since)
    assert ledger.trains.untold(since) == [said]
    assert [ledger.trains.telling(said) for _ in range(2)] == [False, True]
    assert ledger.trains.untold(since) == [said]
    assert [ledger.trains.telling(said, done=True) for _ in range(2)] == [False, True]
    assert ledger.trains.untold(since) == []
    assert [e.action for e in ledger.trains.latest("shop")] == ["settled", "announced"]


def test_a_departure_that_failed_may_not_leave_any_more(ledger: Ledger) -> None:
    failed = ledger.trains.fail("shop", ledger.now(), "no answer", "#rel")
    assert end(ledger) == failed
    assert ledger.trains.fail("shop", ledger.now(), "again", "#rel") == failed
    assert ledger.trains.ended("shop", ledger.now()) == failed


def test_versions_are_those_of_releases_that_were_no_dry_runs(ledger: Ledger, open_release: Open) -> None:
    open_release(version="1.1.0", run_id="a")
    open_release(version="1.2.0", run_id="b")
    open_release(version="1.2.0", run_id="c")
    open_release(version="1.3.0", run_id="d", dry_run=True)
    assert ledger.versions("checkout") == ["1.1.0", "1.2.0"]
    assert ledger.versions("shop") == []

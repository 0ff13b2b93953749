from __future__ import annotations

from datetime import timedelta

from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.ledger.api import Ledger, Line, ReleaseRecord, Thread
from tests.ledger.make import Clock, Open, make_shape


def fail(ledger: Ledger, release: ReleaseRecord, key: str) -> None:
    ledger.record(release.release_id, NewEvent(kind=Kind.STEP_FAILED, key=key, step="build"))


def due(ledger: Ledger, limit: int = 50) -> list[str]:
    return [m.event.key for m in ledger.outbox.due(limit=limit)]


def due_ids(ledger: Ledger) -> list[int]:
    return [m.id for m in ledger.outbox.due()]


def test_what_slack_shows_is_put_in_the_outbox(ledger: Ledger, release: ReleaseRecord) -> None:
    fail(ledger, release, "a")
    ledger.record(release.release_id, NewEvent(kind=Kind.STEP_STARTED, key="b", step="build"))
    ledger.record(release.release_id, NewEvent(kind=Kind.ANALYSIS_MEASURED, key="c", step="build"))
    assert [m.event.kind for m in ledger.outbox.due()] == [Kind.RELEASE_OPENED, Kind.STEP_FAILED]
    message = ledger.outbox.due()[1]
    assert (message.channel, message.address, message.attempts) == ("slack", "#rel-checkout", 0)
    assert message.event == ledger.events(release.release_id, kinds=[Kind.STEP_FAILED])[0]


def test_a_pipeline_without_slack_has_no_outbox(ledger: Ledger, open_release: Open) -> None:
    release = open_release(shape=make_shape().model_copy(update={"slack_channel": None}))
    fail(ledger, release, "a")
    assert ledger.outbox.pending() == 0


def test_a_message_is_delivered_once(ledger: Ledger, release: ReleaseRecord) -> None:
    fail(ledger, release, "a")
    opened, failed = ledger.outbox.due()
    ledger.outbox.sent(opened.id, "1700.1")
    assert due(ledger) == ["a"]
    ledger.outbox.failed(opened.id, "too late to fail", None)
    ledger.outbox.sent(failed.id, "1700.2")
    assert (due(ledger), ledger.outbox.pending(), ledger.outbox.backlog()) == ([], 0, [])


def test_a_failed_message_waits_and_those_after_it_too(
    ledger: Ledger, release: ReleaseRecord, open_release: Open, clock: Clock
) -> None:
    fail(ledger, release, "a")
    other = open_release("run-2")
    first = ledger.outbox.due()[0]
    ledger.outbox.failed(first.id, "ratelimited", clock.now + timedelta(seconds=30))
    assert [m.event.release_id for m in ledger.outbox.due()] == [other.release_id]
    assert ledger.outbox.pending() == 3
    clock.forward(30)
    assert [m.attempts for m in ledger.outbox.due()] == [1, 0, 0]


def test_a_message_given_up_blocks_nothing(ledger: Ledger, release: ReleaseRecord) -> None:
    fail(ledger, release, "a")
    ledger.outbox.failed(ledger.outbox.due()[0].id, "msg_too_long", None)
    assert due(ledger) == ["a"]
    assert ledger.outbox.pending() == 1


def test_what_is_old_and_was_often_tried_is_given_up_and_said(
    ledger: Ledger, release: ReleaseRecord, clock: Clock
) -> None:
    fail(ledger, release, "a")
    opened, _ = ledger.outbox.due()
    for _ in range(8):
        ledger.outbox.failed(opened.id, "no notifier", clock.now + timedelta(minutes=5))
    assert ledger.outbox.give_up(clock.now - timedelta(days=7), 8) == []
    clock.forward(8 * 24 * 3600)
    (gone,) = ledger.outbox.give_up(clock.now - timedelta(days=7), 8)
    assert (gone.channel, gone.given_up, gone.given_up_at) == ("slack", 1, clock.now)
    assert due(ledger) == ["a"], "what was never tried is, however old"
    (said,) = ledger.outbox.backlog(since=clock.now - timedelta(days=7))
    assert (said.pending, said.given_up, said.given_up_error) == (1, 1, "no notifier")
    assert ledger.outbox.give_up(clock.now - timedelta(days=7), 8) == []
    ledger.outbox.sent(due_ids(ledger)[0], "1700.1")
    (said,) = ledger.outbox.backlog(since=clock.now)
    assert (said.pending, said.oldest, said.error, said.given_up) == (0, None, None, 1)
    assert ledger.outbox.backlog(since=clock.now + timedelta(days=7)) == []


def test_a_channel_gets_the_pause_it_asks_for(ledger: Ledger, release: ReleaseRecord, clock: Clock) -> None:
    fail(ledger, release, "a")
    ledger.outbox.delay(Line("slack", ""), clock.now + timedelta(seconds=10))
    assert due(ledger) == []
    clock.forward(10)
    assert len(due(ledger)) == 2
    assert len(due(ledger, limit=1)) == 1


def test_where_a_release_was_told_is_remembered(ledger: Ledger, release: ReleaseRecord) -> None:
    assert ledger.outbox.thread(release.release_id, "#rel-checkout") is None
    ledger.outbox.set_thread(release.release_id, "#rel-checkout", "1700.1", "C1")
    ledger.outbox.set_thread(release.release_id, "#rel-checkout", "1700.2", "C1")
    assert ledger.outbox.thread(release.release_id, "#rel-checkout") == Thread(ts="1700.2", channel_id="C1")


def test_a_lease_has_one_holder_at_a_time(ledger: Ledger, clock: Clock) -> None:
    assert ledger.lease("maintain", "one", 60)
    assert not ledger.lease("maintain", "two", 60)
    assert ledger.lease("other", "two", 60)
    clock.forward(40)
    assert ledger.lease("maintain", "one", 60)
    clock.forward(40)
    assert not ledger.lease("maintain", "two", 60)
    clock.forward(20)
    assert ledger.lease("maintain", "two", 60)
    ledger.end_lease("maintain", "one")
    assert not ledger.lease("maintain", "one", 60)
    ledger.end_lease("maintain", "two")
    assert ledger.lease("maintain", "one", 60)

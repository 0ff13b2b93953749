"""Which places the outbox holds an event for, and that they don't wait for each other."""

from __future__ import annotations

from datetime import timedelta

from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.ledger.api import Ledger, Line, ReleaseRecord
from relman_plugins.plan.routing import Route
from tests.ledger.make import Clock, Open, make_shape

ROUTES = (
    Route(channel="slack", addresses=("#oncall",), min_severity="error"),
    Route(channel="slack", addresses=("#rel-checkout", "#oncall"), when=("failed",)),
    Route(channel="email", addresses=("a@x.example", "b@x.example"), when=("tested", "rolled_back")),
    Route(channel="slack", addresses=("#production",), environment="production"),
    Route(channel="pager", addresses=("",), connection="other", when=("bypassed",)),
)


def opened(open_release: Open) -> ReleaseRecord:
    return open_release(shape=make_shape().model_copy(update={"routes": ROUTES}))


def places(ledger: Ledger, release: ReleaseRecord, kind: Kind, **fields: object) -> list[str]:
    before = {m.id for m in ledger.outbox.due(limit=500)}
    data = fields.pop("data", {})
    event = NewEvent(kind=kind, key=f"{kind}{len(before)}{fields}", data=data, **fields)  # type: ignore[arg-type]
    assert ledger.record(release.release_id, event) is not None
    return [f"{m.channel} {m.address}".strip() for m in ledger.outbox.due(limit=500) if m.id not in before]


def test_each_event_goes_once_to_every_place_that_wants_it(ledger: Ledger, open_release: Open) -> None:
    release = opened(open_release)
    own = "slack #rel-checkout"
    passed = places(ledger, release, Kind.SUITE_FINISHED, environment="qa", data={"passed": True})
    assert passed == [own, "email a@x.example", "email b@x.example"]
    assert places(ledger, release, Kind.STEP_FAILED, environment="qa") == [own, "slack #oncall"]
    assert places(ledger, release, Kind.STEP_FAILED, data={"final": False}) == [own]
    assert places(ledger, release, Kind.RELEASE_HELD) == [own]
    there = places(ledger, release, Kind.GATE_BYPASSED, environment="production")
    assert there == [own, "slack #oncall", "slack #production", "pager"]
    assert places(ledger, release, Kind.RELEASE_HELD) == [own, "slack #production"]
    assert places(ledger, release, Kind.STEP_STARTED) == []


def test_who_was_told_anything_is_told_the_end(ledger: Ledger, open_release: Open) -> None:
    release = opened(open_release)
    places(ledger, release, Kind.TRAFFIC_WITHDRAWN, environment="production")
    end = places(ledger, release, Kind.RELEASE_CLOSED, data={"outcome": "aborted", "reason": "x"})
    assert sorted(end) == ["slack #oncall", "slack #production", "slack #rel-checkout"]


def test_a_place_that_is_down_holds_no_other(ledger: Ledger, open_release: Open, clock: Clock) -> None:
    release = opened(open_release)
    places(ledger, release, Kind.GATE_BYPASSED, environment="production")
    assert ledger.outbox.lines() == [Line("pager", "other"), Line("slack", "")]
    first = next(m for m in ledger.outbox.due() if m.address == "#rel-checkout")
    ledger.outbox.failed(first.id, "channel_not_found", clock.now + timedelta(hours=1))
    assert {m.address for m in ledger.outbox.due()} == {"#oncall", "#production", ""}
    assert [m.connection for m in ledger.outbox.due(line=Line("pager", "other"))] == ["other"]
    ledger.outbox.delay(Line("slack", ""), clock.now + timedelta(hours=2))
    assert ledger.outbox.lines() == [Line("pager", "other")]
    (pager, slack) = ledger.outbox.backlog()
    assert (pager.channel, pager.pending, pager.error) == ("pager", 1, None)
    assert (slack.channel, slack.pending, slack.error) == ("slack", 4, "channel_not_found")


def test_a_plan_from_before_there_were_routes_is_told_as_before(
    ledger: Ledger, release: ReleaseRecord
) -> None:
    assert places(ledger, release, Kind.STEP_FAILED) == ["slack #rel-checkout"]

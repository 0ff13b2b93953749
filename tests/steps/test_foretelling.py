"""When a release will be done, as its message in Slack says it, and whom it calls before it is too late."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from slack_sdk import WebClient  # noqa: TID253 - as relman posts

from relman_plugins.domain.event import Kind
from relman_plugins.domain.status import Decision
from relman_plugins.ledger.api import Ledger, ReleaseRecord
from relman_plugins.notifications.outbox import drain
from relman_plugins.notifications.slack import Slack
from relman_plugins.plan.model import Shape
from relman_plugins.reports.expected import Expected, expected
from relman_plugins.steps import foretelling
from relman_plugins.steps.housekeeping import Housekeeper
from relman_plugins.testing.slack import TOKEN, SlackServer, plain
from tests.ledger.make import Clock
from tests.reports.noon import NOON, clock, ledger, window_by_day
from tests.reports.test_expected import GATE, before_the_gate, history, tell
from tests.steps import world as worlds
from tests.steps.test_housekeeping import Runs

__all__ = ["clock", "ledger"]

DAYS = timedelta(days=3)
LATE = DAYS + timedelta(hours=5, minutes=30)
"""Half an hour before the window closes, when people take an hour to answer."""


@pytest.fixture
def shape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Shape:
    window_by_day(monkeypatch)
    spec = worlds.SPECS["checkout.yaml"]
    told = getattr(request, "param", "notify: {slack: '#rel-checkout'}\n")
    monkeypatch.setitem(worlds.SPECS, "checkout.yaml", spec.replace("stages:\n", f"{told}stages:\n"))
    return worlds.shape_in(tmp_path / "specs" / "release_specs")


@pytest.fixture
def said(ledger: Ledger, clock: Clock) -> Iterator[Callable[[], list[str]]]:
    """Do the housekeeping, deliver, and return the channel's messages, the release's own first."""
    with SlackServer() as server:
        slack = Slack(WebClient(token=TOKEN, base_url=server.base_url, retry_handlers=[]).api_call)

        def all_of_them() -> list[str]:
            Housekeeper(ledger, Runs()).tell_expected()
            drain(ledger, slack, now=clock.now, limit=500)
            return [plain(m) for m in server.messages() if "checkout-1.1.0-6" in str(m["metadata"])]

        yield all_of_them


def ask(ledger: Ledger, record: ReleaseRecord) -> None:
    ledger.votes.open_gate(
        record.release_id,
        GATE,
        subject={"pipeline": "checkout", "version": "1.1.0"},
        people=record.plan.people(GATE),
        quorum=1,
        timeout_s=86_400,
        on_timeout="reject",
    )


def forecasts(ledger: Ledger, record: ReleaseRecord) -> int:
    return len(ledger.events(record.release_id, kinds=[Kind.RELEASE_FORECAST]))


def test_the_releases_own_message_says_when_it_will_be_done_and_follows(
    ledger: Ledger, clock: Clock, shape: Shape, said: Callable[[], list[str]]
) -> None:
    history(ledger, clock, shape)
    record = before_the_gate(ledger, clock, shape, NOON + DAYS)
    ask(ledger, record)
    parent, *thread = said()
    assert "🔭 done about 2026-11-29 1" in parent
    assert "; the longest wait is production.approval" in parent
    first = next(line for line in parent.splitlines() if "🔭" in line)
    clock.forward(240)
    said()
    clock.forward(240)
    assert first in said()[0], "nothing has become another, so nothing is told"
    assert forecasts(ledger, record) == 1
    clock.forward(3 * 3600)
    parent, *later = said()
    assert "🔭" in parent
    assert first not in parent, "people take longer than they ever did"
    assert (later, forecasts(ledger, record)) == (thread, 2), "edited in place, and nothing is posted"
    tell(ledger, record, Kind.RELEASE_HELD, None, reason="lunch")
    assert "🔭" not in said()[0]
    assert forecasts(ledger, record) == 3
    tell(ledger, record, Kind.RELEASE_RESUMED, None, reason="")
    assert "🔭" in said()[0]
    tell(ledger, record, Kind.RELEASE_CLOSED, None, outcome="succeeded", reason="")
    assert "🔭" not in said()[0]


def test_whoever_will_miss_the_closing_is_called_once(
    ledger: Ledger, clock: Clock, shape: Shape, said: Callable[[], list[str]]
) -> None:
    history(ledger, clock, shape)
    record = before_the_gate(ledger, clock, shape, NOON + LATE)
    ask(ledger, record)
    mine = (
        "⏳ production: at this pace the approval will miss the closing 2026-11-29 18:00 UTC; please answer"
    )
    (called,) = (text for text in said() if mine in text)
    assert "Alice" in called
    assert f"relman approve {record.release_id}" in called
    for _ in range(3):
        clock.forward(400)
        assert len([text for text in said() if mine in text]) == 1
    (event,) = ledger.events(record.release_id, kinds=[Kind.GATE_WARNED])
    assert event.data["message"].endswith("ask Alice or Bob now")
    voted = ledger.votes.cast(
        record.release_id, GATE, airflow_user="alice", decision=Decision.APPROVE, via="cli"
    )
    assert voted.accepted
    assert [text for text in said() if "⏳" in text] == [], "a question that was answered calls nobody"


def test_who_answered_before_it_was_told_is_not_called(
    ledger: Ledger, clock: Clock, shape: Shape, said: Callable[[], list[str]]
) -> None:
    history(ledger, clock, shape)
    record = before_the_gate(ledger, clock, shape, NOON + LATE)
    ask(ledger, record)
    Housekeeper(ledger, Runs()).tell_expected()
    ledger.votes.cast(record.release_id, GATE, airflow_user="alice", decision=Decision.APPROVE, via="cli")
    assert [text for text in said() if "⏳" in text] == []


def test_a_release_is_played_again_after_five_minutes_or_when_something_happened(
    ledger: Ledger, clock: Clock, shape: Shape, monkeypatch: pytest.MonkeyPatch
) -> None:
    plays: list[str] = []

    def counted(store: Ledger, release: ReleaseRecord, least: float) -> Expected:
        plays.append(release.release_id)
        return expected(store, release, least)

    monkeypatch.setattr(foretelling, "expected", counted)
    history(ledger, clock, shape)
    record = before_the_gate(ledger, clock, shape, NOON + DAYS)
    ask(ledger, record)
    for _ in range(21):
        Housekeeper(ledger, Runs()).tell_expected()
        clock.forward(60)
    assert len(plays) == 5, "at 0, 5, 10, 15 and 20 minutes"
    assert forecasts(ledger, record) == 1
    tell(ledger, record, Kind.RELEASE_HELD, None, reason="lunch")
    for _ in range(2):
        Housekeeper(ledger, Runs()).tell_expected()
    assert len(plays) == 6


@pytest.mark.parametrize("shape", [""], indirect=True)
def test_where_nobody_hears_of_it_nothing_is_recorded(ledger: Ledger, clock: Clock, shape: Shape) -> None:
    record = before_the_gate(ledger, clock, shape, NOON)
    assert Housekeeper(ledger, Runs()).tell_expected() == []
    assert forecasts(ledger, record) == 0

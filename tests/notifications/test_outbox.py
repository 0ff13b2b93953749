"""The outbox against a real ledger and a Slack that misbehaves over real HTTP."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from slack_sdk import WebClient  # noqa: TID253 - as a user of the server

from relman_plugins.domain.event import Kind
from relman_plugins.ledger.api import Ledger, ReleaseRecord
from relman_plugins.notifications.limits import GIVE_UP_AFTER
from relman_plugins.notifications.outbox import drain, lease_name
from relman_plugins.notifications.slack import Posted, Slack
from relman_plugins.testing.slack import TOKEN, SlackServer, plain

Open = Callable[..., ReleaseRecord]
Happens = Callable[..., None]
NOW = datetime(2100, 1, 1, tzinfo=UTC)
"""Later than everything the ledger's own clock writes."""


def texts(server: SlackServer) -> list[str]:
    """The first line of every message of the thread, in order."""
    return [plain(m).splitlines()[0] for m in server.messages() if "thread_ts" in m]


def parents(server: SlackServer) -> list[str]:
    return [plain(m) for m in server.messages() if "thread_ts" not in m]


def until_empty(ledger: Ledger, slack: Slack, now: datetime = NOW) -> int:
    """Drain again and again, each time when everything that waits is due; return how often."""
    for times in range(1, 30):
        result = drain(ledger, slack, now + timedelta(hours=times))
        if not result.pending:
            return times
    raise AssertionError(f"still waiting: {result}")


def story(release_id: str, happens: Happens) -> None:
    revision = {"version": "1.1.0", "digest": "sha256:" + "a" * 64, "uri": "file:///x"}
    happens(release_id, Kind.ARTIFACT_BUILT, "build", revision=revision, size=2048, files=3, source="x")
    happens(
        release_id, Kind.SUITE_FINISHED, "qa.unit", suite="unit", tests=4, failures=0, passed=True, seconds=2
    )
    times = {"next_open": "2026-03-02T22:00:00+00:00", "gives_up_at": "2026-03-09T12:00:00+00:00"}
    happens(release_id, Kind.WINDOW_WAITED, "production.approval", **times)


TOLD = [
    "🚀 Alice (via airflow) opened checkout-1.1.0-1",
    "📦 Built 1.1.0",
    "✅ unit in qa: 4 tests",
    "🕒 production waits for its release window, which opens ",
]


def is_told(server: SlackServer, told: list[str] = TOLD) -> bool:
    seen = texts(server)
    return len(seen) == len(told) and all(s.startswith(t) for s, t in zip(seen, told, strict=True))


def test_one_parent_that_is_edited_and_the_rest_in_its_thread(
    ledger: Ledger, server: SlackServer, slack: Slack, opened: Open, happens: Happens
) -> None:
    release = opened()
    assert drain(ledger, slack, NOW).sent == 1
    assert "▫️ build" in parents(server)[0]
    story(release.release_id, happens)
    result = drain(ledger, slack, NOW)
    assert (result.sent, result.pending, result.errors) == (3, 0, ())
    assert is_told(server), texts(server)
    assert len(parents(server)) == 1
    assert "✅ build" in parents(server)[0]
    assert "🔵 production – waits for its window, which opens " in parents(server)[0]
    assert server.api.calls.count("chat.update") == 1


def test_nothing_due_asks_slack_nothing(
    ledger: Ledger, server: SlackServer, slack: Slack, opened: Open
) -> None:
    opened()
    drain(ledger, slack, NOW)
    asked = len(server.api.calls)
    assert drain(ledger, slack, NOW).sent == 0
    assert len(server.api.calls) == asked


@pytest.mark.parametrize("method", ["chat.postMessage", "chat.update", "conversations.replies"])
@pytest.mark.parametrize(
    "kind",
    ["rate_limited", "server_error", "server_error_after", "drop_after", "invalid_auth", "channel_not_found"],
)
@pytest.mark.parametrize("when", ["parent", "thread"])
def test_a_bad_moment_delays_and_repeats_nothing(
    ledger: Ledger,
    server: SlackServer,
    slack: Slack,
    opened: Open,
    happens: Happens,
    kind: str,
    method: str,
    when: str,
) -> None:
    release = opened()
    if when == "thread":
        drain(ledger, slack, NOW)
    story(release.release_id, happens)
    server.fault(kind, method=method, count=2, seconds=5)
    until_empty(ledger, slack)
    assert is_told(server), texts(server)
    assert len(parents(server)) == 1
    assert "✅ build" in parents(server)[0]


def test_an_answer_that_never_comes_is_not_posted_twice(
    ledger: Ledger, server: SlackServer, slack: Slack, opened: Open, happens: Happens
) -> None:
    release = opened()
    server.fault("hang_after", method="chat.postMessage")
    first = drain(ledger, slack, NOW)
    assert (first.sent, first.failed) == (0, 1)
    assert "timed out" in first.errors[0]
    server.fault("hang_after", method="chat.postMessage")
    second = drain(ledger, slack, NOW + timedelta(hours=1))
    assert second.failed == 1
    story(release.release_id, happens)
    until_empty(ledger, slack)
    assert is_told(server), texts(server)
    assert len(parents(server)) == 1


def test_a_process_killed_after_posting_is_not_repeated_by_the_next(
    ledger: Ledger, server: SlackServer, slack: Slack, opened: Open
) -> None:
    class Killed(BaseException):
        pass

    class Dying(Slack):
        def update(self, *args: object) -> None:
            raise Killed

        def post(self, *args: object, **kwargs: object) -> object:  # type: ignore[override]
            super().post(*args, **kwargs)  # type: ignore[arg-type]
            raise Killed

    opened()
    for hour in (0, 1):
        with pytest.raises(Killed):
            drain(ledger, Dying(slack._call), NOW + timedelta(hours=hour))
    until_empty(ledger, slack, NOW + timedelta(hours=2))
    assert is_told(server, TOLD[:1]), texts(server)
    assert len(parents(server)) == 1


def test_retry_after_is_kept_to_and_stops_the_drain(
    ledger: Ledger, server: SlackServer, slack: Slack, opened: Open
) -> None:
    opened("1.1.0")
    opened("1.2.0")
    server.fault("rate_limited", seconds=90)
    result = drain(ledger, slack, NOW)
    assert result.again_at == NOW + timedelta(seconds=90)
    assert server.api.calls == ["chat.postMessage"]
    assert drain(ledger, slack, NOW + timedelta(seconds=89)).sent == 0
    assert server.api.calls == ["chat.postMessage"]
    assert drain(ledger, slack, NOW + timedelta(seconds=90)).sent == 2


def test_the_servers_own_rate_limit_is_survived(
    ledger: Ledger, opened: Open, happens: Happens, connected: Callable[..., Slack]
) -> None:
    with SlackServer(rate=0.001, burst=3) as server:
        slack = Slack(WebClient(token=TOKEN, base_url=server.base_url, retry_handlers=[]).api_call)
        release = opened()
        story(release.release_id, happens)
        assert drain(ledger, slack, NOW).sent == 2
        server.api.rate = 1000.0
        until_empty(ledger, slack)
        assert is_told(server), texts(server)


def test_a_wrong_token_waits_until_it_is_repaired(
    ledger: Ledger,
    server: SlackServer,
    slack: Slack,
    opened: Open,
    happens: Happens,
    connected: Callable[..., Slack],
) -> None:
    release = opened()
    story(release.release_id, happens)
    wrong = connected(token="xoxb-wrong-1234")
    for hour in range(20):
        result = drain(ledger, wrong, NOW + timedelta(hours=hour))
        assert (result.sent, result.pending, result.given_up) == (0, 4, 0)
        assert "invalid_auth" in result.errors[0]
        assert "xoxb" not in str(result)
    until_empty(ledger, slack, NOW + timedelta(days=1))
    assert is_told(server), texts(server)


def test_a_missing_channel_keeps_only_its_own_releases_waiting(
    ledger: Ledger, server: SlackServer, slack: Slack, opened: Open
) -> None:
    opened("2.0.0", channel="#nowhere")
    opened("2.0.1", channel="#nowhere")
    opened("1.1.0")
    result = drain(ledger, slack, NOW)
    assert (result.sent, result.failed, result.pending) == (1, 2, 2)
    assert any("channel_not_found" in e for e in result.errors)
    assert len(texts(server)) == 1
    server.api.store.channels["C0NOWHERE0"] = "nowhere"
    server.api.store._messages["C0NOWHERE0"] = {}
    until_empty(ledger, slack)
    assert len([m for c in server.api.store.transcript() for m in c["messages"]]) == 6


def test_what_slack_refuses_for_good_is_given_up_so_that_the_rest_arrives(
    ledger: Ledger, server: SlackServer, slack: Slack, opened: Open, happens: Happens
) -> None:
    release = opened()
    drain(ledger, slack, NOW)
    story(release.release_id, happens)
    server.fault("message_limit_exceeded", method="chat.postMessage", count=GIVE_UP_AFTER // 2 + 1)
    until_empty(ledger, slack)
    assert is_told(server, [TOLD[0], *TOLD[2:]]), texts(server)


def test_what_slack_finds_malformed_arrives_as_words(
    ledger: Ledger, server: SlackServer, slack: Slack, opened: Open
) -> None:
    opened()
    server.fault("invalid_blocks", method="chat.postMessage")
    result = drain(ledger, slack, NOW)
    assert (result.sent, result.pending) == (1, 0)
    assert "checkout" in parents(server)[0]
    assert "blocks" not in server.messages()[0]


def test_a_deleted_parent_is_replaced(
    ledger: Ledger, server: SlackServer, slack: Slack, opened: Open, happens: Happens
) -> None:
    release = opened()
    drain(ledger, slack, NOW)
    for messages in server.api.store._messages.values():
        messages.clear()
    story(release.release_id, happens)
    until_empty(ledger, slack)
    assert is_told(server, TOLD[1:]), texts(server)
    assert len(parents(server)) == 1


def test_a_server_that_is_down_costs_few_calls_and_loses_nothing(
    ledger: Ledger, server: SlackServer, slack: Slack, opened: Open
) -> None:
    for n in range(8):
        opened(f"1.{n}.0")
    server.fault("server_error", count=3)
    result = drain(ledger, slack, NOW)
    assert (result.sent, result.failed, result.pending) == (0, 3, 8)
    until_empty(ledger, slack)
    assert len(parents(server)) == 8
    nobody = Slack(WebClient(token=TOKEN, base_url="http://127.0.0.1:9/api/", retry_handlers=[]).api_call)
    opened("1.9.0")
    assert drain(ledger, nobody, NOW + timedelta(days=9)).failed == 1


def test_one_drain_at_a_time(ledger: Ledger, server: SlackServer, slack: Slack, opened: Open) -> None:
    opened()
    assert ledger.lease(lease_name("slack", ""), "somebody else", 60)
    assert drain(ledger, slack, NOW).busy
    assert server.api.calls == []
    ledger.end_lease(lease_name("slack", ""), "somebody else")
    assert drain(ledger, slack, NOW).sent == 1


def test_a_drain_that_has_lost_its_lease_leaves_the_other_releases_to_the_next(
    ledger: Ledger, server: SlackServer, slack: Slack, opened: Open
) -> None:
    lease = lease_name("slack", "")

    class Losing(Slack):
        """Slack, and another process that takes over once it was told something."""

        def post(self, *about: Any) -> Posted:
            ledger.end_lease(lease, "slow")
            assert ledger.lease(lease, "next", 60)
            return slack.post(*about)

        find = slack.find
        update = slack.update

    for version in ("1.1.0", "1.2.0"):
        opened(version)
    assert drain(ledger, Losing(lambda *_, **__: None), NOW, holder="slow").sent == 1
    assert len(parents(server)) == 1


def test_the_limit_is_kept_and_the_order_too(
    ledger: Ledger, server: SlackServer, slack: Slack, opened: Open, happens: Happens
) -> None:
    story(opened().release_id, happens)
    assert drain(ledger, slack, NOW, limit=3).sent == 3
    assert drain(ledger, slack, NOW, limit=3).sent == 1
    assert is_told(server), texts(server)

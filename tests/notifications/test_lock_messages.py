"""What Slack hears of a lock that somebody broke, or that nobody renewed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from relman_plugins.domain.identity import Actor
from relman_plugins.ledger.api import Ledger, ReleaseRecord
from relman_plugins.notifications.outbox import drain
from relman_plugins.notifications.slack import Slack
from relman_plugins.testing.slack import SlackServer, plain

BOB = Actor(kind="person", id="bob", name="Bob <!here> *B*", via="cli")


def thread(server: SlackServer) -> list[str]:
    return [plain(m) for m in server.messages("#rel-checkout")[1:]]


def test_a_broken_lock_says_whose_where_by_whom_and_why(
    ledger: Ledger, slack: Slack, server: SlackServer, opened: Callable[..., ReleaseRecord]
) -> None:
    release = opened()
    ledger.locks.acquire("production", "checkout", release.release_id, 600)
    ledger.locks.break_lock("production", "checkout", actor=BOB, reason="an <!channel> outage, *now*")
    drain(ledger, slack)
    said = thread(server)[-1]
    assert said.startswith("🔓 Bob")
    assert "broke the lock of checkout in production: the release goes no further there" in said
    assert "an <!channel> outage, *now*" in said, "the reason is quoted as it was written"
    raw = str(server.messages("#rel-checkout")[-1])
    assert "rich_text_quote" in raw
    assert "<!here>" not in raw


def test_a_lock_that_expired_is_told(
    ledger: Ledger, slack: Slack, server: SlackServer, opened: Callable[..., ReleaseRecord]
) -> None:
    release = opened()
    ledger.locks.acquire("production", "checkout", release.release_id, 0)
    ledger.locks.expire(datetime.now(UTC) + timedelta(seconds=1))
    drain(ledger, slack)
    assert thread(server)[-1].startswith("⌛ Nobody renewed the lock of checkout in production")

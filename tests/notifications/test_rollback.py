"""What people hear of a rollback after a release had ended."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from relman_plugins.domain.event import Event, Kind
from relman_plugins.domain.identity import Actor
from relman_plugins.domain.severity import Severity, severity_of
from relman_plugins.notifications.blocks import Message
from relman_plugins.notifications.release import release_message
from relman_plugins.notifications.thread import thread_message
from relman_plugins.testing.slack import plain
from relman_plugins.testing.slack_rules import check_message
from tests.notifications.conftest import plan_of
from tests.notifications.test_messages import HOSTILE, STABLE

DORA = Actor(kind="person", id="dora", name="Dora", via="cli")
REQUEST = "checkout-1.1.0-1:rollback_requested:production:1"


def event(n: int, kind: Kind, **data: Any) -> Event:
    asked = kind is Kind.ROLLBACK_REQUESTED
    return Event(
        id=n,
        release_id="checkout-1.1.0-1",
        kind=kind,
        key=REQUEST if asked else f"k{n}",
        at=datetime(2026, 1, 2, 3, n, tzinfo=UTC),
        step=None,
        environment="production",
        actor=DORA if asked else Actor(),
        data=data if asked or kind is Kind.RELEASE_CLOSED else {"request": REQUEST, **data},
    )


CLOSED = event(1, Kind.RELEASE_CLOSED, outcome="succeeded", reason="")
ASKED = event(2, Kind.ROLLBACK_REQUESTED, reason="slow", to=STABLE)
ENDS = {
    "finished": event(3, Kind.ROLLBACK_FINISHED, to=STABLE, message="back"),
    "refused": event(3, Kind.ROLLBACK_REFUSED, message="another release is there"),
    "broke": event(3, Kind.ROLLBACK_FAILED, message="no answer", final=False),
    "failed": event(3, Kind.ROLLBACK_FAILED, message="no answer", final=True),
}


def read(message: Message | None) -> str:
    assert message is not None
    check_message(message.text, message.blocks, None)
    return plain({"text": message.text, "blocks": message.blocks})


def parent(*events: Event) -> str:
    return read(release_message("checkout-1.1.0-1", plan_of("1.1.0"), [CLOSED, *events]))


@pytest.mark.parametrize(
    ("end", "mark", "said"),
    [
        ("finished", "↩️", "production rolled back since to 1.0.0"),
        ("refused", "✅", "rollback of production refused (Dora"),
        ("broke", "✅", "rollback of production asked for (Dora"),
        ("failed", "✅", "rollback of production failed (Dora"),
    ],
)
def test_the_releases_message_keeps_its_outcome_and_says_what_followed(
    end: str, mark: str, said: str
) -> None:
    assert "since" not in parent().partition("succeeded")[2].splitlines()[0]
    text = parent(ASKED, ENDS[end])
    assert mark in text.splitlines()[0]
    assert "succeeded" in text
    assert said in text


@pytest.mark.parametrize(
    ("event", "said", "severity"),
    [
        (ASKED, "Dora (via cli) rolls production back to 1.0.0", Severity.ERROR),
        (ENDS["finished"], "production is rolled back to 1.0.0", Severity.WARNING),
        (ENDS["refused"], "production is not rolled back", Severity.ERROR),
        (ENDS["broke"], "it is tried again", Severity.WARNING),
        (ENDS["failed"], "is not tried any more", Severity.CRITICAL),
    ],
    ids=lambda value: value.kind.value if isinstance(value, Event) else None,
)
def test_the_thread_says_each_of_it_and_how_much_it_matters(
    event: Event, said: str, severity: Severity
) -> None:
    assert said in read(thread_message(event))
    assert severity_of(event.kind, event.step, event.data) is severity


def test_nobodys_words_do_more_than_be_read() -> None:
    hostile = {"reason": HOSTILE, "to": {"version": HOSTILE}}
    message = thread_message(ASKED.model_copy(update={"data": hostile}))
    assert message is not None
    assert "<!channel>" not in message.text
    assert "evil.example" in read(message)

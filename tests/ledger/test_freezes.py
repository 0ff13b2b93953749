"""Stopping the line, in the ledger."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from relman_plugins.domain.identity import Actor
from relman_plugins.errors import Refused
from relman_plugins.ledger.api import Ledger
from tests.ledger.make import Clock

DANA = Actor(kind="person", id="dana", name="Dana", via="cli")


def frozen(ledger: Ledger, environment: str = "", pipeline: str = "", **more: object) -> None:
    about = {"environment": environment, "pipeline": pipeline, "reason": "incident", "until": None}
    ledger.freezes.freeze(**about | {"actor": DANA} | more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("scope", "held"),
    [
        (("", ""), ["checkout/production", "checkout/qa", "search/production"]),
        (("production", ""), ["checkout/production", "search/production"]),
        (("", "checkout"), ["checkout/production", "checkout/qa"]),
        (("production", "checkout"), ["checkout/production"]),
    ],
)
def test_a_freeze_is_about_what_it_names(ledger: Ledger, scope: tuple[str, str], held: list[str]) -> None:
    frozen(ledger, *scope)
    asked = [("checkout", "production"), ("checkout", "qa"), ("search", "production")]
    assert [f"{p}/{e}" for p, e in asked if ledger.freezes.holding(p, e, {})] == held


def test_a_thaw_lifts_just_that_freeze_and_what_others_froze_stays(ledger: Ledger) -> None:
    frozen(ledger)
    frozen(ledger, "production")
    lifted = ledger.freezes.thaw(environment="production", pipeline="", reason="over", actor=DANA)
    assert lifted is not None
    assert lifted.environment == "production"
    assert [f.environment for f in ledger.freezes.on()] == [""]
    assert ledger.freezes.thaw(environment="production", pipeline="", reason="over", actor=DANA) is None


def test_a_freeze_ends_by_itself_and_its_end_can_be_moved(ledger: Ledger, clock: Clock) -> None:
    frozen(ledger, until=ledger.now() + timedelta(hours=1))
    frozen(ledger, until=ledger.now() + timedelta(hours=2), reason="longer")
    clock.forward(3_601)
    (found,) = ledger.freezes.on()
    assert found.reason == "longer"
    assert str(found).startswith("everything in every environment is frozen until ")
    assert str(found).endswith(" UTC by Dana: longer")
    clock.forward(3_600)
    assert ledger.freezes.on() == []
    assert ledger.freezes.thaw(environment="", pipeline="", reason="x", actor=DANA) is None


def test_at_its_end_a_freeze_is_over(ledger: Ledger, clock: Clock) -> None:
    frozen(ledger, until=ledger.now() + timedelta(hours=1))
    clock.forward(3_599)
    assert ledger.freezes.on()
    clock.forward(1)
    assert ledger.freezes.on() == []


def test_a_freeze_by_labels_is_about_what_has_all_of_them(ledger: Ledger) -> None:
    frozen(ledger, labels={"tier": "1", "team": "payments"})
    asked = ({"tier": "1", "team": "payments", "more": "x"}, {"tier": "1"}, {"tier": "1", "team": "web"}, {})
    assert [bool(ledger.freezes.holding("checkout", "qa", labels)) for labels in asked] == [
        True,
        *[False] * 3,
    ]


def test_a_freeze_without_exceptions_is_not_made_one_with_them(ledger: Ledger) -> None:
    frozen(ledger)
    with pytest.raises(Refused, match="One with exceptions would lift that one: thaw it first"):
        frozen(ledger, unless="approved")
    assert [freeze.unless for freeze in ledger.freezes.on()] == [""]


def test_a_freeze_is_made_longer_and_not_shorter_and_its_end_is_in_utc(ledger: Ledger) -> None:
    east = timezone(timedelta(hours=2))
    frozen(ledger, until=datetime(2999, 1, 1, 22, 0, tzinfo=east))
    assert "frozen until 2999-01-01 20:00 UTC" in str(ledger.freezes.on()[0])
    with pytest.raises(Refused, match="A shorter freeze would lift that one: thaw it first"):
        frozen(ledger, until=datetime(2999, 1, 1, 21, 0, tzinfo=east))
    frozen(ledger)
    with pytest.raises(Refused, match="A shorter freeze would lift"):
        frozen(ledger, until=datetime(2999, 1, 1, 23, 0, tzinfo=east))
    with pytest.raises(Refused, match="no time that can be kept"):
        frozen(ledger, "qa", until=datetime(9999, 12, 31, 23, 59, tzinfo=timezone(-timedelta(hours=12))))


def test_only_a_named_person_with_a_reason_stops_the_line_or_starts_it_again(ledger: Ledger) -> None:
    for actor, reason in ((Actor(), "incident"), (DANA, " "), (DANA, "\x00 ")):
        with pytest.raises(Refused, match="only by a named person who gives a reason"):
            frozen(ledger, actor=actor, reason=reason)
        with pytest.raises(Refused, match="only by a named person who gives a reason"):
            ledger.freezes.thaw(environment="", pipeline="", reason=reason, actor=actor)
    with pytest.raises(Refused, match="would have ended"):
        frozen(ledger, until=ledger.now())
    assert ledger.freezes.on() == []

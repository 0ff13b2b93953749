"""Workers and triggerers whose clocks differ: what waits ends when it should, and not too early."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from relman_plugins.domain.identity import Actor
from relman_plugins.plan.model import Options, ReleasePlan
from relman_plugins.plan.routing import Route
from relman_plugins.triggers.base import ReleaseTrigger, deferral
from relman_plugins.triggers.deliver import DeliverTrigger
from relman_plugins.triggers.until import UntilTrigger
from tests.ledger.make import make_shape
from tests.steps.world import World, payload

MINIMUM_S = 1.0
LONG_AGO = "2020-01-01T00:00:00+00:00"


@pytest.fixture(params=[-1, 1], ids=["behind", "ahead"])
def of_the_triggerer(request: pytest.FixtureRequest) -> Any:
    """The clock of a triggerer, by that of the worker an hour behind or ahead."""
    return lambda: time_machine.travel(datetime.now(UTC) + timedelta(hours=request.param), tick=True)


def event_of(trigger: ReleaseTrigger, clock: Any) -> Any:
    """Run a trigger as a triggerer with a clock of its own does: made again from what was stored."""
    _, stored = trigger.serialize()
    with clock():
        return asyncio.run(asyncio.wait_for(payload(type(trigger)(**stored)), 30))


def test_an_event_comes_no_earlier_than_it_may_and_no_hour_later(of_the_triggerer: Any) -> None:
    began = time.monotonic()
    trigger = UntilTrigger(until=LONG_AGO, **deferral(MINIMUM_S))
    assert event_of(trigger, of_the_triggerer) == {"state": "over"}
    assert time.monotonic() - began >= MINIMUM_S


def test_messages_are_delivered_for_as_long_as_a_run_of_maintenance_lasts(
    world: World, of_the_triggerer: Any
) -> None:
    """By a time instead of a length nothing would be tried, or nothing else be done for an hour."""
    shape = make_shape().model_copy(update={"routes": (Route(channel="pager", addresses=("",)),)})
    # With SQLite the ledger's clock is that of whoever asks.
    with of_the_triggerer():
        world.ledger.open_release(
            plan=ReleasePlan(shape=shape, options=Options(version="1.0.0")),
            dag_id="release__checkout",
            run_id="run-1",
            started_by=Actor(kind="person", id="carol", via="airflow"),
            conf={},
        )
    told = event_of(DeliverTrigger(seconds=1.0, **deferral(0.0)), of_the_triggerer)
    assert (told["sent"], told["failed"] >= 1, told["pending"] >= 1) == (0, True, True)

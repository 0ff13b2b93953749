"""Under a ledger's clock that people moved: what it decides, and what it must not end at birth."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from relman_plugins.domain.event import Kind
from relman_plugins.domain.follow_up import NONE
from relman_plugins.steps import housekeeping
from relman_plugins.steps.housekeeping import Housekeeper
from relman_plugins.testing.servicenow import PASSWORD, USER, ServiceNowServer
from relman_plugins.triggers.feed import ledger_feed
from tests.operators.test_blue_green import BLUE_GREEN, CANARY, KEEP, MONITOR, good
from tests.operators.test_requested_rollback import asked, shipped
from tests.steps.rewriting import rewrite
from tests.steps.test_housekeeping import Runs
from tests.steps.world import Release, World, payload, told

SOAK, PROVISION = "staging.soak", "staging.provision"
HOUR = 3600.0


@pytest.fixture(autouse=True)
def move(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], object]:
    """Let the ledger be so many seconds ahead; 14 hours at first. It stands before the world does."""
    file, new = tmp_path / "ahead", tmp_path / "ahead.new"

    def moved(seconds: float) -> Path:
        new.write_text(str(seconds))
        return new.replace(file)

    monkeypatch.setenv("AIRFLOW__RELMAN__REHEARSAL_CLOCK", str(file))
    moved(14 * HOUR)
    return moved


@pytest.fixture
def soaks(monkeypatch: pytest.MonkeyPatch) -> None:
    rewrite(monkeypatch, "checkout.yaml", ("[one, two]\n", "[one, two]\n    soak: 30m\n"))


@pytest.fixture
def lives_shortly(monkeypatch: pytest.MonkeyPatch) -> None:
    rewrite(
        monkeypatch, "environments/staging.yaml", ("replicas: 1", "replicas: 1\nephemeral: true\nexpires: 4h")
    )


@pytest.fixture
def switches(monkeypatch: pytest.MonkeyPatch) -> None:
    rewrite(monkeypatch, "checkout.yaml", (CANARY, BLUE_GREEN), (MONITOR, ""))


@pytest.fixture
def snow(monkeypatch: pytest.MonkeyPatch) -> Iterator[ServiceNowServer]:
    gate = "{change_ticket: {system: servicenow, timeout: 2h}}"
    rewrite(monkeypatch, "checkout.yaml", ("gates: [", f"gates: [{gate}, "))
    with ServiceNowServer() as server:
        login = {"login": USER, "password": PASSWORD}
        connection = {"conn_type": "relman_servicenow", "host": server.url, **login}
        monkeypatch.setenv("AIRFLOW_CONN_RELMAN_SERVICENOW", json.dumps(connection))
        yield server


@pytest.fixture
def asks_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    written = "follow_ups: {group: managers, after: [failed], timeout: 2h}\nstages:\n"
    rewrite(monkeypatch, "checkout.yaml", ("stages:\n", written))


def soaking(world: World) -> tuple[Release, TaskDeferred]:
    world.live("1.1.0", "staging")
    release = world.open().at_the_gate()
    waiting = release.run(SOAK)
    assert isinstance(waiting, TaskDeferred)
    return release, waiting


def test_a_soak_is_over_by_the_clock_that_it_began_by(
    soaks: None, world: World, move: Callable[[float], object]
) -> None:
    release, waiting = soaking(world)
    again = release.resume(SOAK, waiting, {"state": "over"})
    assert again.trigger.until == waiting.trigger.until, "its time has not passed"
    move(14 * HOUR + 1801)
    done = release.resume(SOAK, waiting, {"state": "over"})
    assert done["message"] == "stayed in staging for 30m"


def test_one_that_waits_is_woken_by_it(soaks: None, world: World, move: Callable[[float], object]) -> None:
    _, waiting = soaking(world)

    async def woken() -> Any:
        waits = asyncio.create_task(payload(waiting.trigger))
        await (await ledger_feed()).grown(30)
        assert not waits.done()
        move(14 * HOUR + 1801)
        return await asyncio.wait_for(waits, 30)

    assert asyncio.run(woken()) == {"state": "over"}


def test_an_abort_is_seen_though_the_clock_says_nothing(soaks: None, world: World, tmp_path: Path) -> None:
    release, waiting = soaking(world)
    release.person(Kind.ABORT_REQUESTED)
    (tmp_path / "ahead").write_text("tomorrow")
    assert asyncio.run(asyncio.wait_for(payload(waiting.trigger), 30)) == {"state": "aborted"}


def test_a_stand_by_takes_as_long_as_ever(switches: None, world: World) -> None:
    world.live("1.0.0")
    waiting = good(world.open().approved()).run(KEEP)
    assert isinstance(waiting, TaskDeferred)
    left = waiting.trigger.until - datetime.now(UTC).timestamp()
    assert HOUR / 2 < left <= HOUR, "changes are recorded by the machines' clock"


def test_an_environment_lives_for_its_time_and_no_longer(
    lives_shortly: None, world: World, move: Callable[[float], object]
) -> None:
    release = world.open().finished("open", "build")
    release.run(PROVISION)
    assert world.ledger.expired_environments() == []
    move(18 * HOUR + 1)
    assert [e.environment for e in world.ledger.expired_environments()] == ["staging"]


def test_an_orphan_ends_after_its_grace(world: World, move: Callable[[float], object]) -> None:
    release, keeper = world.open(), Housekeeper(world.ledger, Runs({"run-1"}))
    assert keeper.end_orphans() == []
    move(14 * HOUR + housekeeping.GRACE.total_seconds() + 1)
    assert len(keeper.end_orphans()) == 1
    assert release.events(Kind.RELEASE_CLOSED)


def test_a_rollback_that_nobody_began_is_carried_out(world: World, move: Callable[[float], object]) -> None:
    shipped(world, "1.0.0")
    release = shipped(world, "1.1.0")
    asked(release)
    keeper = Housekeeper(world.ledger, Runs())
    assert keeper.finish_rollbacks() == []
    move(14 * HOUR + (housekeeping.ROLLBACK_GRACE + timedelta(seconds=1)).total_seconds())
    assert len(keeper.finish_rollbacks()) == 1
    assert world.weights() == {"1.0.0": 100}


def test_a_ticket_is_looked_at_and_given_up_by_it(
    snow: ServiceNowServer, world: World, move: Callable[[float], object]
) -> None:
    ledger = world.ledger.now()
    start, end = (f"{ledger + timedelta(hours=h):%Y-%m-%d %H:%M:%S}" for h in (-1, 5))
    change = snow.change("CHG0030001", approval="requested", start_date=start, end_date=end)
    release = world.open(ticket=change["number"]).at_the_gate()
    waiting = release.run("production.ticket")
    _, stored = waiting.trigger.serialize()

    async def news() -> Any:
        trigger = type(waiting.trigger)(**stored | {"minimum_s": 0.0, "pause_s": 0.05})
        return await asyncio.wait_for(payload(trigger), 20)

    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(news(), 1))
    move(16 * HOUR + 1)
    assert asyncio.run(news()) == {"state": "over"}


def test_follow_ups_may_be_named_until_their_time_is_over_by_it(
    asks_afterwards: None, world: World, move: Callable[[float], object]
) -> None:
    world.live("1.0.0")
    release = world.open().at_the_gate()
    with pytest.raises(AirflowFailException):
        release.run("close")
    waiting = release.run("follow_up")

    def give() -> str:
        answer = {"airflow_user": "bob", "option": NONE, "form": {}, "via": "airflow"}
        return str(world.ledger.give_follow_ups(release.id, **answer).code)

    move(16 * HOUR + 1)
    assert give() == "over"
    assert told(waiting) == {"state": "over"}
    move(15 * HOUR)
    assert give() == "accepted"

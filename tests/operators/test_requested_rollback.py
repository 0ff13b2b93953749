"""Rolling back a release that has ended: real ledger, real sandbox, and what may come between."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
import time_machine
from airflow.sdk.exceptions import AirflowFailException

from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.domain.identity import Actor, rollback_run_id
from relman_plugins.domain.state import DesiredState, Revision
from relman_plugins.errors import PlatformError, Refused, StaleToken
from relman_plugins.factory.rollback import build_rollback
from relman_plugins.hooks.change import Change, converge
from relman_plugins.ledger.api import Ledger, asked_of, way_back
from relman_plugins.ledger.rollbacks import key_of
from relman_plugins.platforms.archive import pack
from relman_plugins.steps import housekeeping, returning
from relman_plugins.steps.housekeeping import Housekeeper
from relman_plugins.strategies.api import promoted
from tests.steps.test_housekeeping import Runs
from tests.steps.world import Release, World

PERSON = Actor(kind="person", id="dora", name="Dora", via="cli")
WHERE = "production"


def shipped(world: World, version: str, environment: str = WHERE, **config: str) -> Release:
    """Bring a version into an environment by a release that succeeds."""
    release = world.open(version, f"run-{version}-{len(world.ledger.releases())}").finished("open", "build")
    seen = world.seen(environment).stable
    deployed(release, environment, seen.revision if seen else None, **config)
    return release


def deployed(release: Release, environment: str, previous: Revision | None, **config: str) -> None:
    """Let a release put its version into an environment, and end well."""
    ledger = release.world.ledger
    lock: Any = ledger.locks.acquire(environment, "checkout", release.id, 60)
    change = Change(
        environment=environment,
        service="checkout",
        step=f"{environment}.{'canary_50' if environment == WHERE else 'deploy'}",
        desired=promoted(release.artifact, 1, config),
        token=lock.token,
        attempt="try1:promote",
        previous=previous,
        promoted=True,
    )
    converge(change, release.world.platform, lambda e: record(ledger, release.id, e), release.id)
    ledger.locks.release(environment, "checkout", release.id)
    release.says(Kind.RELEASE_CLOSED, key=f"{release.id}:closed", outcome="succeeded", reason="")


def record(ledger: Ledger, release_id: str, event: NewEvent) -> None:
    ledger.record(release_id, event)


def asked(release: Release, n: int = 1, environment: str = WHERE, actor: Actor = PERSON) -> dict[str, str]:
    """Let a person ask for a rollback; return the configuration of its run."""
    key = key_of(release.id, environment, n)
    event = NewEvent(
        kind=Kind.ROLLBACK_REQUESTED, key=key, environment=environment, actor=actor, data={"reason": "bad"}
    )
    release.world.ledger.record(release.id, event)
    return {"release": release.id, "request": key}


def run(conf: dict[str, str] | None, try_number: int = 1, max_tries: int = 40) -> str:
    """Run the task of ``relman_rollback``."""
    ti = SimpleNamespace(try_number=try_number, max_tries=max_tries)
    context: Any = {"dag_run": SimpleNamespace(conf=conf), "ti": ti}
    return str(build_rollback().get_task("roll_back").execute(context))


def only(release: Release, kind: Kind) -> Any:
    (event,) = release.events(kind)
    return event


@pytest.fixture
def two(world: World) -> tuple[Release, Release]:
    """1.1.0, then 1.2.0, both released well; 1.0.0 was there before relman."""
    world.live("1.0.0")
    return shipped(world, "1.1.0"), shipped(world, "1.2.0")


def test_the_version_before_has_all_the_traffic_and_the_record_says_who_wanted_it(
    two: tuple[Release, Release],
) -> None:
    world, release = two[1].world, two[1]
    conf = asked(release)
    assert "production is back at 1.1.0" in run(conf)
    assert world.weights() == {"1.1.0": 100}
    stable = world.ledger.stable(WHERE, "checkout")
    assert stable == world.revisions["1.1.0"]
    finished = only(release, Kind.ROLLBACK_FINISHED)
    assert finished.data["from"]["version"] == "1.2.0"
    assert "Dora" in finished.data["message"]
    status = world.ledger.status(release.id)
    assert str(status.outcome) == "succeeded"
    assert [(r.environment, r.state, r.actor.id) for r in status.rollbacks] == [(WHERE, "finished", "dora")]
    assert world.ledger.locks.held() == []
    assert [c.check for c in world.ledger.verify() if c.problems] == []


def test_done_is_done_however_often_it_is_run(two: tuple[Release, Release]) -> None:
    release, conf = two[1], asked(two[1])
    run(conf)
    events = len(release.events())
    shipped(release.world, "1.3.0")
    assert "back at 1.1.0" in run(conf, try_number=2)
    assert len(release.events()) == events
    assert release.world.weights() == {"1.3.0": 100}


@pytest.mark.parametrize("conf", [None, {}, {"release": "checkout-1.2.0-1"}, {"release": 1, "request": [2]}])
def test_who_triggers_the_dag_by_hand_changes_nothing(two: tuple[Release, Release], conf: Any) -> None:
    with pytest.raises(AirflowFailException, match="nobody asked"):
        run(conf)
    assert two[1].world.weights() == {"1.2.0": 100}


def test_a_request_that_no_person_made_is_none(two: tuple[Release, Release]) -> None:
    with pytest.raises(AirflowFailException, match="nobody asked"):
        run(asked(two[1], actor=Actor()))
    assert two[1].world.weights() == {"1.2.0": 100}


def test_replicas_and_configuration_come_back_as_they_were(world: World) -> None:
    world.live("1.0.0")
    shipped(world, "1.1.0", MODE="old")
    release = shipped(world, "1.2.0", MODE="new")
    run(asked(release))
    assert world.seen().config == {"MODE": "old"}


def test_a_chain_of_releases_goes_back_one_by_one_to_what_was_there_before_relman(
    two: tuple[Release, Release],
) -> None:
    first, second = two
    with pytest.raises(AirflowFailException, match=f"release {second.id} changed production"):
        run(asked(first))
    run(asked(second))
    run(asked(first, n=2))
    assert first.world.weights() == {"1.0.0": 100}
    assert not way_back_of(second)


def way_back_of(release: Release) -> Any:
    try:
        return way_back(release.world.ledger, release.record)
    except Refused:
        return None


def refused(release: Release, match: str, environment: str = WHERE) -> None:
    """Run a rollback that is refused, recorded with its reason, and leaves the lock and the traffic alone."""
    before = release.world.weights(environment)
    conf = asked(release, environment=environment)
    with pytest.raises(AirflowFailException, match=match):
        run(conf)
    event = only(release, Kind.ROLLBACK_REFUSED)
    assert event.data["request"] == conf["request"]
    assert release.world.weights(environment) == before
    assert release.world.ledger.locks.held(release.id) == []
    with pytest.raises(AirflowFailException, match="refused before"):
        run(conf, try_number=2)


def test_under_way_is_refused_with_the_way_to_abort(world: World) -> None:
    world.live("1.0.0")
    refused(world.open().finished("open", "build"), "still under way: `relman abort checkout-1.1.0-1")


def test_another_release_in_the_environment_is_not_disturbed(two: tuple[Release, Release]) -> None:
    world = two[1].world
    other = world.open("1.3.0", "run-other")
    assert world.ledger.locks.acquire(WHERE, "checkout", other.id, 600)
    refused(two[1], f"release {other.id} is in flight in production")
    assert [lock.release_id for lock in world.ledger.locks.held()] == [other.id]


def test_a_release_of_another_pipeline_is_not_named_to_those_who_may_not_see_it(
    two: tuple[Release, Release],
) -> None:
    world = two[1].world
    payroll = replace(world, shape=world.shape.model_copy(update={"pipeline": "payroll"}))
    secret = payroll.open("1.1.0", "run-secret")
    assert world.ledger.locks.acquire(WHERE, "checkout", secret.id, 600)
    refused(two[1], "another pipeline's release is in flight in production .* `relman locks` names it")
    assert secret.id not in str(only(two[1], Kind.ROLLBACK_REFUSED).data)


def test_what_another_release_brought_since_is_not_undone(two: tuple[Release, Release]) -> None:
    other = shipped(two[1].world, "1.3.0")
    refused(two[1], f"release {other.id} changed production .* 1.3.0 is there now")


def test_what_somebody_changed_past_relman_is_not_undone(two: tuple[Release, Release]) -> None:
    two[1].world.live("1.3.0")
    refused(two[1], "runs 1.3.0 .* changed it past relman")


def test_a_first_deploy_has_nothing_to_go_back_to(world: World) -> None:
    refused(shipped(world, "1.1.0"), "it was the first deploy there")


def test_the_same_version_again_is_told_from_a_new_one(two: tuple[Release, Release]) -> None:
    refused(shipped(two[1].world, "1.2.0"), "brought nothing new")


def test_a_release_that_changed_nothing(world: World) -> None:
    release = world.open().finished("open", "build")
    release.says(Kind.RELEASE_CLOSED, key=f"{release.id}:closed", outcome="rejected", reason="")
    refused(release, "changed no environment")


@pytest.mark.parametrize(("content", "match"), [(None, "is gone"), (b"other", "not what was recorded")])
def test_an_artifact_that_is_gone_or_another_is_refused(
    two: tuple[Release, Release], content: bytes | None, match: str
) -> None:
    file = Path(urlsplit(two[0].artifact.uri).path)
    saved = file.read_bytes()
    try:
        file.unlink() if content is None else file.write_bytes(content)
        refused(two[1], match)
    finally:
        file.write_bytes(saved)


def test_an_artifact_that_is_not_the_one_on_record_is_refused(world: World) -> None:
    world.live("1.0.0")
    older = world.open("1.0.0", "run-older")
    other = world.revisions["1.3.0"].model_copy(update={"version": "1.0.0"})
    older.says(Kind.ARTIFACT_BUILT, "build", revision=other.model_dump(mode="json"))
    refused(shipped(world, "1.1.0"), "no release of 1.0.0 has it on record")


def test_a_version_that_does_not_start_leaves_the_present_one_as_it_was(
    world: World, builds: dict[str, Path], tmp_path: Path
) -> None:
    tree = tmp_path / "broken"
    shutil.copytree(builds["1.1.0"], tree)
    for file in tree.rglob("__main__.py"):
        file.write_text("raise SystemExit('no such database')\n")
    world.live("1.0.0")
    release = world.open("1.2.0").finished("open", "build")
    broken = pack(tree, tmp_path / "store").revision("0.9.0")
    deployed(release, WHERE, broken, MODE="new")
    refused(release, "(?s)does not take 0.9.0: .* 1.2.0 stays there, as it was")
    assert world.seen().config == {"MODE": "new"}
    assert world.seen().matches(promoted(release.artifact, 1))
    assert world.ledger.stable(WHERE, "checkout") == release.artifact


def test_a_lost_worker_is_followed_by_a_try_that_ends_it_and_fences_the_lost_one_off(
    two: tuple[Release, Release],
) -> None:
    world, release, conf = two[1].world, two[1], asked(two[1])
    script = (
        "import os, signal, sys\n"
        "from types import SimpleNamespace as N\n"
        "from relman_plugins.domain.event import Kind\n"
        "from relman_plugins.factory.rollback import build_rollback\n"
        "from relman_plugins.hooks import recorder\n"
        "real = recorder.Recorder.record\n"
        "def record(self, event):\n"
        "    if event.kind.value == sys.argv[3]:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    real(self, event)\n"
        "recorder.Recorder.record = record\n"
        "conf = {'release': sys.argv[1], 'request': sys.argv[2]}\n"
        "ti = N(try_number=1, max_tries=9)\n"
        "build_rollback().get_task('roll_back').execute({'dag_run': N(conf=conf), 'ti': ti})\n"
    )
    for kind in (Kind.CHANGE_STARTED, Kind.CHANGE_FINISHED, Kind.ROLLBACK_FINISHED):
        done = subprocess.run(
            [sys.executable, "-c", script, conf["release"], conf["request"], kind.value],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == -signal.SIGKILL, done.stderr
    lost = max(int(e.data["token"]) for e in release.events(Kind.LOCK_ACQUIRED))
    assert "back at 1.1.0" in run(conf, try_number=4)
    assert world.weights() == {"1.1.0": 100}
    assert only(release, Kind.ROLLBACK_FINISHED)
    assert world.ledger.locks.held() == []
    again = DesiredState(stable=world.revisions["1.2.0"], stable_replicas=1)
    with pytest.raises(StaleToken):
        world.platform.converge(WHERE, "checkout", again, token=lost)


def test_a_platform_that_is_away_is_tried_again_and_given_up_aloud(
    two: tuple[Release, Release], monkeypatch: pytest.MonkeyPatch
) -> None:
    release, conf = two[1], asked(two[1])
    with monkeypatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_RELMAN_SANDBOX", "relman-sandbox://127.0.0.1:1")
        for n in (1, 2):
            with pytest.raises(PlatformError):
                run(conf, try_number=n)
        assert only(release, Kind.ROLLBACK_FAILED).data["final"] is False
        with pytest.raises(PlatformError):
            run(conf, try_number=3, max_tries=2)
    assert release.events(Kind.ROLLBACK_FAILED)[1].data["final"] is True
    with pytest.raises(AirflowFailException, match="failed before"):
        run(conf)
    assert release.world.ledger.locks.held() == []
    run(asked(release, n=2))
    assert release.world.weights() == {"1.1.0": 100}


def test_a_hold_a_window_and_an_approval_play_no_part(two: tuple[Release, Release]) -> None:
    two[1].person(Kind.RELEASE_HELD)
    run(asked(two[1]))
    assert two[1].world.weights() == {"1.1.0": 100}


def test_maintenance_does_what_no_run_does(
    two: tuple[Release, Release], monkeypatch: pytest.MonkeyPatch
) -> None:
    world, release = two[1].world, two[1]
    asked(release)
    Housekeeper(world.ledger, Runs()).round()
    assert world.weights() == {"1.2.0": 100}
    monkeypatch.setattr(housekeeping, "ROLLBACK_GRACE", timedelta(0))
    done = Housekeeper(world.ledger, Runs()).round()
    assert any("production is back at 1.1.0" in line for line in done)
    assert world.weights() == {"1.1.0": 100}
    assert asked_of(release.events())[0].state == "finished"
    Housekeeper(world.ledger, Runs()).round()
    assert only(release, Kind.ROLLBACK_FINISHED)


def test_maintenance_tries_again_what_broke_in_its_own_hands(
    two: tuple[Release, Release], monkeypatch: pytest.MonkeyPatch
) -> None:
    world, release = two[1].world, two[1]
    asked(release)
    monkeypatch.setattr(housekeeping, "ROLLBACK_GRACE", timedelta(0))
    with monkeypatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_RELMAN_SANDBOX", "relman-sandbox://127.0.0.1:1")
        Housekeeper(world.ledger, Runs()).round()
    assert only(release, Kind.ROLLBACK_FAILED).data["final"] is False
    run_id = rollback_run_id(release.id, WHERE, 1)
    Housekeeper(world.ledger, Runs(busy={run_id})).round()
    assert world.weights() == {"1.2.0": 100}, "the run is at work"
    Housekeeper(world.ledger, Runs()).round()
    assert world.weights() == {"1.1.0": 100}


def test_a_drivers_own_words_stay_in_the_log(
    two: tuple[Release, Release], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def driver(*_: Any) -> Any:
        raise KeyError("https://shop:s3cret@cluster")

    asked(two[1])
    monkeypatch.setattr(housekeeping, "ROLLBACK_GRACE", timedelta(0))
    monkeypatch.setattr(returning, "platform_of", driver)
    Housekeeper(two[1].world.ledger, Runs()).round()
    assert only(two[1], Kind.ROLLBACK_FAILED).data["message"] == "KeyError; the log says more"
    assert "s3cret" in caplog.text


def test_a_request_that_nobody_worked_on_for_a_day_is_ended_so_that_it_can_be_made_again(
    two: tuple[Release, Release],
) -> None:
    world, release = two[1].world, two[1]
    asked(release)
    run_id = rollback_run_id(release.id, WHERE, 1)
    with time_machine.travel(datetime.now(UTC) + timedelta(days=2)):
        Housekeeper(world.ledger, Runs(busy={run_id})).round()
    assert only(release, Kind.ROLLBACK_FAILED).data["final"] is True
    assert world.weights() == {"1.2.0": 100}
    run(asked(release, n=2))
    assert world.weights() == {"1.1.0": 100}


def test_another_environment_of_the_release_can_be_named(world: World) -> None:
    world.live("1.0.0", "staging")
    release = shipped(world, "1.1.0", "staging")
    run(asked(release, environment="staging"))
    assert world.weights("staging") == {"1.0.0": 100}
    assert not release.world.ledger.locks.held()

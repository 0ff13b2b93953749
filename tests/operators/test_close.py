"""The end of a release."""

from __future__ import annotations

import pytest
from airflow.sdk.exceptions import AirflowFailException

from relman_plugins.domain.event import Kind
from relman_plugins.errors import PlatformUnavailable
from tests.steps.world import Release, World

FIRST = "production.canary_50"


@pytest.fixture
def release(world: World) -> Release:
    world.live("1.0.0")
    found = world.open().approved()
    found.run(FIRST)
    return found


def test_a_run_that_somebody_marked_does_not_leave_its_candidate_behind(release: Release) -> None:
    with pytest.raises(AirflowFailException, match=r"taken back to 1\.0\.0"):
        release.run("close")
    assert release.world.weights() == {"1.0.0": 100}
    assert release.world.ledger.locks.held() == []


def test_a_release_is_not_closed_while_its_candidate_cannot_be_taken_back(
    release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_RELMAN_SANDBOX", "relman-sandbox://127.0.0.1:1")
        with pytest.raises(PlatformUnavailable):
            release.run("close")
    assert not release.events(Kind.RELEASE_CLOSED)
    assert release.world.ledger.locks.held()
    with pytest.raises(AirflowFailException):
        release.run("close", try_number=2)
    assert release.world.weights() == {"1.0.0": 100}


def test_a_retry_of_a_close_that_was_killed_gives_the_locks_back(release: Release) -> None:
    release.says(Kind.RELEASE_CLOSED, "close", outcome="failed", reason="because")
    with pytest.raises(AirflowFailException, match="because"):
        release.run("close", try_number=2)
    assert release.world.ledger.locks.held() == []
    assert len(release.events(Kind.RELEASE_CLOSED)) == 1

"""Machines whose clocks differ: one clock says what is in time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from relman_plugins.domain.identity import Actor
from relman_plugins.domain.status import Decision
from relman_plugins.errors import Lapsed
from relman_plugins.ledger.api import Ledger, check_forward
from relman_plugins.plan.model import Options, ReleasePlan
from tests.ledger.conftest import emptied
from tests.ledger.make import GATE, build, open_gate
from tests.ledger.test_lapse import CANARY, HOUR, short_lived


@pytest.fixture
def ledger(postgres_shared: str) -> Iterator[Ledger]:
    made = Ledger(emptied(postgres_shared))
    yield made
    made.close()


def another_machine(hours: float) -> Any:
    """Work with a clock that is wrong by so many hours."""
    return time_machine.travel(datetime.now(UTC) + timedelta(hours=hours))


@pytest.mark.parametrize("wrong", [-5, 5])
def test_votes_are_judged_by_the_databases_clock(ledger: Ledger, wrong: float) -> None:
    release = ledger.open_release(
        plan=ReleasePlan(shape=short_lived(), options=Options(version="1.1.0")),
        dag_id="release__checkout",
        run_id="run-1",
        started_by=Actor(),
        conf={},
    )
    build(ledger, release)
    opened = open_gate(ledger, release, timeout_s=HOUR, valid_for_s=HOUR)
    step = release.plan.shape.step(CANARY)
    with another_machine(wrong):
        assert abs(ledger.now() - opened.opened_at) < timedelta(minutes=1)
        vote = ledger.votes.cast(
            release.release_id, GATE, airflow_user="a.alice", decision=Decision.APPROVE, via="api"
        )
        assert vote.accepted, vote.reason
        assert ledger.votes.expire_gate(release.release_id, GATE) == vote.gate
        # Neither is the approval from the future, nor has it run out.
        check_forward(ledger, release.release_id, step, frame=release.plan.shape.frame, now=ledger.now())
    later = ledger.now() + timedelta(seconds=HOUR)
    with pytest.raises(Lapsed):
        check_forward(ledger, release.release_id, step, frame=release.plan.shape.frame, now=later)


def test_the_clock_is_looked_at_again_and_never_guessed(ledger: Ledger) -> None:
    first = ledger.now()
    assert ledger.now() >= first
    assert first.tzinfo is UTC

"""Trains of which nothing became, and nobody was told: found by ``relman_maintenance``."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from relman_plugins.domain.departure import TOO_LATE
from relman_plugins.domain.identity import dag_id_of, train_dag_id_of, train_run_id
from relman_plugins.plan.words import duration

if TYPE_CHECKING:
    from relman_plugins.ledger.api import Ledger

GRACE = timedelta(minutes=15)
"""How long the release of a train has to be opened."""
FORGOTTEN = timedelta(days=1)
"""How far back trains are looked for whose release was not opened."""


def tell(ledger: Ledger) -> list[str]:
    """Tell of trains that departed and whose release nobody has opened: its DAG may be paused.

    And of departures that were announced or settled, and of which nothing became at all. Idempotent; returns
    what was told, in words.
    """
    now, done = ledger.now(), []
    for begun in ledger.trains.unended(now - FORGOTTEN, now - TOO_LATE - GRACE):
        if begun.departs is None:
            continue
        within, dag_id = duration(TOO_LATE.total_seconds()), train_dag_id_of(begun.pipeline)
        reason = f"its run has not ended it within {within}: look at the runs of {dag_id}"
        channel = begun.channel or str(begun.data.get("channel", ""))
        if ledger.trains.fail(begun.pipeline, begun.departs, reason, channel).reason == reason:
            done.append(f"the train of {begun.pipeline}: {reason}")
    for gone in ledger.trains.departed(now - FORGOTTEN):
        if gone.departs is None or gone.at > now - GRACE:
            continue
        dag_id = dag_id_of(gone.pipeline)
        if ledger.release_of_run(dag_id, train_run_id(gone.departs)) is not None:
            continue
        if any(e.action == "lost" for e in ledger.trains.of(gone.pipeline, gone.departs)):
            continue
        reason = f"{gone.version} departed, and its run opened no release: look at the runs of {dag_id}"
        channel = str(gone.data.get("channel", ""))
        ledger.trains.note(gone.pipeline, "lost", gone.departs, reason=reason, channel=channel)
        done.append(f"the train of {gone.pipeline}: {reason}")
    return done

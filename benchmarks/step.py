"""A step beside its own work, on a whole Airflow with the demo's settings, and a hand-written task beside it.

In a dry run every step goes through its whole frame (process, parse, ledger, checks, record) and does no work
of its own, so that the time of a task is what relman and Airflow cost. The other DAG's tasks call an empty
function: their time is what Airflow costs. The clock on the wall counts, so other work on the machine shows.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from relman_plugins.testing.demo_api import AirflowUser
from relman_plugins.testing.stack import Stack

RELEASE, HAND = "release__p0", "hand_0"
WITHIN_S = 300.0


def measure(repo: Path, rounds: int) -> tuple[list[float], list[float]]:
    """Run both DAGs in turn, one run at a time.

    Args:
        repo: has the pipeline ``p0``, and ``dags/`` with relman's DAG file and the hand-written one.
        rounds: runs of each DAG.

    Returns:
        Seconds from start to end of every task: of relman's steps, and of the hand-written Python tasks.
    """
    steps: list[float] = []
    by_hand: list[float] = []
    with Stack(repo / "state", repo, reparse_s=5, ready_timeout_s=WITHIN_S) as stack:
        user = AirflowUser(stack.addresses.airflow, "admin", "admin")
        for dag_id in (RELEASE, HAND):
            _until(lambda dag_id=dag_id: user.has_dag(dag_id), f"the DAG {dag_id}")  # type: ignore[misc]
        for number in range(rounds):
            version = f"1.0.{number}"
            by_hand += _run(user, HAND, {"version": version}, "PythonOperator")
            steps += _run(user, RELEASE, {"version": version, "dry_run": True})
        user.close()
    return steps, by_hand


def _run(user: AirflowUser, dag_id: str, conf: dict[str, object], operator: str = "") -> list[float]:
    run = user.trigger(dag_id, conf)
    _until(lambda: user.run_state(dag_id, run) in ("success", "failed"), f"the end of {dag_id}")
    assert user.run_state(dag_id, run) == "success", dag_id
    done = [t for t in user.tasks(dag_id, run) if t["state"] == "success"]
    counted = [t for t in done if operator in ("", t["operator"])]
    return [_at(t["end_date"]) - _at(t["start_date"]) for t in counted]


def _at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _until(ready: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not ready():
        assert time.monotonic() < deadline, f"{what} did not come within {WITHIN_S:.0f} s"
        time.sleep(0.2)

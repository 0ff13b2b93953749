"""What Airflow and relman add to a step's own work: a dry run on a whole Airflow with the demo's settings.

In a dry run every step goes through its whole frame (process, parse, ledger, checks, record) and does no
work of its own, so that a task's time is what relman and Airflow cost.
"""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

from relman_plugins.testing.demo_api import AirflowUser
from relman_plugins.testing.stack import Stack

WITHIN_S = 300.0


def measure(repo: Path, runs: int) -> tuple[list[float], list[float]]:
    """Start dry runs of the pipeline ``p0`` in ``repo``, one after the other.

    Returns:
        The seconds from start to end of every task, and of every run the seconds for each task of it.
    """
    tasks, chains = [], []
    with Stack(repo / "state", repo, reparse_s=5, ready_timeout_s=WITHIN_S) as stack:
        user = AirflowUser(stack.addresses.airflow, "admin", "admin")
        _until(lambda: user.has_dag("release__p0"), "the DAG")
        for number in range(runs):
            run = user.trigger("release__p0", {"version": f"1.0.{number}", "dry_run": True})
            _until(lambda run=run: user.run_state("release__p0", run) in ("success", "failed"), "the end")
            assert user.run_state("release__p0", run) == "success"
            done = [t for t in user.tasks("release__p0", run) if t["state"] == "success"]
            spans = [(_at(t["start_date"]), _at(t["end_date"])) for t in done]
            tasks += [end - start for start, end in spans]
            chains.append((max(e for _, e in spans) - min(s for s, _ in spans)) / len(spans))
        user.close()
    return tasks, chains


def _at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _until(ready: object, what: str) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not ready():  # type: ignore[operator]
        assert time.monotonic() < deadline, f"{what} did not come within {WITHIN_S:.0f} s"
        time.sleep(0.2)

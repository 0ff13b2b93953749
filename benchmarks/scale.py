"""What waiting costs: releases parked at a gate, beside as many hand-written DAGs at an ApprovalOperator.

``python -m benchmarks.scale [--sizes 10,50,100]`` starts one Airflow on PostgreSQL, with LocalExecutor and
the settings of docker-compose.yaml that matter. It parks the hand-written runs, measures, ends them, and does
the same with relman's. At each size: a while in which nobody answers, then answers one after the other.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from sqlalchemy import create_engine, text

from benchmarks.__main__ import machine
from relman_plugins.testing.demo_api import AirflowUser
from relman_plugins.testing.stack import AIRFLOW, Stack
from tests.conftest import Postgres, postgres_server
from tests.system.conftest import ledger_at, metadata_at

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "explanation" / "scale.md"
BEGIN, END = "<!-- measured -->\n", "<!-- /measured -->\n"
PARKED_S = 1800.0

SETTINGS = {
    "AIRFLOW__CORE__PARALLELISM": "8",
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.1",
    "AIRFLOW__TRIGGERER__CAPACITY": "5000",
}

SPEC = """\
apiVersion: relman/v1
kind: ReleasePipeline
metadata: {{name: p{n}, owner: bench}}
artifact: {{source: ../service, build: [python, build.py]}}
stages:
  - environment: production
    gates: [{{approval: managers, timeout: 7d}}]
"""
ENVIRONMENT = """\
apiVersion: relman/v1
kind: Environment
metadata: {name: production, owner: bench}
platform: sandbox
connection: relman_sandbox
replicas: 1
"""
PEOPLE = """\
apiVersion: relman/v1
kind: People
people: {alice: {airflow: alice}}
groups: {managers: [alice]}
"""
BUILD = """\
import os, pathlib
out = pathlib.Path(os.environ["RELMAN_OUTPUT"])
out.mkdir(parents=True, exist_ok=True)
(out / "relman.json").write_text('{"command": ["python", "main.py"]}')
(out / "version").write_text(os.environ["RELMAN_VERSION"])
(out / "main.py").write_text('''
import http.server, json, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        said = {"version": os.environ["RELMAN_VERSION"], "digest": os.environ["RELMAN_DIGEST"]}
        self.wfile.write(json.dumps(said).encode())
http.server.HTTPServer(("127.0.0.1", int(os.environ["RELMAN_PORT"])), Handler).serve_forever()
''')
"""
PLAIN = """\
from datetime import datetime
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG

for n in range({dags}):
    with DAG(f"plain_{{n}}", schedule=None, is_paused_upon_creation=False):
        names = ("open", "build", "deploy", "close")
        first, second, third, last = (PythonOperator(task_id=t, python_callable=print) for t in names)
        first >> second >> ApprovalOperator(task_id="approval", subject="Deploy?") >> third >> last
"""


@dataclass(frozen=True)
class Kind:
    """One way to wait for people."""

    name: str
    prefix: str
    gate: str
    next: str


PLAINLY = Kind("by hand", "plain_", "approval", "deploy")
RELMAN = Kind("relman", "release__p", "production.approval", "production.deploy")


@dataclass
class Figures:
    """What was measured while so many runs were parked."""

    parked: int
    cpu: dict[str, float] = field(default_factory=dict)
    """Share of one core, in percent, by part."""
    memory: dict[str, float] = field(default_factory=dict)
    """Proportional set size in MB, by part."""
    database: float = 0.0
    """Megabytes that Airflow's and the ledger's database have grown since nothing was parked."""
    latencies: list[float] = field(default_factory=list)
    """Seconds from an answer to the start of the next step."""


class World:
    """The running Airflow, and what is asked of it."""

    def __init__(self, stack: Stack, server: Postgres, airflow_url: str, ledger_url: str) -> None:
        self.stack = stack
        self.databases = [create_engine(airflow_url), create_engine(ledger_url)]
        self.admin = AirflowUser(stack.addresses.airflow, "admin", "admin")
        self.alice = AirflowUser(stack.addresses.airflow, "alice", "alice")
        self._postmaster = int((server.home / "data" / "postmaster.pid").read_text().split()[0])
        self._empty = 0.0

    def begin(self) -> None:
        """Take the databases as they are now for empty."""
        self._empty = self._size()

    def park(self, kind: Kind, total: int) -> None:
        """Start a run of each DAG of which none waits: a newer release would supersede the one before."""
        waiting = {dag_id for dag_id, _ in self.waiting(kind)}
        for dag_id in (f"{kind.prefix}{n}" for n in range(total)):
            if dag_id not in waiting:
                self.admin.trigger(dag_id, {"version": f"1.{total}.0"} if kind is RELMAN else {})
        until(lambda: len(self.waiting(kind)) >= total, f"{total} parked runs", PARKED_S)

    def waiting(self, kind: Kind) -> list[tuple[str, str]]:
        """Return DAG and run of what waits for an answer, oldest first."""
        query = text(
            "SELECT dag_id, run_id FROM task_instance WHERE task_id = :task AND dag_id LIKE :dags "
            "AND state IN ('deferred', 'awaiting_input') ORDER BY run_id"
        )
        with self.databases[0].connect() as db:
            found = db.execute(query, {"task": kind.gate, "dags": f"{kind.prefix}%"})
            return [(row.dag_id, row.run_id) for row in found]

    def end(self, kind: Kind) -> None:
        """Let the runs of a kind be over, in Airflow's tables: that is no part of what is measured."""
        over = "SET state = 'failed' WHERE dag_id LIKE :dags AND state NOT IN ('success', 'failed')"
        with self.databases[0].begin() as db:
            for table in ("task_instance", "dag_run"):
                db.execute(text(f"UPDATE {table} {over}"), {"dags": f"{kind.prefix}%"})

    def idle(self, figures: Figures, seconds: float) -> None:
        """Measure processor time and memory while nobody answers."""
        before, began = self._busy(), time.monotonic()
        time.sleep(seconds)
        took, after = time.monotonic() - began, self._busy()
        figures.cpu = {name: (after[name] - before[name]) / took * 100 for name in after}
        figures.memory = {name: self._memory(pid) for name, pid in self._parts().items()}
        figures.database = (self._size() - self._empty) / 1e6

    def answer(self, kind: Kind, samples: int) -> list[float]:
        """Answer one after the other; return for each how long the next step took to start."""
        return [self._answered(kind, *run) for run in self.waiting(kind)[:samples]]

    def _answered(self, kind: Kind, dag_id: str, run_id: str) -> float:
        began = time.time()
        self.alice.answer(dag_id, run_id, kind.gate, "Approve")
        query = text(
            "SELECT extract(epoch FROM start_date) FROM task_instance "
            "WHERE dag_id = :dag AND run_id = :run AND task_id = :task AND start_date IS NOT NULL"
        )
        wanted = {"dag": dag_id, "run": run_id, "task": kind.next}

        def started() -> float | None:
            with self.databases[0].connect() as db:
                return db.execute(query, wanted).scalar()

        return float(until(started, f"{kind.next} of {dag_id}", 300)) - began

    def _parts(self) -> dict[str, int]:
        named = {m.name: m.popen.pid for m in self.stack.processes.running if m.name in AIRFLOW}
        return named | {"postgresql": self._postmaster}

    def _busy(self) -> dict[str, float]:
        """Return seconds of processor time by part; those of processes that have ended are their parent's."""
        found = {}
        for name, pid in self._parts().items():
            times = [each(p, "cpu_times") for p in tree(pid)]
            found[name] = sum(t.user + t.system + t.children_user + t.children_system for t in times if t)
        return found

    def _memory(self, pid: int) -> float:
        found = [each(p, "memory_full_info") for p in tree(pid)]
        return sum(m.pss for m in found if m) / 1e6

    def _size(self) -> float:
        total = 0.0
        for engine in self.databases:
            with engine.connect() as db:
                total += float(db.execute(text("SELECT pg_database_size(current_database())")).scalar() or 0)
        return total


def each(process: psutil.Process, what: str) -> object:
    """Ask a process that may just have ended."""
    try:
        return getattr(process, what)()
    except psutil.Error:
        return None


def tree(pid: int) -> list[psutil.Process]:
    """Return a process and all below it."""
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def until(question: Callable[[], object], what: str, within_s: float) -> object:
    """Ask until there is an answer."""
    deadline = time.monotonic() + within_s
    while not (answer := question()):
        assert time.monotonic() < deadline, f"{what}: not within {within_s:.0f} s"
        time.sleep(0.02)
    return answer


@contextmanager
def world(home: Path, dags: int) -> Iterator[World]:
    """Start an Airflow with so many pipelines and as many hand-written DAGs."""
    repo = home / "repo"
    (repo / "release_specs" / "environments").mkdir(parents=True)
    (repo / "service").mkdir()
    shutil.copytree(ROOT / "dags", repo / "dags")
    (repo / "dags" / "plain.py").write_text(PLAIN.format(dags=dags))
    (repo / "service" / "build.py").write_text(BUILD)
    (repo / "release_specs" / "environments" / "production.yaml").write_text(ENVIRONMENT)
    (repo / "release_specs" / "people.yaml").write_text(PEOPLE)
    for n in range(dags):
        (repo / "release_specs" / f"p{n}.yaml").write_text(SPEC.format(n=n))
    with postgres_server() as server, server.database() as airflow, server.database() as ledger:
        extra = SETTINGS | metadata_at(airflow) | ledger_at(ledger)
        with Stack(home / "state", repo, extra=extra, ready_timeout_s=300) as stack:
            found = World(stack, server, airflow, ledger)
            for kind in (PLAINLY, RELMAN):
                last = f"{kind.prefix}{dags - 1}"
                until(lambda last=last: found.admin.has_dag(last), f"the DAG {last}", 300)  # type: ignore[misc]
            yield found
            for engine in found.databases:
                engine.dispose()


def measure(at: World, kind: Kind, size: int, seconds: float, samples: int) -> Figures:
    """Measure with so many parked."""
    figures = Figures(size)
    at.idle(figures, seconds)
    if size:
        figures.latencies = at.answer(kind, samples)
    return figures


def table(found: dict[str, list[Figures]], seconds: float) -> str:
    """Write what was measured as Markdown."""
    parts = [*AIRFLOW, "postgresql"]
    lines = [
        f"{machine()}; PostgreSQL, LocalExecutor; {seconds:.0f} s without answers, then one by one.",
        "",
        f"| parked | | {' | '.join(parts)} | all, of one core | memory | databases | answer to next step |",
        f"|---|---|{'---|' * len(parts)}---|---|---|---|",
    ]
    for n in range(len(next(iter(found.values())))):
        for name, all_figures in found.items():
            f = all_figures[n]
            cpu = " | ".join(f"{f.cpu[part]:.1f} %" for part in parts)
            said = (
                f"{statistics.median(f.latencies):.2f} s, p95 {p95(f.latencies):.2f} s" if f.latencies else ""
            )
            cpu += f" | {sum(f.cpu.values()):.1f} % | {sum(f.memory.values()):.0f} MB"
            lines.append(f"| {f.parked} | {name} | {cpu} | {f.database:+.1f} MB | {said} |")
    return "\n".join(lines) + "\n"


def p95(values: list[float]) -> float:
    """Return the 95th percentile; of few values, the largest."""
    return sorted(values)[min(len(values) - 1, int(0.95 * len(values)))]


def main() -> None:
    """Measure, print, and write the table into the page."""
    parser = argparse.ArgumentParser(prog="benchmarks.scale", description=__doc__)
    parser.add_argument("--sizes", default="10,50,100", help="how many are parked, one size after the other")
    parser.add_argument("--seconds", type=float, default=60, help="how long nobody answers")
    parser.add_argument("--samples", type=int, default=10, help="answers at each size")
    parser.add_argument(
        "--to", type=Path, default=PAGE, help="page with the marks between which the table goes"
    )
    options = parser.parse_args()
    sizes = [0, *(int(size) for size in options.sizes.split(","))]
    found: dict[str, list[Figures]] = {}
    with (
        tempfile.TemporaryDirectory(prefix="relman-scale-") as home,
        world(Path(home), sizes[-1]) as at,
    ):
        for kind in (PLAINLY, RELMAN):
            at.begin()
            for size in sizes:
                at.park(kind, size)
                figures = measure(at, kind, size, options.seconds, options.samples)
                found.setdefault(kind.name, []).append(figures)
                print(kind.name, figures, flush=True)
            at.end(kind)
    said = table(found, options.seconds)
    print(said)
    before, _, rest = options.to.read_text().partition(BEGIN)
    options.to.write_text(f"{before}{BEGIN}\n{said}\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()

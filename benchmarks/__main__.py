"""The table: ``python -m benchmarks [--quick]``."""

from __future__ import annotations

import argparse
import compileall
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import made, peers, step

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    measured: list[float]
    """One figure for each round; the median counts."""
    goal: float | None = None
    unit: str = ""
    note: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.measured)

    def line(self) -> str:
        """Write the row: what, goal, median, spread, verdict."""
        spread = f"{min(self.measured):.3g} to {max(self.measured):.3g}" if len(self.measured) > 1 else ""
        goal = f"<= {self.goal:g}{self.unit}" if self.goal is not None else ""
        said = "" if self.goal is None else "ok" if self.median <= self.goal else "NOT OK"
        figure = f"{self.median:.3g}{self.unit}"
        return f"{self.what:<58} {goal:>10} {figure:>10}  {spread:<18} {said:<7} {self.note}".rstrip()


class Bench:
    """Makes the files, runs the processes in turn, and yields rows."""

    def __init__(self, home: Path, sizes: list[int], rounds: int, large: int) -> None:
        self.home = home
        self.sizes = sizes
        self.rounds = rounds
        self.large = large
        self.env = {
            **{
                k: v
                for k, v in os.environ.items()
                if not k.startswith(("AIRFLOW_", "_AIRFLOW", "PYTHONDONT"))
            },
            "AIRFLOW_HOME": str(home / "airflow"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "3600",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        }

    def child(self, what: str, **options: object) -> dict[str, Any]:
        """Measure one thing in a process of its own."""
        arguments = [f"{key}={value}" for key, value in options.items()]
        command = [sys.executable, "-m", "benchmarks.child", what, *arguments]
        done = subprocess.run(command, env=self.env, cwd=self.home, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout.splitlines()[-1]))

    def rows(self) -> Iterator[Row]:
        """Measure everything; what was edited since `make setup` is compiled first."""
        compileall.compile_dir(ROOT / "relman_plugins", quiet=1)
        for size in self.sizes:
            yield from self._parse(size)
        yield from self._fields()
        yield from self._import()
        yield from self._task()
        yield from self._commands()
        yield from self._steps()

    def _parse(self, size: int) -> Iterator[Row]:
        home = self._folder(f"parse-{size}")
        loader = made.specs(home, size, fields=10)
        hand = made.hand(home, made.shape(home), size)
        others = peers.files(home, made.shape(home), size)
        floors, ours, firsts = [], [], []
        theirs: dict[str, list[dict[str, Any]]] = {name: [] for name in others}
        for _ in range(self.rounds if size < 1000 else max(1, self.rounds // 2)):
            floors.append(self.child("parse", file=hand, serialise="yes"))
            self._forget()
            firsts.append(self.child("parse", file=loader, preload="yes"))
            ours.append(self.child("parse", file=loader, preload="yes", serialise="yes"))
            for name, file in others.items():
                theirs[name].append(self.child("parse", file=file, serialise="yes"))
        assert ours[0]["dags"] == floors[0]["dags"] == size
        assert ours[0]["tasks"] == floors[0]["tasks"] == made.TASKS
        each = f"{_median(floors, 'parse') / size * 1000:.1f} ms a DAG by hand"
        both = f"{(_median(floors, 'parse') + _median(floors, 'serialise')) / size * 1000:.1f} ms by hand"
        yield Row(f"parse, {size} pipelines as they were", _ratios(ours, floors, "parse"), 1.25, " x", each)
        yield Row(
            f"the first parse, YAML and checks included, {size}", _ratios(firsts, floors, "parse"), 1.25, " x"
        )
        yield Row(
            f"parse and serialise, form of ten fields, {size} pipelines",
            _ratios(ours, floors, "parse", "serialise"), 0.6, " x", both,
        )  # fmt: skip
        if size == self.sizes[-1]:
            yield Row("tasks that do nothing, in all of these", [float(o["empty"]) for o in ours], 0)
        for name, measured in theirs.items():
            yield Row(f"  {name}: parse", _ratios(measured, floors, "parse"), None, " x")
            yield Row(
                f"  {name}: parse and serialise", _ratios(measured, floors, "parse", "serialise"), None, " x"
            )
        if size >= 1000:
            seconds = [m["parse"] + m["serialise"] for m in ours]
            yield Row(f"all {size} in one file (Airflow stops at 30 s and 50 s)", seconds, 30, " s")

    def _fields(self) -> Iterator[Row]:
        size, more = min(100, self.sizes[-1]), 20
        files = []
        for fields in (10, 10 + more):
            home = self._folder(f"fields-{fields}")
            files.append(made.specs(home, size, fields=fields))
        found = []
        for _ in range(self.rounds):
            few, many = (self.child("parse", file=f, preload="yes", serialise="yes") for f in files)
            cost = many["parse"] + many["serialise"] - few["parse"] - few["serialise"]
            found.append(cost / size / more * 1000)
        yield Row("each further field of the form, parse and serialise", found, 0.2, " ms")

    def _import(self) -> Iterator[Row]:
        found = [self.child("imported", module="relman_plugins.factory.loader") for _ in range(self.rounds)]
        heavy = {m for f in found for m in f["heavy"]}
        yield Row("importing the loader over airflow.sdk", [f["import"] * 1000 for f in found], 15, " ms")
        specs = [self.child("imported", module="relman_plugins.factory.pipeline") for _ in range(self.rounds)]
        yield Row(
            "  with what reads specs, when there are any", [f["import"] * 1000 for f in specs], None, " ms"
        )
        yield Row("modules of Kubernetes and Slack that it imports", [float(len(heavy))], 0)

    def _task(self) -> Iterator[Row]:
        medians: list[float] = []
        for size in (self.large // 10, self.large):
            home = self._folder(f"task-{size}")
            loader = made.specs(home, size, fields=10)
            rounds = range(self.rounds)
            self._forget()
            first = self.child("task", file=loader, dag_id=f"release__p{size // 2}")["parse"] * 1000
            found = [self.child("task", file=loader, dag_id=f"release__p{size // 2}") for _ in rounds]
            took = [f["parse"] * 1000 for f in found]
            medians.append(statistics.median(took))
            goal = 30.0 if len(medians) == 1 else medians[0] * 2
            yield Row(f"a task's own parse, {size} pipelines", took, round(goal), " ms", "imports included")
            yield Row("  the same when its spec was never compiled", [first], None, " ms")
        found = [self.child("task", file=loader, dag_id="release__p0", preload="yes") for _ in rounds]
        took = [f["parse"] * 1000 for f in found]
        yield Row("  the same with the LocalExecutor, which forks", took, 30, " ms", "imported once before")

    def _commands(self) -> Iterator[Row]:
        home = self._folder("validate")
        made.specs(home, 1, fields=10)
        spec = str(home / "release_specs" / "p0.yaml")
        for what, arguments in (("validate of one spec", ["validate", spec]), ("--help", ["--help"])):
            found = [
                self._process([sys.executable, "-m", "relman_plugins.cli", *arguments])
                for _ in range(self.rounds + 1)
            ]
            yield Row(f"relman {what}, the whole process", found[1:], 0.3, " s")

    def _steps(self) -> Iterator[Row]:
        repo = self._folder("step")
        made.specs(repo, 1)
        shutil.copytree(ROOT / "dags", repo / "dags")
        made.hand(repo, made.shape(repo), 1).rename(repo / "dags" / "hand.py")
        steps, hand = step.measure(repo, 1 if self.rounds == 1 else 3)
        yield Row("a step beside its own work, start to end", steps, 0.3, " s", "demo's settings")
        yield Row("  an empty task by hand in the same Airflow", hand, None, " s")

    def _process(self, command: list[str]) -> float:
        began = time.perf_counter()
        subprocess.run(command, env=self.env, cwd=self.home, check=True, capture_output=True)
        return time.perf_counter() - began

    def _forget(self) -> None:
        """Let nothing be known of what was compiled before."""
        for folder in (self.home / "airflow" / "relman").glob("compiled-*"):
            shutil.rmtree(folder)

    def _folder(self, name: str) -> Path:
        folder = self.home / name
        folder.mkdir()
        return folder


def _ratios(ours: list[dict[str, Any]], floors: list[dict[str, Any]], *keys: str) -> list[float]:
    """Return the ratio of each round: both sides of it ran one after the other."""
    return [sum(o[k] for k in keys) / sum(f[k] for k in keys) for o, f in zip(ours, floors, strict=True)]


def _median(found: list[dict[str, Any]], key: str) -> float:
    return statistics.median(f[key] for f in found)


def machine() -> str:
    """Say what all of this ran on."""
    load: Callable[[], tuple[float, ...]] = getattr(os, "getloadavg", lambda: (0.0,))
    return (
        f"{os.cpu_count()} cores, load {load()[0]:.1f}, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, Airflow {version('apache-airflow')}"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small and once: shows that everything runs")
    quick = parser.parse_args().quick
    print("relman beside a hand-written DAG of 30 tasks in 8 groups; median, spread of the rounds")
    print(machine())
    print(peers.said())
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="relman-bench-") as home:
        bench = (
            Bench(Path(home), [3], rounds=1, large=20)
            if quick
            else Bench(Path(home), [10, 100, 1000], rounds=7, large=10_000)
        )
        for row in bench.rows():
            print(row.line(), flush=True)
    print(f"{time.monotonic() - began:.0f} s; {machine()}")


if __name__ == "__main__":
    main()

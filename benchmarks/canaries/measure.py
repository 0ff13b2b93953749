"""The cells, and what each method makes of them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.canaries.methods import ALPHA, METHODS, NEVER
from benchmarks.canaries.traffic import POLLS, Array, Cell, simulate

TRAFFIC = (1, 10, 100, 1000, 10_000)
ERRORS = (1.5, 2.0, 4.0, 10.0, 40.0)
LATENCY = (1.1, 1.3, 2.0)


@dataclass(frozen=True)
class Seen:
    """What a method did in a cell."""

    aborted: float
    """Share of canaries: false alarms of a good version, regressions caught of a bad one."""
    harmed: Array
    """Bad requests that the new version served until the abort, of each canary."""
    polls: float
    """Mean number of polls until it was decided, either way."""


@dataclass(frozen=True)
class Measured:
    """A cell and what each method did there."""

    cell: Cell
    by: dict[str, Seen]


def cells() -> list[Cell]:
    """Return all cells: 20 without a regression, 110 with one."""
    found: list[Cell] = []
    for traffic in TRAFFIC:
        for drift in (False, True):
            plain, heavy = Cell(traffic, "log-normal", drift), Cell(traffic, "heavy", drift)
            found += [plain, heavy, *(plain._replace(errors=times) for times in ERRORS)]
            found += [cell._replace(latency=times) for cell in (plain, heavy) for times in LATENCY]
    return found


def measure(cell: Cell, runs: int, seed: int) -> Measured:
    """Simulate a cell; the same seed gives the same figures."""
    arms = simulate(cell, runs, np.random.default_rng([seed, runs]))
    served = np.cumsum(arms.harmed, axis=1)
    by = {}
    for name, method in METHODS.items():
        ended = method(cell, arms)
        harmed = served[np.arange(runs), np.minimum(ended.aborted, POLLS - 1)]
        by[name] = Seen(
            float((ended.aborted < NEVER).mean()), harmed.astype(float), float(ended.decided.mean() + 1)
        )
    return Measured(cell, by)


def all_measured(runs: int) -> Iterator[Measured]:
    """Measure every cell, each with numbers of its own."""
    for seed, cell in enumerate(cells()):
        yield measure(cell, runs, seed)


def holders(measured: Measured, nulls: dict[Cell, Measured], runs: int) -> list[str]:
    """Return the methods that hold the level where nothing is wrong, give or take 2 SE of the simulation."""
    allowed = ALPHA + 2 * (ALPHA * (1 - ALPHA) / runs) ** 0.5
    null = nulls[measured.cell.null]
    return [name for name in METHODS if null.by[name].aborted <= allowed]


def standing(measured: Measured, holding: list[str]) -> str:
    """Say how the sequential judge stands: ``fewest``, ``equal`` (within 2 SE) or the name of the better."""
    ours = measured.by["sequential"].harmed
    others = [name for name in holding if name != "sequential"]
    better = min(others, key=lambda name: measured.by[name].harmed.mean(), default=None)
    if better is None:
        return "fewest"
    difference = ours - measured.by[better].harmed
    if difference.mean() <= 0:
        return "fewest"
    return "equal" if difference.mean() <= 2 * difference.std() / difference.size**0.5 else better


def speed(metrics: int = 50, points: int = 1000) -> dict[str, float]:
    """Return how many milliseconds of the processor judging takes once everything is imported."""
    from relman_plugins.judge.reading import read
    from relman_plugins.judge.run import judge

    random = np.random.default_rng(1)
    took = {}
    for method in ("mann_whitney", "sequential"):
        series = [
            {
                "name": f"m{i}",
                **{arm: random.lognormal(size=points).tolist() for arm in ("control", "experiment")},
            }
            for i in range(metrics)
        ]
        document = read(json.dumps({"method": method, "metrics": series}))
        small = read(json.dumps({"method": method, "metrics": series[:1]}))
        judge(small)
        each = []
        for _ in range(5):
            began = time.process_time()
            judge(document)
            each.append(1000 * (time.process_time() - began))
        took[method] = float(np.median(each))
    return took

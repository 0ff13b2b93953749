"""Do the forecasts' ranges hold what they promise? ``python -m benchmarks.forecasts [--runs N] [--seed S]``.

Pipelines of random shape, whose steps take times with medians and spreads that the forecast does not know: it
sees a few earlier releases, and one release somewhere on its way. How often does that end within the range of
which it was said that nine of ten do (P05 to P95), and how often by the P90?
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from relman_plugins.forecast.finish import Known, forecast
from relman_plugins.plan.model import Shape, Step, StepKind

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
LOW, HIGH = 0.85, 0.95
MACHINES = (StepKind.BUILD, StepKind.DEPLOY, StepKind.SUITE, StepKind.ASSESS)
HISTORIES = (3, 5, 10, 30)


@dataclass(frozen=True)
class Cell:
    """How many earlier releases there are, and how times are spread."""

    releases: int
    family: str
    """``log-normal``; ``skewed``: gamma, of which the logarithm leans; ``two hours of the day``: people
    answer at once, or after the night."""


def shape_of(chance: random.Random) -> Shape:
    """Make a plan of one to three stages, each with an approval, a change and some suites."""
    steps = [Step(id="build", kind=StepKind.BUILD)]
    before: tuple[str, ...] = ("build",)
    for n in range(chance.randint(1, 3)):
        stage = f"s{n}"

        def add(name: str, kind: StepKind, needs: tuple[str, ...], stage: str = stage) -> tuple[str, ...]:
            steps.append(Step(id=f"{stage}.{name}", kind=kind, stage=stage, needs=needs))
            return (f"{stage}.{name}",)

        asked = add("approval", StepKind.APPROVAL, before) if chance.random() < 0.6 else before
        changed = add("deploy", StepKind.DEPLOY, asked)
        suites = [add(f"suite{k}", StepKind.SUITE, changed) for k in range(chance.randint(1, 3))]
        before = tuple(id_ for suite in suites for id_ in suite)
    return Shape(
        pipeline="p",
        owner="o",
        description="",
        service="p",
        spec_digest="",
        steps=tuple(steps),
        environments=(),
    )


def truth(shape: Shape, family: str, chance: random.Random) -> dict[str, tuple[str, float, float]]:
    """Draw how each step's times really are spread: family, median, spread of the logarithm."""
    found = {}
    for step in shape.steps:
        people = step.kind is StepKind.APPROVAL
        middle = math.log(1800.0 if people else 120.0) + chance.gauss(0.0, 1.0)
        spread = chance.uniform(0.5, 1.3) if people else chance.uniform(0.1, 0.7)
        found[step.id] = (family if people or family == "skewed" else "log-normal", middle, spread)
    return found


def draw(spread: tuple[str, float, float], chance: random.Random) -> float:
    """Draw how long a step really takes."""
    family, middle, sigma = spread
    if family == "skewed":
        shape = 1.0 / sigma**2
        return chance.gammavariate(shape, math.exp(middle) / shape)
    if family == "two hours of the day" and chance.random() < 0.3:
        return 14 * 3600.0 * math.exp(chance.gauss(0.0, 0.1))
    return math.exp(chance.gauss(middle, sigma))


def play(shape: Shape, took: dict[str, float]) -> dict[str, datetime]:
    """Return when each step ends of a release that was opened at noon."""
    ends: dict[str, datetime] = {}
    for step in shape.steps:
        begun = max((ends[n] for n in step.needs), default=NOON)
        ends[step.id] = begun + timedelta(seconds=took[step.id])
    return ends


def hits(cell: Cell, runs: int, seed: int, draws: int = 400) -> tuple[float, float]:
    """Return how often the end lay within P05 and P95, and how often it came by the P90."""
    within = by = 0
    for run in range(runs):
        chance = random.Random(f"{seed}/{cell}/{run}")
        shape = shape_of(chance)
        spreads = truth(shape, cell.family, chance)
        seen = {s.id: tuple(draw(spreads[s.id], chance) for _ in range(cell.releases)) for s in shape.steps}
        ends = play(shape, {s.id: draw(spreads[s.id], chance) for s in shape.steps})
        last = max(ends.values())
        now = NOON + (last - NOON) * chance.uniform(0.0, 0.6)
        known = Known(
            opened_at=NOON,
            ended={id_: at for id_, at in ends.items() if at <= now},
            took=seen,
            releases=cell.releases,
        )
        said = forecast(shape, known, now, seed=f"{run}", draws=draws, minimum_s=0.0)
        second = timedelta(seconds=1)
        within += said.p05 <= last <= said.p95 + second
        by += last <= said.p90 + second
    return within / runs, by / runs


def cells() -> list[Cell]:
    """Return what is looked at."""
    families = ("log-normal", "skewed", "two hours of the day")
    return [Cell(n, family) for family in families for n in HISTORIES]


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; 1 if a range holds more or less than it promises where times are log-normal."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.forecasts", description=__doc__)
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(argv)
    print(f"{'times':<22} {'releases':>8}  {'P05-P95':>8} {'by P90':>8}   of {asked.runs}, seed {asked.seed}")
    bad = False
    for cell in cells():
        within, by = hits(cell, asked.runs, asked.seed)
        wrong = cell.family == "log-normal" and not LOW <= within <= HIGH
        bad |= wrong
        mark = f"  NOT within {LOW:.0%} to {HIGH:.0%}" if wrong else ""
        print(f"{cell.family:<22} {cell.releases:>8}  {within:>8.1%} {by:>8.1%}{mark}")
    return int(bad)


if __name__ == "__main__":
    raise SystemExit(main())

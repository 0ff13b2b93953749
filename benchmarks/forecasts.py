"""Do the forecasts' ranges hold what they promise? ``python -m benchmarks.forecasts [--runs N] [--seed S]``.

Pipelines of random shape, whose steps take times with medians and spreads that the forecast does not know: it
sees a few earlier releases, and one release somewhere on its way. How often does that end within the range of
which it was said that nine of ten do (P05 to P95), and how often by the P90? ``--page FILE`` writes the page.
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from relman_plugins.calendars.series import Span
from relman_plugins.forecast.finish import Known, Openings, forecast
from relman_plugins.plan.model import Shape, Step, StepKind

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
LOW, HIGH = 0.85, 0.95

OPENS, CLOSES = 8, 18
"""Hours of the day, UTC, between which windows are open."""
COMES, GOES = 9, 17
"""Hours of the day, UTC, between which people answer where they sleep at night."""


@dataclass(frozen=True)
class Cell:
    """How many earlier releases there are, how times are spread, and what pipelines are like."""

    releases: int
    family: str = "log-normal"
    """``skewed``: gamma, of which the logarithm leans; ``two hours of the day``: people answer at once, or
    after the night, whenever they are asked; ``overnight``: they answer in the day, so it depends on when."""
    pipeline: str = "mixed"
    """``mixed``: one to three stages; ``single``: one change and nothing else; ``many``: six to eight stages;
    ``windows``: each stage waits for its window."""
    drift: str = ""
    """``slower``: each release takes 5 % longer than the one before; ``wanders``: the medians go up and down
    by about 15 % from each release to the next."""


def shape_of(chance: random.Random, pipeline: str = "mixed") -> Shape:
    """Make a plan of stages, each perhaps with an approval, a window, a change and some suites."""
    steps = [Step(id="build", kind=StepKind.BUILD)]
    before: tuple[str, ...] = ("build",)
    stages = {"single": (1, 1), "many": (6, 8)}.get(pipeline, (1, 3))
    for n in range(chance.randint(*stages)):
        stage = f"s{n}"

        def add(name: str, kind: StepKind, needs: tuple[str, ...], stage: str = stage) -> tuple[str, ...]:
            steps.append(Step(id=f"{stage}.{name}", kind=kind, stage=stage, needs=needs))
            return (f"{stage}.{name}",)

        if pipeline == "single":
            add("deploy", StepKind.DEPLOY, before)
            break
        asked = add("approval", StepKind.APPROVAL, before) if chance.random() < 0.6 else before
        asked = add("window", StepKind.WINDOW, asked) if pipeline == "windows" else asked
        changed = add("deploy", StepKind.DEPLOY, asked)
        suites = [add(f"suite{k}", StepKind.SUITE, changed) for k in range(chance.randint(1, 3))]
        before = tuple(id_ for suite in suites for id_ in suite)
    about = dict.fromkeys(("pipeline", "owner", "description", "service", "spec_digest"), "p")
    return Shape(**about, steps=tuple(steps), environments=())


def truth(shape: Shape, family: str, chance: random.Random) -> dict[str, tuple[str, float, float]]:
    """Draw how each step's times really are spread: family, median's logarithm, spread of the logarithm."""
    found = {}
    for step in shape.steps:
        people = step.kind is StepKind.APPROVAL
        middle = math.log(1800.0 if people else 120.0) + chance.gauss(0.0, 1.0)
        spread = chance.uniform(0.5, 1.3) if people else chance.uniform(0.1, 0.7)
        found[step.id] = (family if people or family == "skewed" else "log-normal", middle, spread)
    return found


def draw(spread: tuple[str, float, float], chance: random.Random, at: datetime = NOON) -> float:
    """Draw how long a step really takes that begins ``at`` a time."""
    family, middle, sigma = spread
    if family == "skewed":
        shape = 1.0 / sigma**2
        return chance.gammavariate(shape, math.exp(middle) / shape)
    if family == "two hours of the day" and chance.random() < 0.3:
        return 14 * 3600.0 * math.exp(chance.gauss(0.0, 0.1))
    seconds = math.exp(chance.gauss(middle, sigma))
    return (_answered(at, seconds) - at).total_seconds() if family == "overnight" else seconds


def _answered(at: datetime, seconds: float) -> datetime:
    """Return when people are done who work on it for so long, in the day only."""
    left = timedelta(seconds=seconds)
    while True:
        day = at.replace(hour=0, minute=0, second=0, microsecond=0)
        begins = max(at, day + COMES * HOUR)
        room = day + GOES * HOUR - begins
        if left <= room:
            return begins + left
        left -= max(room, timedelta())
        at = day + DAY


def closed_from(at: datetime, days: int = 60) -> Openings:
    """Return when the windows are closed in the days that follow: every night."""
    day = at.replace(hour=0, minute=0, second=0, microsecond=0)
    nights = (day + n * DAY for n in range(-1, days))
    return Openings(closed=tuple(Span(d + CLOSES * HOUR, d + DAY + OPENS * HOUR) for d in nights))


def play(
    shape: Shape,
    spreads: dict[str, tuple[str, float, float]],
    chance: random.Random,
    opened_at: datetime = NOON,
) -> dict[str, datetime]:
    """Let a release really happen: return when each step ends."""
    ends: dict[str, datetime] = {}
    nights = closed_from(opened_at)
    for step in shape.steps:
        begun = _begun(step, ends, opened_at)
        if step.kind is StepKind.WINDOW:
            begun = nights.next(begun)
        ends[step.id] = begun + timedelta(seconds=draw(spreads[step.id], chance, begun))
    return ends


def _begun(step: Step, ends: dict[str, datetime], opened_at: datetime) -> datetime:
    return max((ends[n] for n in step.needs), default=opened_at)


def known_of(cell: Cell, chance: random.Random) -> tuple[Shape, Known, datetime, datetime]:
    """Return a plan, what is known of a release of it and of earlier ones, now, and when it really ends."""
    shape = shape_of(chance, cell.pipeline)
    spreads = truth(shape, cell.family, chance)
    took: dict[str, list[float]] = {}
    for _ in range(cell.releases):
        opened_at = _opened(cell, chance)
        ends = play(shape, spreads, chance, opened_at)
        for step in shape.steps:
            if step.kind is not StepKind.WINDOW:
                begun = _begun(step, ends, opened_at)
                took.setdefault(step.id, []).append((ends[step.id] - begun).total_seconds())
        spreads = {id_: (f, m + _step(cell.drift, chance), s) for id_, (f, m, s) in spreads.items()}
    opened_at = _opened(cell, chance)
    ends = play(shape, spreads, chance, opened_at)
    last = max(ends.values())
    now = opened_at + (last - opened_at) * chance.uniform(0.0, 0.6)
    known = Known(
        opened_at=opened_at,
        ended={id_: at for id_, at in ends.items() if at <= now},
        # The latest release first, as the ledger gives them.
        took={id_: tuple(reversed(seconds)) for id_, seconds in took.items()},
        releases=cell.releases,
        openings={s.id: closed_from(opened_at) for s in shape.steps if s.kind is StepKind.WINDOW},
    )
    return shape, known, now, last


def _opened(cell: Cell, chance: random.Random) -> datetime:
    timed = cell.family == "overnight" or cell.pipeline == "windows"
    return NOON + timedelta(hours=chance.uniform(-4, 8)) if timed else NOON


def _step(drift: str, chance: random.Random) -> float:
    return {"slower": math.log(1.05), "wanders": chance.gauss(0.0, 0.15)}.get(drift, 0.0)


def hits(cell: Cell, runs: int, seed: int, draws: int = 400) -> tuple[float, float]:
    """Return how often the end lay within P05 and P95, and how often it came by the P90."""
    within = by = 0
    for run in range(runs):
        shape, known, now, last = known_of(cell, random.Random(f"{seed}/{cell}/{run}"))
        said = forecast(shape, known, now, seed=f"{run}", draws=draws, minimum_s=0.0)
        second = timedelta(seconds=1)
        within += said.p05 <= last <= said.p95 + second
        by += last <= said.p90 + second
    return within / runs, by / runs


def cells() -> list[Cell]:
    """Return what is looked at."""
    few, many = (0, 1, 2, 3), (5, 10, 30)
    found = [Cell(n) for n in (*few, *many)]
    found += [Cell(n, family=f) for f in ("skewed", "two hours of the day", "overnight") for n in (3, *many)]
    found += [Cell(n, pipeline=p) for p in ("single", "many", "windows") for n in (*few, *many)]
    found += [Cell(n, "overnight", "windows") for n in (3, *many)]
    return found + [Cell(n, drift=d) for d in ("slower", "wanders") for n in many]


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table, or write the page; 1 if a range holds more or less than it promises."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.forecasts", description=__doc__)
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--page", type=Path, help="write the page with the table to this file")
    asked = parser.parse_args(argv)
    lines, bad = [], 0
    for cell in cells():
        within, by = hits(cell, asked.runs, asked.seed)
        wrong = not LOW <= within <= HIGH
        bad += wrong
        kind = f"{cell.pipeline} | {cell.family}{', ' + cell.drift if cell.drift else ''} | {cell.releases}"
        lines.append(f"| {kind} | {within:.1%} | {by:.1%} | {'**no**' if wrong else 'yes'} |")
        print(lines[-1], flush=True)
    if asked.page:
        head = PAGE.format(runs=asked.runs, seed=asked.seed, cells=len(lines), good=len(lines) - bad)
        asked.page.write_text("\n".join([head.rstrip(), *lines, ""]))
    return int(bad > 0)


PAGE = """\
# Forecasts in numbers

Written by `python -m benchmarks.forecasts --page docs/explanation/forecasts.md`; do not edit. {cells} cells,
{runs} simulated pipelines in each, seed {seed}. Each pipeline has steps of its own with times that the
forecast does not know: medians differ by a factor of e (one standard deviation), those of people lie about
half an hour. It sees the earlier releases, and one release at some point of the first six tenths of its way.

- **pipeline**: *mixed* has one to three stages, perhaps with an approval, and one to three suites in each;
  *single* a build and one change; *many* six to eight stages; *windows* a window for each stage, open from
  8 to 18 o'clock.
- **times**: *log-normal*, or *skewed* (gamma). *two hours of the day*: three answers of ten come after
  fourteen hours, whenever people were asked; *overnight*: people work on it from 9 to 17 o'clock only, so
  it depends on when they are asked. *slower*: each release takes 5 % longer than the one before. *wanders*:
  medians go up and down by 15 % from each release to the next.
- **earlier**: how many releases there were before.

What is believed without a history was chosen with such pipelines in mind. Rows with few earlier releases show
that it is neither too sure nor too vague for them, and not that yours is like them.

In {good} of {cells} cells the range P05 to P95, of which nine of ten are promised, held 85 to 95 % of the
ends.

| pipeline | times | earlier | within P05–P95 | by P90 | 85–95 % |
|---|---|---|---|---|---|
"""


if __name__ == "__main__":
    raise SystemExit(main())

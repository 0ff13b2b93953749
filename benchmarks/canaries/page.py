"""The page with the figures, written whole from what was measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from benchmarks.canaries.measure import Measured, holders, standing
from benchmarks.canaries.methods import METHODS
from benchmarks.canaries.traffic import POLLS, Cell
from benchmarks.canaries.weights import section

TITLES = {
    "sequential": "sequential",
    "mann_whitney": "Mann-Whitney",
    "flagger": "Flagger-style",
    "argo": "Argo-style",
}


def page(measured: Sequence[Measured], runs: int, speed: dict[str, float], machine: str) -> str:
    """Return the page as Markdown."""
    nulls = {m.cell: m for m in measured if m.cell == m.cell.null}
    bad = [m for m in measured if m.cell != m.cell.null]
    held = {m.cell: holders(m, nulls, runs) for m in measured}
    lines = [
        _INTRODUCTION.format(runs=runs, polls=POLLS, cells=len(measured), machine=machine),
        *_targets(nulls, bad, held, speed),
        _PICTURES,
        "## When nothing is wrong\n",
        f"False alarms within {POLLS} polls; the stated level of sequential and Mann-Whitney is 2 %.\n",
        *_table(
            ["requests per poll", "latencies", "drift"],
            [*nulls.values()],
            lambda m, n: f"{100 * m.by[n].aborted:.1f} %",
        ),
        "",
        "## When something is\n",
        "Share caught, bad requests served until then (mean), polls until it was decided (mean). A method",
        "that does not hold the level there is in brackets: who always cries wolf is always first.\n",
        *_table(
            ["requests per poll", "latencies", "drift", "regression"],
            bad,
            lambda m, n: _figures(m, n, n in held[m.cell]),
        ),
        "",
        *section(runs),
    ]
    return "\n".join(lines) + "\n"


def _targets(
    nulls: dict[Cell, Measured], bad: list[Measured], held: dict[Cell, list[str]], speed: dict[str, float]
) -> Iterator[str]:
    worst = {name: max(m.by[name].aborted for m in nulls.values()) for name in METHODS}
    holding = {name: sum(name in held[cell] for cell in nulls) for name in METHODS}
    stands = Counter(standing(m, held[m.cell]) for m in bad)
    first = stands["fewest"] + stands["equal"]
    lost = [m for m in bad if standing(m, held[m.cell]) not in ("fewest", "equal")]
    yield "| target | measured | |"
    yield "|---|---|---|"
    ok = worst["sequential"] <= 0.02
    yield (
        f"| false alarms of the sequential judge at most 2 % in every cell | at most "
        f"{100 * worst['sequential']:.2f} % in {len(nulls)} cells | {_said(ok)} |"
    )
    yield (
        "| among methods that hold the level, fewest bad requests served in 9 of 10 bad cells | "
        f"{first} of {len(bad)} cells ({100 * first / len(bad):.0f} %); in {stands['equal']} within two "
        f"standard errors of another | {_said(first >= 0.9 * len(bad))} |"
    )
    for name, took in speed.items():
        yield (
            f"| {TITLES[name]}: 50 metrics of 1,000 points within 150 ms after imports | "
            f"{took:.0f} ms of the processor | {_said(took <= 150)} |"
        )
    yield ""
    others = ", ".join(
        f"{TITLES[n]} {holding[n]} (worst {100 * worst[n]:.0f} %)" for n in METHODS if n != "sequential"
    )
    yield f"Of the {len(nulls)} cells without a regression the others hold the level in: {others}."
    yield ""
    if lost:
        yield "Where another method that holds the level serves fewer bad requests:\n"
        for m in lost:
            name = standing(m, held[m.cell])
            ours, theirs = m.by["sequential"].harmed.mean(), m.by[name].harmed.mean()
            yield f"- {_words(m.cell)}: {theirs:.2f} with {TITLES[name]}, {ours:.2f} with sequential"
        yield ""


def _said(ok: bool) -> str:
    return "met" if ok else "**missed**"


def _words(cell: Cell) -> str:
    drift = ", with drift" if cell.drift else ""
    requests = f"{cell.traffic:,} request{'s' if cell.traffic > 1 else ''} per poll"
    return f"{requests}, {cell.shape} latencies{drift}, {_regression(cell)}"


def _regression(cell: Cell) -> str:
    return f"errors × {cell.errors:g}" if cell.errors != 1 else f"latency × {cell.latency:g}"


def _figures(m: Measured, name: str, holds: bool) -> str:
    seen = m.by[name]
    text = f"{100 * seen.aborted:.0f} % · {seen.harmed.mean():,.1f} · {seen.polls:.0f}"
    return text if holds else f"({text})"


def _table(heads: list[str], rows: Sequence[Measured], figure: object) -> Iterator[str]:
    assert callable(figure)
    yield "| " + " | ".join([*heads, *TITLES.values()]) + " |"
    yield "|" + "---|" * (len(heads) + len(TITLES))
    for m in rows:
        cell = [f"{m.cell.traffic:,}", m.cell.shape, "yes" if m.cell.drift else "no"]
        cell += [_regression(m.cell)] if len(heads) > 3 else []
        yield "| " + " | ".join([*cell, *(str(figure(m, name)) for name in TITLES)]) + " |"


_INTRODUCTION = """\
# Judges in numbers

Written by `make canaries`; do not edit. {cells} cells, {runs:,} simulated canaries in each, {polls} polls
in each canary, both versions with the same traffic. A good version fails 0.5 % of its requests and has a
median latency of 100 ms. "Log-normal" latencies have a sigma of 0.5; "heavy" ones are log-logistic with
exponent 2, so that their variance is infinite. With drift, errors swing by 80 % and latencies by 25 %
within the time, in both versions alike. {machine}.

- **sequential**: relman's, with a confidence of 98 %, on failed requests (`max` 1 %) and on a latency
  histogram. It looks after every poll. For speed the simulation has the weaker of its two bets on failed
  requests, interpolates sums, and takes quantiles of the last poll only; a test compares it with the judge.
- **Mann-Whitney**: relman's with Kayenta's defaults, at the end, on the share of failed requests and the
  99th percentile of each poll.
- **Flagger-style**: Flagger's documented example: at most 1 % failed, a limit on the 99th percentile,
  aborted at the fifth failed check. The limit is half above a good version's, as somebody who knows it
  would set it.
- **Argo-style**: Argo Rollouts' documented example: at most 5 % failed, aborted when more than three
  measurements of a metric failed; the same limit on latency.

Bad requests are those of the new version that failed, or, where it is slower, that took longer than 95 % of
a good one's. Polls count until it was decided either way; only the sequential judge may end with "no harm"
before the last.
"""
_PICTURES = """\
![False alarms by traffic, one line for each method](../images/judges-false-alarms.png)

![Bad requests served until the abort, relative to serving all](../images/judges-harm.png)
"""

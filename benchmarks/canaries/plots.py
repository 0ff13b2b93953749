"""The plots: false alarms, and how much of the harm is served."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.canaries.measure import ERRORS, LATENCY, TRAFFIC, Measured
from benchmarks.canaries.page import TITLES

_STYLES = {"sequential": ("o-", "#1a7f37"), "mann_whitney": ("s--", "#0969da"), "flagger": ("^:", "#bf8700"),
           "argo": ("v:", "#cf222e")}  # fmt: skip


def draw(measured: Sequence[Measured], folder: Path) -> list[Path]:
    """Write the plots; nothing without matplotlib (the extra ``bench``)."""
    try:
        import matplotlib as mpl
    except ImportError:
        return []
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, figure in (
        ("judges-false-alarms", _alarms(plt, measured)),
        ("judges-harm", _harm(plt, measured)),
    ):
        path = folder / f"{name}.png"
        figure.savefig(path, dpi=90, metadata={"Software": None})
        plt.close(figure)
        written.append(path)
    return written


def _alarms(plt: Any, measured: Sequence[Measured]) -> Any:
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True, layout="constrained")
    for axis, drift in zip(axes, (False, True), strict=True):
        for name, title in TITLES.items():
            rows = [
                max(m.by[name].aborted for m in measured
                    if m.cell == m.cell.null and m.cell.traffic == n and m.cell.drift == drift)
                for n in TRAFFIC
            ]  # fmt: skip
            style, colour = _STYLES[name]
            axis.plot(TRAFFIC, [100 * row for row in rows], style, color=colour, label=title)
        axis.axhline(2, color="grey", linewidth=1)
        axis.set(xscale="log", yscale="symlog", ylim=(-0.1, 120), xlabel="requests per poll and version")
        axis.set_yticks([0, 1, 2, 10, 50, 100], ["0", "1", "2", "10", "50", "100"])
        axis.set_title("with drift" if drift else "without drift", fontsize=10)
    axes[0].set_ylabel("false alarms, %")
    axes[0].legend(fontsize=8)
    return figure


def _harm(plt: Any, measured: Sequence[Measured]) -> Any:
    cases = [("errors", t) for t in ERRORS] + [("latency", t) for t in LATENCY]
    figure, axes = plt.subplots(2, 4, figsize=(12, 5.6), sharex=True, sharey=True, layout="constrained")
    for axis, (what, times) in zip(axes.flat, cases, strict=True):
        chosen = {
            m.cell.traffic: m for m in measured
            if m.cell.drift and m.cell.shape == "log-normal" and getattr(m.cell, what) == times
        }  # fmt: skip
        for name, title in TITLES.items():
            style, colour = _STYLES[name]
            all_of_it = np.array([chosen[n].by["mann_whitney"].harmed.mean() for n in TRAFFIC])
            served = np.array([chosen[n].by[name].harmed.mean() for n in TRAFFIC])
            axis.plot(TRAFFIC, 100 * served / all_of_it, style, color=colour, label=title, markersize=4)
        axis.set(xscale="log", yscale="log", ylim=(1, 130))
        axis.set_title(f"{what} × {times:g}", fontsize=10)
    for axis in axes[:, 0]:
        axis.set_ylabel("served of all bad requests, %", fontsize=8)
        axis.set_yticks([1, 10, 100], ["1", "10", "100"])
    for axis in axes[1]:
        axis.set_xlabel("requests per poll", fontsize=8)
    axes.flat[-1].legend(fontsize=8)
    figure.suptitle(
        "log-normal latencies, with drift; lower is better, if the method holds its level", fontsize=10
    )
    return figure

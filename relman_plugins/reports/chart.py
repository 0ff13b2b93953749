"""The bars of the HTML report: geometry only."""

from __future__ import annotations

from typing import Any

from relman_plugins.reports.model import ReleaseReport
from relman_plugins.reports.spans import WORKING
from relman_plugins.reports.text import WAITS, duration

WIDTH, LABEL, ROW = 960.0, 170.0, 26.0


def bars(report: ReleaseReport) -> dict[str, Any]:
    """Return rows of rectangles in a drawing ``WIDTH`` wide: a row for each step that ran."""
    steps = [s for stage in report.stages for s in stage.steps if s.segments]
    scale = (WIDTH - LABEL) / max(report.seconds, 0.001)
    rows = []
    for n, step in enumerate(steps):
        rects = []
        for segment in step.segments:
            left = min(max((segment.start - report.opened_at).total_seconds(), 0.0), report.seconds)
            width = min(segment.seconds, report.seconds - left) * scale
            told = f"{step.id}: {WAITS.get(segment.what, segment.what)}, {duration(segment.seconds)}"
            bad = step.state in ("failed", "refused") and segment.what == WORKING
            tone = "bad" if bad else "work" if segment.what == WORKING else "wait"
            x, shown = LABEL + left * scale, max(width, 2.0)
            rects.append(
                {"x": round(min(x, WIDTH - 2.0), 1), "w": round(shown, 1), "tone": tone, "told": told}
            )
        rows.append({"y": n * ROW, "label": step.id, "rects": rects})
    return {"rows": rows, "width": WIDTH, "height": max(len(rows), 1) * ROW, "label": LABEL}

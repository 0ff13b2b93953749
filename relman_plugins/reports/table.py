"""The numbers of a picture, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from relman_plugins.reports.picture import Panel, Picture
from relman_plugins.reports.text import shown, word

MOST_LOOKS = 6
"""Columns of looks: the first, and the last ones."""


def table(picture: Picture) -> Iterator[str]:
    """Yield lines: what was seen at each look, the bounds, and what it means."""
    weight = f" at {picture.weight} %" if picture.weight is not None else ""
    verdict = word(picture.verdict) or "under way"
    yield shown(f"{picture.step}{weight}: {picture.analysis} ({picture.judge}) {verdict}")
    count = len(picture.looks)
    columns = [n for n in range(count) if n == 0 or n > count - MOST_LOOKS]
    for panel in picture.panels:
        yield from _panel(panel, picture, columns)


def _panel(panel: Panel, picture: Picture, columns: list[int]) -> Iterator[str]:
    unit = f" ({panel.unit})" if panel.unit and panel.unit != "ratio" else ""
    rows = [[shown(panel.metric + unit), *(f"look {picture.looks[n]}" for n in columns)]]
    rows += [[f"  {shown(line.name)}", *(_number(line.points[n]) for n in columns)] for line in panel.lines]
    if panel.band:
        ends = [panel.band[n] for n in columns]
        told = ["" if pair is None else f"{_number(pair[0])}–{_number(pair[1])}" for pair in ends]
        rows.append(["  new, by what is known", *told])
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    for row in rows:
        cells = (f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
        yield f"  {row[0]:<{widths[0]}}  {'  '.join(cells)}".rstrip()
    yield f"    {shown(f'{word(panel.verdict)}: {panel.reason}')}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"

"""Pictures of analyses as SVG: no scripts, no styles, no addresses; whatever somebody named is escaped.

Presentation attributes only, so that it shows under a policy that allows nothing. Deterministic: the same
picture gives the same text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from xml.sax.saxutils import escape, quoteattr

from relman_plugins.reports.picture import Line, Panel, Picture, Points
from relman_plugins.reports.text import shown, word

WIDTH, PANEL, HEAD, FOOT = 720, 170, 52, 14
LEFT, RIGHT, TOP, HIGH = 56, 508, 30, 104
"""The plot of a panel: its left and right end, its distance from the panel's top, and its height."""

LETTERS = 108
"""Letters that fit into a line of small text."""

_INK = {"new": "#c2410c", "old": "#1d4ed8", "bound": "#b91c1c"}
_MORE_OLD = ("#1d4ed8", "#0f766e", "#7c3aed", "#4d7c0f", "#64748b")
_VERDICTS = {"pass": "#15803d", "fail": "#b91c1c"}
_OPEN = "#a16207"
_FONT = 'font-family="system-ui, sans-serif"'


At = Callable[[float], float]
"""Where a value is, in a panel."""


def svg(picture: Picture, *, alone: bool = True) -> str:
    """Return the picture as a document of its own, or, not ``alone``, as an element of an HTML page."""
    height = HEAD + PANEL * len(picture.panels) + FOOT
    space = ' xmlns="http://www.w3.org/2000/svg"' if alone else ""
    told = f"{picture.analysis} at {picture.step}: {picture.verdict or 'no verdict yet'}"
    lines = [
        f'<svg{space} viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" '
        f"aria-label={_attribute(told)}>",
        f'<rect x="0" y="0" width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        *_head(picture),
    ]
    for n, panel in enumerate(picture.panels):
        lines += _panel(panel, picture, HEAD + n * PANEL)
    return "\n".join([*lines, "</svg>"]) + "\n"


def _head(picture: Picture) -> Iterator[str]:
    weight = f" at {picture.weight} %" if picture.weight is not None else ""
    new, old = picture.versions
    compared = old and picture.judge in ("sequential", "mann_whitney")
    beside = f", {new or 'new'} beside {old}" if compared else f", {new}" if new else ""
    title = f"{picture.analysis} ({picture.judge}), {picture.step}{weight}"
    yield _text(16, 22, title, size=15, weight=600, most=80)
    verdict, ink = word(picture.verdict) or "under way", _VERDICTS.get(picture.verdict, _OPEN)
    yield _text(WIDTH - 16, 22, verdict, size=15, fill=ink, weight=600, anchor="end")
    yield _text(16, 40, f"{picture.release_id}{beside}", size=11, fill="#475569")


def _panel(panel: Panel, picture: Picture, y: int) -> Iterator[str]:
    top, bottom = y + TOP, y + TOP + HIGH
    low, high = _scale(panel)

    def at(value: float) -> float:
        return bottom - (min(max(value, low), high) - low) / (high - low) * HIGH

    columns = _columns(len(picture.looks))
    unit = f" ({panel.unit})" if panel.unit and panel.unit != "ratio" else ""
    yield _text(16, y + 18, f"{panel.metric}{unit}", size=12, weight=600, most=70)
    for value in (low, (low + high) / 2, high):
        yield f'<line x1="{LEFT}" x2="{RIGHT}" y1="{at(value):.1f}" y2="{at(value):.1f}" stroke="#e2e8f0"/>'
        yield _text(LEFT - 6, at(value) + 4, f"{value:.3g}", size=10, fill="#64748b", anchor="end")
    yield from _band(panel, columns, at)
    for n, line in enumerate(panel.lines):
        yield from _line(line, _ink(panel, n), columns, at)
    if picture.verdict and columns:
        ink, x = _VERDICTS.get(picture.verdict, _OPEN), columns[-1]
        yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}" stroke="{ink}" stroke-width="1.5"/>'
    for n in dict.fromkeys((0, len(columns) - 1)):
        told = f"look {picture.looks[n]}"
        yield _text(columns[n], bottom + 14, told, size=10, fill="#64748b", anchor="middle")
    for n, line in enumerate(panel.lines[:7]):
        level = top + 8 + n * 16
        dashed = ' stroke-dasharray="5 3"' if line.role == "bound" else ""
        yield (
            f'<line x1="{RIGHT + 16}" x2="{RIGHT + 36}" y1="{level - 4}" y2="{level - 4}" '
            f'stroke="{_ink(panel, n)}" stroke-width="2"{dashed}/>'
        )
        fixed = line.role == "bound" and len(set(line.points)) == 1
        told = line.name if fixed else f"{line.name}: {_last(line.points)}"
        yield _text(RIGHT + 42, level, told, size=10, fill="#334155", most=30)
    yield _text(16, bottom + 30, f"{word(panel.verdict)}: {panel.reason}", size=10, fill="#334155")


def _scale(panel: Panel) -> tuple[float, float]:
    """Return the ends of a panel's scale: 0, all that was seen, and bounds that are not far from it."""
    seen = [p for line in panel.lines if line.role != "bound" for p in line.points if p is not None]
    bounds = [p for line in panel.lines if line.role == "bound" for p in line.points if p is not None]
    low, top = min([0.0, *seen]), max([0.0, *seen])
    near = [b for b in bounds if b <= 4 * top] or bounds[:1]
    return low, max([top, *near]) * 1.08 or (1.0 if low == 0 else 0.0)


def _columns(looks: int) -> list[float]:
    if looks == 1:
        return [(LEFT + RIGHT) / 2]
    return [LEFT + 12 + n * (RIGHT - LEFT - 24) / (looks - 1) for n in range(looks)]


def _band(panel: Panel, columns: Sequence[float], at: At) -> Iterator[str]:
    known = [(x, ends) for x, ends in zip(columns, panel.band, strict=False) if ends]
    if len(known) == 1:
        x, (low, high) = known[0]
        tall = max(1.0, at(low) - at(high))
        yield (
            f'<rect x="{x - 5:.1f}" y="{at(high):.1f}" width="10" height="{tall:.1f}" '
            'fill="#c2410c" fill-opacity="0.12"/>'
        )
    elif known:
        up = " ".join(f"{x:.1f},{at(high):.1f}" for x, (_, high) in known)
        down = " ".join(f"{x:.1f},{at(low):.1f}" for x, (low, _) in reversed(known))
        yield f'<polygon points="{up} {down}" fill="#c2410c" fill-opacity="0.12"/>'


def _line(line: Line, ink: str, columns: Sequence[float], at: At) -> Iterator[str]:
    """Draw a line, broken where nothing was seen."""
    dashed = ' stroke-dasharray="5 3"' if line.role == "bound" else ""
    piece: list[tuple[float, float]] = []
    for x, value in [*zip(columns, line.points, strict=False), (0.0, None)]:
        if value is not None:
            piece.append((x, at(value)))
            continue
        if len(piece) > 1:
            points = " ".join(f"{px:.1f},{py:.1f}" for px, py in piece)
            yield f'<polyline points="{points}" fill="none" stroke="{ink}" stroke-width="1.8"{dashed}/>'
        elif piece and line.role == "bound":
            (px, py), *_ = piece
            yield (
                f'<line x1="{px - 18:.1f}" x2="{px + 18:.1f}" y1="{py:.1f}" y2="{py:.1f}" '
                f'stroke="{ink}" stroke-width="1.8"{dashed}/>'
            )
        if line.role != "bound" and len(columns) <= 40:
            yield from (f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3" fill="{ink}"/>' for px, py in piece)
        piece = []


def _ink(panel: Panel, n: int) -> str:
    line = panel.lines[n]
    if line.role != "old":
        return _INK[line.role]
    before = sum(one.role == "old" for one in panel.lines[:n])
    return _MORE_OLD[before % len(_MORE_OLD)]


def _last(points: Points) -> str:
    value = points[-1] if points else None
    return "–" if value is None else f"{value:.3g}"


def _text(
    x: float, y: float, text: str, *, size: int, fill: str = "#0f172a", weight: int = 400,
    anchor: str = "start", most: int = LETTERS,
) -> str:  # fmt: skip
    inside = shown(text)
    inside = inside if len(inside) <= most else inside[: most - 1] + "…"
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" {_FONT} font-size="{size}" font-weight="{weight}" fill="{fill}" '
        f'text-anchor="{anchor}">{escape(inside)}</text>'
    )


def _attribute(text: str) -> str:
    return quoteattr(shown(text))

"""How durations, times and digests are written in reports."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from relman_plugins.reports.model import Compared, Comparison, FollowUpReport
from relman_plugins.spec.words import visible

WAITS = {
    "working": "working",
    "approval": "waiting for people",
    "ticket": "waiting for a change ticket",
    "window": "waiting for a window",
    "lock": "waiting for another release",
    "hold": "held by a person",
    "watch": "watching the numbers",
    "keep": "old version standing by",
    "soak": "soaking",
    "between": "between steps",
}
"""What the parts of a release's time are called."""


def duration(seconds: float | None) -> str:
    """Return seconds as people say them: ``0.4 s``, ``42 s``, ``3 min``, ``2 h 5 min``, ``3 d 4 h``."""
    if seconds is None:
        return "no data"
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def moment(at: datetime | None) -> str:
    """Return a time in UTC, to the second."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if at else "–"


def clock(at: datetime) -> str:
    """Return the time of day in UTC."""
    return f"{at.astimezone(UTC):%H:%M:%S}"


def short(digest: str) -> str:
    """Return a digest short enough to compare by eye."""
    return digest.removeprefix("sha256:")[:12] or "–"


def shown(text: Any) -> str:
    """Return text on one line in which invisible and bidirectional characters can be seen."""
    return visible(" ".join(str(text).split()))


def written(text: Any) -> str:
    """Return text line by line, with what can't be seen made visible."""
    return "\n".join(map(visible, str(text).splitlines()))


def word(name: str) -> str:
    """Return a word of the record as people read it: ``rolled_back`` is ``rolled back``."""
    return name.replace("_", " ")


def count(number: int, one: str) -> str:
    """Return a number with its noun."""
    return f"{number} {one if number == 1 else one + 's'}"


def asked_after(found: FollowUpReport) -> str:
    """Return how the question for follow-ups stands, in one sentence."""
    people = ", ".join(found.asked)
    if found.state == "asked":
        return f"asked of {people} until {moment(found.until)}"
    if not found.by:
        return f"asked of {people}; none given"
    return f"named by {found.by}" if found.items else f"none needed, says {found.by}"


USUAL = (
    "Usual is the median of the last successful releases of this pipeline that ended before this one began. "
    "Slower means: more than a quarter and more than 10 s above it, with at least three releases to compare."
)
"""What the words of a comparison mean."""


def compared_with(found: Comparison) -> str:
    """Return the title of a comparison."""
    return f"Compared with the last {count(len(found.releases), 'successful release')}"


def number(row: Compared, one: float | None) -> str:
    """Return one number of a comparison, with its unit."""
    if one is None:
        return "–"
    return duration(one) if row.unit == "s" else f"{one:g}"


def extent(row: Compared) -> str:
    """Return from which least to which most a number of earlier releases goes."""
    return f"{number(row, row.least)} to {number(row, row.most)}" if row.of else "–"


def value(metric: Any) -> str:
    """Return a measured value, short."""
    return f"{metric:.4g}" if isinstance(metric, int | float) else "no value"

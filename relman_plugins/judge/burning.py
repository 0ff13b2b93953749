"""Error budgets in a release: at each look, is the budget spent too fast, by several pairs of windows?

The rule is that of ``slo``, with the windows that a metrics server gives (:mod:`relman_plugins.judge.slo`
has the source of the table). A look asks for bad and all requests in each window; one that is longer than the
watch has lasted is what there is of it, and no pair is judged before its short window is full.

* A page (both windows of a pair burn faster than its rate) fails at once.
* A ticket asks people, and not in haste: the watch goes on, and at its end they are asked.
* An unanswered query is no failure: the fifth in a row of one metric ends the watch with ``error``.
* Without a request in the longest short window that is full there is no data, nor without one in the longest
  of the pages' (a ticket's may be hours): numbers that stand still, of a server that sees nothing any more
  say, are no proof.
* After the last look a metric has passed if that look passed and no ticket was written before. The watch is
  as bad as its worst metric (``Verdict.severity``).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from pydantic import Field

from relman_plugins.domain.event import Event
from relman_plugins.domain.status import Verdict
from relman_plugins.judge import recorded
from relman_plugins.judge.counting import Pair
from relman_plugins.judge.threshold import TOLERATED_ERRORS


class WindowLike(Protocol):
    """A pair of windows; the plan's fit as they are."""

    @property
    def long_s(self) -> int: ...  # noqa: D102
    @property
    def short_s(self) -> int: ...  # noqa: D102
    @property
    def burn_rate(self) -> float: ...  # noqa: D102
    @property
    def severity(self) -> str: ...  # noqa: D102


class ObjectiveLike(Protocol):
    """A metric with an objective; the plan's fit as they are."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def objective(self) -> float: ...  # noqa: D102
    @property
    def min_samples(self) -> float: ...  # noqa: D102


class Terms(NamedTuple):
    """What a watch is judged by."""

    metrics: Sequence[ObjectiveLike]
    windows: Sequence[WindowLike]
    planned: int
    """Looks after which it ends."""

    @property
    def lengths(self) -> list[int]:
        """The windows that are asked for, in seconds, each once."""
        return sorted({length for w in self.windows for length in (w.long_s, w.short_s)})


class Burned(NamedTuple):
    """What came back for one metric."""

    name: str
    age_s: float = 0.0
    """How long the watch had lasted: a longer window is cut to this."""
    windows: Mapping[int, Pair | None] = {}
    """Bad requests and all requests, by the length of the window in seconds."""
    error: str | None = None


class Course(NamedTuple):
    """What is remembered of one metric."""

    last: Verdict = Verdict.NO_DATA
    reason: str = ""
    judged: bool = False
    """Whether a look had enough to be judged by."""
    ticket: str = ""
    """Why people are to be asked at the end."""
    errors_in_a_row: int = 0


class State(recorded.Watched):
    """What is remembered between looks."""

    metrics: dict[str, Course] = Field(default_factory=dict)


class Look(NamedTuple):
    """One metric at one look, judged."""

    verdict: Verdict
    reason: str
    came: Burned
    rate: float | None = None
    """How fast the budget burns over the longest window; 1 is as fast as allowed."""

    def data(self) -> dict[str, Any]:
        """Return the look as an event's JSON."""
        asked = {str(length): list(pair) if pair else None for length, pair in self.came.windows.items()}
        longest = self.came.windows.get(max(self.came.windows, default=0))
        return {
            "name": self.came.name,
            "value": None if self.rate is None else float(f"{self.rate:.6g}"),
            "samples": longest[1] if longest else None,
            "age_s": round(self.came.age_s, 3),
            "windows": asked,
            "verdict": self.verdict.value,
            "reason": self.reason,
        }


Judgement = recorded.Judgement[State]
"""What a look changed."""


def step(state: State, came: Iterable[Burned], *, terms: Terms) -> Judgement:
    """Add one look, and say whether the watch has ended.

    Args:
        state: What ``step`` returned before; ``State()`` at first. An ended state is returned as it is.
        came: What came back, by name; a metric without counts as unanswered, others are ignored.
        terms: What is judged, and how.
    """
    if state.verdict is not None:
        return recorded.unchanged(state)
    rounds, by_name = state.rounds + 1, {one.name: one for one in came}
    missing = (Burned(metric.name, error="was not measured") for metric in terms.metrics)
    answers = [by_name.get(one.name, one) for one in missing]
    looks = tuple(_look(m, one, terms.windows) for m, one in zip(terms.metrics, answers, strict=True))
    courses = {
        look.came.name: _after(state.metrics.get(look.came.name, Course()), look, rounds) for look in looks
    }
    verdict, reason = _ended(terms, courses, rounds)
    after = State(rounds=rounds, metrics=courses, verdict=verdict, reason=reason if verdict else "")
    return recorded.looked(after, reason, looks)


def again(looks: Iterable[Event], *, terms: Terms) -> Iterator[tuple[Event, Judgement]]:
    """Yield what each recorded look says, from the counts in it alone, in the order of their numbers."""
    return recorded.again(
        looks,
        State(),
        lambda state, event: step(state, [_told(one) for one in event.data["metrics"]], terms=terms),
    )


def _told(data: Mapping[str, Any]) -> Burned:
    if data["verdict"] == Verdict.ERROR.value:
        return Burned(data["name"], error=data["reason"])
    windows = {int(length): (pair[0], pair[1]) if pair else None for length, pair in data["windows"].items()}
    return Burned(data["name"], data["age_s"], windows)


def _look(metric: ObjectiveLike, came: Burned, windows: Sequence[WindowLike]) -> Look:
    came = came._replace(age_s=round(came.age_s, 3))
    if came.error is not None:
        return Look(Verdict.ERROR, came.error, came)
    counted = {length: pair for length, pair in came.windows.items() if pair is not None}
    longest = counted.get(max(came.windows, default=0))
    if len(counted) < len(came.windows) or longest is None:
        return Look(Verdict.NO_DATA, "no requests were counted", came)
    budget = 1 - metric.objective
    rate = _rate(longest, budget)
    if longest[1] < max(1, metric.min_samples):
        needed = f"; at least {metric.min_samples:g} are needed" if longest[1] else ""
        return Look(Verdict.NO_DATA, f"{longest[1]:g} requests{needed}", came, rate)
    full = [w for w in windows if came.age_s >= w.short_s]
    for severity, verdict in (("page", Verdict.FAIL), ("ticket", Verdict.INCONCLUSIVE)):
        for window in (w for w in full if w.severity == severity):
            if counted[window.long_s][1] < metric.min_samples:
                continue
            slow, fast = (_rate(counted[length], budget) for length in (window.long_s, window.short_s))
            if min(slow, fast) > window.burn_rate * (1 + 1e-9):
                return Look(verdict, _said(window, slow, fast, counted), came, rate)
    if not full:
        shortest = min(w.short_s for w in windows)
        said = f"burn rate {rate:.3g}, and no window is full before {span(shortest)}"
        return Look(Verdict.NO_DATA, said, came, rate)
    pages = [w for w in full if w.severity == "page"]
    recent = {max(w.short_s for w in some) for some in (full, pages) if some}
    if silent := max((length for length in recent if not counted[length][1]), default=0):
        return Look(Verdict.NO_DATA, f"no requests in the last {span(silent)}", came, rate)
    shown = f"{longest[0]} of {longest[1]} bad"
    return Look(Verdict.PASS, f"burn rate {rate:.3g}, no window above its limit: {shown}", came, rate)


def _said(window: WindowLike, slow: float, fast: float, counted: Mapping[int, Pair]) -> str:
    bad, total = counted[window.short_s]
    return (
        f"burns {slow:.3g} times as fast as allowed over {span(window.long_s)} and {fast:.3g} over "
        f"{span(window.short_s)} ({bad} of {total} bad); {window.burn_rate:g} is the limit"
    )


def _rate(pair: Pair, budget: float) -> float:
    return pair[0] / pair[1] / budget if pair[1] else 0.0


def _after(before: Course, look: Look, rounds: int) -> Course:
    error = look.verdict is Verdict.ERROR
    ticket = before.ticket
    if look.verdict is Verdict.INCONCLUSIVE and not ticket:
        ticket = f"ticket at look {rounds}: {look.reason}"
    return Course(
        look.verdict,
        look.reason,
        before.judged or look.verdict not in (Verdict.ERROR, Verdict.NO_DATA),
        ticket,
        before.errors_in_a_row + 1 if error else 0,
    )


def _ended(terms: Terms, courses: Mapping[str, Course], rounds: int) -> tuple[Verdict | None, str]:
    pages = [f"{name}: {one.reason}" for name, one in courses.items() if one.last is Verdict.FAIL]
    if pages:
        return Verdict.FAIL, "; ".join(pages)
    for name, one in courses.items():
        if one.errors_in_a_row > TOLERATED_ERRORS:
            return Verdict.ERROR, f"{name}: {one.errors_in_a_row} times in a row: {one.reason}"
    if rounds < terms.planned:
        return None, ""
    ends = {name: _end(one) for name, one in courses.items()}
    worst = Verdict.worst([verdict for verdict, _ in ends.values()])
    return worst, "; ".join(
        f"{name}: {reason}" for name, (verdict, reason) in ends.items() if verdict is worst
    )


def _end(course: Course) -> tuple[Verdict, str]:
    if course.ticket:
        return Verdict.INCONCLUSIVE, course.ticket
    if course.last is Verdict.PASS or not course.judged:
        return course.last, course.reason
    return Verdict.INCONCLUSIVE, f"the last look could not be judged: {course.reason}"


def span(seconds: float) -> str:
    """Write a length of time in its largest whole unit: ``6h``, ``90s``."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= size and math.isclose(seconds % size, 0):
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"

"""What is known of each metric of a comparison, and what is certain of all of them together.

Where a comparison goes on over the steps of a canary, someone bets on harm from each step's beginning on,
and the stake is divided among them. With ``k`` steps the evidence is ``(E_1 + … + E_k) / k``, where ``E_j``
is the product of the bets since step ``j`` began, and 1 before that. A mean of e-processes is one (Vovk &
Wang, "E-values: calibration, combination and applications", 2021), so it reaches ``1 / alpha`` with a chance
of ``alpha`` at most, over all looks of all steps. That is ``E_1 + … + E_i >= k / alpha`` at step ``i``, and
``k / alpha`` is what step ``i`` needs by itself where its stage shares the chance: as long as every metric
has requests there, going on with what was seen finds nothing later.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

from relman_plugins.domain.look import OLD
from relman_plugins.judge.counting import Counted, Pair, more
from relman_plugins.judge.threshold import LimitedLike


class ComparisonLike(Protocol):
    """What is judged, and how; the plan's comparison fits as it is."""

    @property
    def metrics(self) -> Sequence[LimitedLike]: ...  # noqa: D102
    @property
    def tolerance(self) -> float: ...  # noqa: D102
    @property
    def undecided(self) -> Literal["inconclusive", "pass"]: ...  # noqa: D102
    @property
    def early_pass(self) -> bool: ...  # noqa: D102


class Part(NamedTuple):
    """What the looks of one step say of a metric."""

    evidence: Any = None
    """All of them together: ``judge.stats.running.Running``; None before one had counts of both versions."""
    had: tuple[Pair, Pair] = ((0, 0), (0, 0))
    """What they added, of the old and of the new version."""
    looks: int = 0
    """How many there are."""


class Terms(NamedTuple):
    """What a comparison is judged by."""

    comparison: ComparisonLike
    false_alarms: float
    """Chance of failing a version that is no worse, over all looks and metrics of this comparison."""
    planned: int
    """Looks after which the comparison ends."""
    control: str = OLD
    """What the new version is compared with, in words."""
    earlier: Sequence[Mapping[str, Part]] = ()
    """What the steps before it saw of each metric, the first one first, where it goes on with that. There are
    as many steps at most as have ``false_alarms`` each."""

    held: bool = False
    """Whether somebody holds the release at this look, or is asked what its end means: it is not the last."""

    @property
    def metrics(self) -> Sequence[LimitedLike]:
        """The metrics, in their order."""
        return self.comparison.metrics

    def ends(self, looks: int) -> bool:
        """Say whether the comparison ends after so many looks."""
        return looks >= self.planned and not self.held


class Course(NamedTuple):
    """What is remembered of one metric."""

    evidence: Any = None
    """What all looks of this step together say, as in ``Part``."""
    had: tuple[Pair, Pair] = ((0, 0), (0, 0))
    """What they added, of the old and of the new version."""
    added: tuple[Pair, Pair] | None = None
    """What the last look added; None for nothing."""
    fresh: tuple[int, int] = (0, 0)
    """The last looks at which the old and the new version had new requests."""
    mark: tuple[Pair, Pair] = ((0, 0), (0, 0))
    """What is counted of what ``run`` has counted."""
    alone: Pair | None = None
    """What the new version had since the mark, when the old one gave no numbers at the last look. A limit
    holds for it too; it is compared when the old one answers."""
    errors_in_a_row: int = 0
    answered: bool = False
    """Whether the last look was."""
    reason: str = ""


class Evidence(NamedTuple):
    """What all looks say of a metric."""

    harm: bool = False
    """Whether harm is certain."""
    calm: bool = False
    """Whether harm beyond the tolerance is ruled out by the looks of this step."""
    effect: float | None = None
    interval: tuple[float | None, float | None] | None = None
    had: tuple[Pair, Pair] = ((0, 0), (0, 0))
    """What the looks counted that make harm most certain; those of this step where it is not."""
    looks: int = 0
    """How many looks of steps before are among them."""


def added(course: Course, came: Counted, terms: Terms, look: int) -> Course:
    """Return what is known with one more look."""
    mark = course.mark
    if came.error is not None:
        times = course.errors_in_a_row + 1
        return course._replace(added=None, alone=None, errors_in_a_row=times, answered=False)
    if came.control is None or came.experiment is None:
        alone = more(came.experiment, mark[1]) if came.experiment else None
        return course._replace(added=None, alone=alone, errors_in_a_row=0, answered=False)
    new = (more(came.control, mark[0]), more(came.experiment, mark[1]))
    old, now = course.fresh
    return Course(
        evidence=_more(course.evidence, new, _limit(terms, came.name), terms),
        had=_sum(course.had, new),
        added=new,
        fresh=(look if new[0][1] else old, look if new[1][1] else now),
        mark=_sum(mark, new),
        answered=True,
    )


def with_alone(terms: Terms, metric: LimitedLike, course: Course) -> Course:
    """Return what a look is judged by: a limit also judges what could not be compared."""
    if metric.max is None or course.alone is None:
        return course
    look = ((0, 0), course.alone)
    evidence = _more(course.evidence, look, metric.max, terms)
    return course._replace(evidence=evidence, had=_sum(course.had, look))


def weighed(terms: Terms, judged: Mapping[str, Course]) -> dict[str, Evidence]:
    """Return what is certain of each metric, all of them taken together."""
    from relman_plugins.judge.sequential import family
    from relman_plugins.judge.stats.running import said

    alpha, needed = terms.false_alarms, -math.log(terms.false_alarms)
    limits = {metric.name: metric.max for metric in terms.metrics}
    found, told = {}, {}
    for name, course in judged.items():
        found[name] = Evidence(had=course.had)
        begun = [
            (part, said(part.evidence, limit=limits[name], alpha=alpha))
            for part in _since(terms, name, course)
            if _comparable(part, limits[name])
        ]
        if begun:
            told[name] = begun
    harms = [_together([one.harm for _, one in begun]) for begun in told.values()]
    # What nothing is known of yet is one of the family from the beginning on: its evidence is 1 until then.
    adjusted = family([*harms, *[0.0] * (len(judged) - len(told))], needed)
    for (name, begun), log in zip(told.items(), adjusted, strict=False):
        own, harm = judged[name], log >= needed
        part, one = max(begun, key=lambda each: each[1].harm) if harm else begun[0]
        (bad_before, before), (bad, _) = part.had
        if not harm and (part.looks or not before):
            continue  # this step by itself has nothing to compare
        effect = one.ratio if before and bad_before + bad else None
        ends = None if one.interval == (None, None) else one.interval
        calm = own.evidence is not None and own.evidence.calm
        found[name] = Evidence(harm, calm, effect, ends, part.had, part.looks)
    return found


def _since(terms: Terms, name: str, course: Course) -> Iterator[Part]:
    """Yield what was seen since this step began, then since the one before it did, and so on.

    ``looks`` are those of the steps before.
    """
    from relman_plugins.judge.stats.running import together

    whole = Part(course.evidence, course.had)
    yield whole
    for step in reversed(terms.earlier):
        part = step.get(name, Part())
        evidence = together(whole.evidence, part.evidence)
        whole = Part(evidence, _sum(whole.had, part.had), whole.looks + part.looks)
        yield whole


def _comparable(part: Part, limit: float | None) -> bool:
    """Say whether anything follows: not without requests; without those of the old one, by a limit only."""
    return bool(part.had[1][1] and (part.had[0][1] or limit is not None))


def _together(logs: Sequence[float]) -> float:
    top = max(logs)
    return top + math.log(sum(math.exp(log - top) for log in logs))


def _sum(one: tuple[Pair, Pair], other: tuple[Pair, Pair]) -> tuple[Pair, Pair]:
    old, new = ((a[0] + b[0], a[1] + b[1]) for a, b in zip(one, other, strict=True))
    return old, new


def _limit(terms: Terms, name: str) -> float | None:
    return next(metric.max for metric in terms.metrics if metric.name == name)


def _more(evidence: Any, look: tuple[Pair, Pair], limit: float | None, terms: Terms) -> Any:
    from relman_plugins.judge.stats.running import added as one_more

    tolerance, alpha = terms.comparison.tolerance, terms.false_alarms
    return one_more(evidence, look, limit=limit, tolerance=tolerance, alpha=alpha)

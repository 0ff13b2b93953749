"""Mann-Whitney in a release: one number of each version at each look, judged when all looks are there.

The judgement is that of ``mann_whitney`` with Kayenta's score (:mod:`relman_plugins.judge.score`). It is made
once, after the last planned look: looking again and again with this test finds harm by chance. With
``early_fail`` a tenth of the chance of a false alarm is shared by the looks before the last (a union bound),
and nine tenths are left for the last one; so a metric may then fail early, if it is that clear. No look is
asked to be surer than a document may be; a spec with more looks than that allows is refused.

* An unanswered query is no failure: the fifth in a row of one metric ends the watch with ``error``. An
  infinite value can't be compared and is no answer either; but left out it could hide harm.
* Compared with the time ``before`` the change, whatever the hour brings looks like the version's doing: every
  verdict says that it is weaker.
* A metric that decides keeps the watch from passing if its last look was not answered, if fewer than half of
  its looks were, if any value was infinite, or if a version had no value of late: in the last three looks, or
  the last third of them, whichever is longer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from pydantic import Field

from relman_plugins.domain.confidence import EARLY_SHARE, SUREST
from relman_plugins.domain.event import Event
from relman_plugins.domain.look import NEW, OLD, against, neither
from relman_plugins.domain.status import Verdict
from relman_plugins.judge import recorded
from relman_plugins.judge.document import Document, MetricData
from relman_plugins.judge.report import Finding, Report, plural
from relman_plugins.judge.series import LARGEST, NAN
from relman_plugins.judge.threshold import TOLERATED_ERRORS

WEAKER = "compared with the time before the change only, which is weaker: "


class MetricLike(Protocol):
    """One metric; the plan's fit as they are."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def terms(self) -> Mapping[str, Any]: ...  # noqa: D102


class SampledLike(Protocol):
    """What is judged, and how; ``terms`` are fields of a judge document."""

    @property
    def metrics(self) -> Sequence[MetricLike]: ...  # noqa: D102
    @property
    def terms(self) -> Mapping[str, Any]: ...  # noqa: D102
    @property
    def early_fail(self) -> bool: ...  # noqa: D102
    @property
    def against(self) -> str: ...  # noqa: D102


class Terms(NamedTuple):
    """What a watch is judged by."""

    sampled: SampledLike
    planned: int
    """Looks after which it is judged."""
    control: str = OLD
    """What the new version is compared with, in words."""


class Sample(NamedTuple):
    """What came back for one metric: a number of each version, None where there was none."""

    name: str
    control: float | None = None
    experiment: float | None = None
    error: str | None = None
    infinite: bool = False
    """Whether the error is a value beyond what can be compared."""


class Course(NamedTuple):
    """What is remembered of one metric."""

    control: tuple[float | None, ...] = ()
    experiment: tuple[float | None, ...] = ()
    errors_in_a_row: int = 0
    infinite: int = 0
    """How many looks had a value beyond what can be compared."""


class State(recorded.Watched):
    """What is remembered between looks."""

    metrics: dict[str, Course] = Field(default_factory=dict)


class Look(NamedTuple):
    """One metric after one look."""

    came: Sample
    verdict: Verdict
    reason: str
    effect: float | None = None
    interval: tuple[float | None, float | None] | None = None
    """Where the shift of the new version's values lies."""
    against: str = OLD

    def data(self) -> dict[str, Any]:
        """Return the look as an event's JSON; ``value`` is the new version's."""
        ends = None if self.interval is None else [_finite(end) for end in self.interval]
        beyond = against(self.against) | ({"infinite": True} if self.came.infinite else {})
        return beyond | {
            "name": self.came.name,
            "value": self.came.experiment,
            "samples": None,
            "control": self.came.control,
            "experiment": self.came.experiment,
            "effect": _finite(self.effect),
            "interval": ends,
            "verdict": self.verdict.value,
            "reason": self.reason,
        }


Judgement = recorded.Judgement[State]
"""What a look changed."""


def step(state: State, came: Iterable[Sample], *, terms: Terms) -> Judgement:
    """Add one look, and say whether the watch has ended.

    Args:
        state: What ``step`` returned before; ``State()`` at first. An ended state is returned as it is.
        came: What came back, by name; a metric without counts as unanswered, others are ignored.
        terms: What is judged, and how.
    """
    if state.verdict is not None:
        return recorded.unchanged(state)
    rounds = state.rounds + 1
    answers, courses = _taken(state.metrics, came, terms)
    verdict, reason, findings = _judged(terms, answers, courses, rounds)
    looks = tuple(
        _look(one, findings.get(one.name), rounds, terms)._replace(against=terms.control) for one in answers
    )
    after = _after(state, courses, verdict, reason if verdict else "")
    return recorded.looked(after, reason, looks)


def _after(
    state: State, courses: Mapping[str, Course], verdict: Verdict | None = None, reason: str = ""
) -> State:
    """Return the state with one look more, without a look at all the samples that are known already."""
    more = {"rounds": state.rounds + 1, "metrics": courses, "verdict": verdict, "reason": reason}
    return state.model_copy(update=more)


def resumed(looks: Iterable[Event], *, terms: Terms) -> State:
    """Return the state after recorded looks; only the last of them is judged.

    The samples of all are in the last one; judging each takes long where looks may fail early.
    """
    return recorded.resumed(
        looks,
        State(),
        lambda state, event: _after(state, _taken(state.metrics, _told_of(event), terms)[1]),
        lambda state, event: step(state, _told_of(event), terms=terms),
    )


def again(looks: Iterable[Event], *, terms: Terms) -> Iterator[tuple[Event, Judgement]]:
    """Yield what each recorded look says, from the numbers in it alone, in the order of their numbers."""
    return recorded.again(
        looks,
        State(),
        lambda state, event: step(state, _told_of(event), terms=terms),
    )


def _told_of(event: Event) -> list[Sample]:
    return [_told(one) for one in event.data["metrics"]]


def _told(data: Mapping[str, Any]) -> Sample:
    if data["verdict"] == Verdict.ERROR.value:
        return Sample(data["name"], error=data["reason"], infinite=data.get("infinite", False))
    return Sample(data["name"], data["control"], data["experiment"])


def _taken(
    courses: Mapping[str, Course], came: Iterable[Sample], terms: Terms
) -> tuple[list[Sample], dict[str, Course]]:
    """Return one answer for each metric, and the courses with them."""
    by_name = {one.name: one for one in came}
    missing = (Sample(metric.name, error="was not measured") for metric in terms.sampled.metrics)
    answers = [_whole(by_name.get(one.name, one), terms.control) for one in missing]
    return answers, {one.name: _added(courses.get(one.name, Course()), one) for one in answers}


def _whole(came: Sample, control_is: str) -> Sample:
    """Return a sample as it is recorded: NaN is no value, and an infinity is an error."""
    if came.error is not None:
        return Sample(came.name, error=came.error, infinite=came.infinite)
    control, experiment = (
        None if value is None or math.isnan(value) else float(value)
        for value in (came.control, came.experiment)
    )
    for whose, value in ((NEW, experiment), (control_is, control)):
        if value is not None and not -LARGEST <= value <= LARGEST:
            error = f"{value:g} can't be compared (of the {whose})"
            return Sample(came.name, error=error, infinite=True)
    return Sample(came.name, control, experiment)


def _added(course: Course, came: Sample) -> Course:
    if came.error is not None:
        errors, infinite = course.errors_in_a_row + 1, course.infinite + came.infinite
        return course._replace(errors_in_a_row=errors, infinite=infinite)
    return Course(
        (*course.control, came.control), (*course.experiment, came.experiment), infinite=course.infinite
    )


def _judged(
    terms: Terms, answers: Sequence[Sample], courses: Mapping[str, Course], rounds: int
) -> tuple[Verdict | None, str, dict[str, Finding]]:
    """Return the verdict, why, and what is found of each metric; nothing while nothing is judged."""
    for one in answers:
        if (times := courses[one.name].errors_in_a_row) > TOLERATED_ERRORS:
            return Verdict.ERROR, f"{one.name}: {times} times in a row: {one.error}", {}
    if rounds < terms.planned and not terms.sampled.early_fail:
        return None, "", {}
    report = _report(terms, courses, last=rounds >= terms.planned)
    findings = {finding.name: finding for finding in report.metrics}
    failed = [f for f in report.metrics if f.verdict is Verdict.FAIL and not f.muted]
    if rounds < terms.planned:
        # Want of data is no harm yet, whatever it means at the end.
        clear = report.verdict is Verdict.FAIL and all(f.classification in ("High", "Low") for f in failed)
        return (
            (Verdict.FAIL, f"after {plural(rounds)}: {_why(report, terms)}", findings)
            if clear
            else (None, "", {})
        )
    if report.verdict is Verdict.PASS:
        muted = {finding.name for finding in report.metrics if finding.muted}
        zeros = {m.name for m in terms.sampled.metrics if m.terms.get("nan_strategy") == "replace"}
        for one in (one for one in answers if one.name not in muted):
            if why := _unseen(one, courses[one.name], rounds):
                return Verdict.INCONCLUSIVE, f"{one.name}: {why}", findings
            if one.name not in zeros and (gone := _gone(courses[one.name], terms)):
                return Verdict.INCONCLUSIVE, f"{one.name}: {gone}", findings
    return report.verdict, _why(report, terms), findings


def _unseen(last: Sample, course: Course, rounds: int) -> str:
    """Say why what was answered is not all there is to say of a metric; empty when it is."""
    if last.error is not None:
        return "the last look had no numbers"
    if course.infinite:
        return f"{plural(course.infinite)} had a value that is too large to be compared"
    answered = len(course.control)
    return f"only {answered} of {plural(rounds)} were answered" if 2 * answered < rounds else ""


def _gone(course: Course, terms: Terms) -> str:
    """Say which version has had no value of late; empty when neither."""
    late = max(3, math.ceil(terms.planned / 3))
    for whose, values in ((NEW, course.experiment), (terms.control, course.control)):
        if all(v is None for v in values[-late:]):
            return f"no value of the {whose} in the last {late} looks that were answered"
    return ""


def _report(terms: Terms, courses: Mapping[str, Course], *, last: bool) -> Report:
    from relman_plugins.judge.run import judge

    own = dict(terms.sampled.terms)
    if terms.sampled.early_fail:
        chance = 1 - own["confidence"]
        share = 1 - EARLY_SHARE if last else EARLY_SHARE / max(1, terms.planned - 1)
        own["confidence"] = min(1 - chance * share, SUREST)
    metrics = []
    for metric in terms.sampled.metrics:
        arms = courses[metric.name]
        control, experiment = (
            [NAN if v is None else v for v in arm] for arm in (arms.control, arms.experiment)
        )
        metrics.append(
            MetricData.model_validate(
                {"name": metric.name, "control": control, "experiment": experiment, **metric.terms}
            )
        )
    return judge(Document.model_validate({"method": "mann_whitney", "metrics": metrics, **own}))


def _why(report: Report, terms: Terms) -> str:
    """Say what decided: the score, and what is found of each metric that did not pass."""
    off = [f for f in report.metrics if f.classification != "Pass" and not f.muted]
    parts = [f"{f.name}: {f.reason}" for f in off if f.reason not in report.reason]
    weaker = WEAKER if terms.sampled.against == "before" else ""
    return weaker + "; ".join([report.reason, *parts])


def _look(came: Sample, finding: Finding | None, rounds: int, terms: Terms) -> Look:
    if came.error is not None:
        return Look(came, Verdict.ERROR, came.error)
    if finding is not None:
        return Look(came, finding.verdict, finding.reason, finding.effect, finding.interval)
    arms = ((NEW, came.experiment), (terms.control, came.control))
    if without := neither(whose for whose, value in arms if value is None):
        return Look(came, Verdict.NO_DATA, f"no value of the {without}")
    told = f"{came.experiment:.4g}, of the {terms.control} {came.control:.4g}"
    return Look(came, Verdict.INCONCLUSIVE, f"{told}; look {rounds} of {terms.planned}")


def _finite(value: float | None) -> float | None:
    return float(f"{value:.6g}") if value is not None and math.isfinite(value) else None

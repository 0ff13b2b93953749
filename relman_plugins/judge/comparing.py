"""Comparisons in a release: looks at what both versions counted, judged after each by the sequential judge.

A look asks for bad requests and all requests of both versions *since the comparison began*; what is new since
the look before goes to the judge. So nothing is counted twice, and a look that got no answer loses nothing:
the next one has it. Looks are added one at a time with ``step``; ``again`` makes the state of recorded ones,
so that a wait that is interrupted goes on where it was, and a record can be checked. The state has sums, not
looks, so that the thousandth look costs what the first one does.

* A step of a canary may go on with what the steps before it saw (``Terms.earlier``, made by ``carried``).
  That makes harm certain, and never a pass: a version can be good at 5 % and break at 50.
* A look while somebody holds the release (``Terms.held``) is never the last. Nor is one while people are
  asked what an undecided end means: it goes on from that end, and only harm ends it again.
* Harm that is certain in a metric (all metrics together are wrong with a chance of ``false_alarms`` at most,
  over all looks) fails at once.
* An unanswered query is no failure: the fifth in a row of one metric ends the comparison with ``error``.
  So does a total that went back: a server that lost its data would hide all that comes after.
* After the last look a metric has passed if harm beyond the tolerance is ruled out, or if ``undecided`` is
  ``pass`` and no harm was found. It needs ``min_samples`` of both versions, else it is ``no_data``, an answer
  to the last look, and new requests of both in the last three looks or the last third of them, whichever is
  longer: numbers that stand still say nothing. An early pass needs them in its very look. A comparison is as
  bad as its worst metric (``Verdict.severity``).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import Field

from relman_plugins.domain.event import Event
from relman_plugins.domain.look import NEW, OLD, against, neither
from relman_plugins.domain.status import Verdict
from relman_plugins.judge import recorded
from relman_plugins.judge.counting import Counted, Pair, counted, plausible
from relman_plugins.judge.report import plural
from relman_plugins.judge.threshold import TOLERATED_ERRORS, LimitedLike
from relman_plugins.judge.weighing import Course, Evidence, Part, Terms, added, weighed, with_alone

__all__ = [
    "Counted", "Course", "Judgement", "Look", "Pair", "Part", "State", "Terms",
    "again", "carried", "counted", "run_of", "step",
]  # fmt: skip


class State(recorded.Watched):
    """What is remembered between looks."""

    metrics: dict[str, Course] = Field(default_factory=dict)
    run: str = ""
    """Since when counts count. In what an older relman recorded, another try of a step begins at 0 again, and
    its looks go on."""
    held: bool = False
    """Whether the release was held at the last look."""


class Look(NamedTuple):
    """One metric after one look, judged by all looks so far."""

    name: str
    verdict: Verdict
    reason: str
    control: Pair | None
    experiment: Pair | None
    effect: float | None = None
    """Ratio of the bad shares, new to old."""
    interval: tuple[float | None, float | None] | None = None
    """Where that ratio lies, with the confidence of the whole comparison."""
    against: str = OLD

    def data(self) -> dict[str, Any]:
        """Return the look as an event's JSON; ``value`` is the bad share of the new version."""
        bad, total = self.experiment or (0, 0)
        ends = None if self.interval is None else [_rounded(end) for end in self.interval]
        return against(self.against) | {
            "name": self.name,
            "value": _rounded(bad / total) if total else None,
            "samples": total if self.experiment else None,
            "control": list(self.control) if self.control else None,
            "experiment": list(self.experiment) if self.experiment else None,
            "effect": _rounded(self.effect),
            "interval": ends,
            "verdict": self.verdict.value,
            "reason": self.reason,
        }


UNDECIDED = (Verdict.INCONCLUSIVE, Verdict.NO_DATA, Verdict.ERROR)
"""The ends that people are asked about."""

Judgement = recorded.Judgement[State]
"""What a look changed."""


def step(state: State, came: Iterable[Counted], *, terms: Terms, run: str) -> Judgement:
    """Add one look, and say whether the comparison has ended.

    Args:
        state: What ``step`` returned before; ``State()`` at first. An ended state is returned as it is, but
            for an undecided one where the look is ``held``.
        came: What came back, by name; a metric without counts as unanswered, others are ignored.
        terms: What is judged, and how.
        run: Since when the counts count; another one than before begins at 0.
    """
    if state.verdict is not None and not (terms.held and state.verdict in UNDECIDED):
        return recorded.unchanged(state)
    rounds = state.rounds + 1
    answers, known = _taken(state, came, terms, run)
    looks = tuple(_looks(terms, answers, known, rounds))
    verdict, reason = _ended(terms, looks, known, rounds)
    courses = {look.name: known[look.name]._replace(reason=look.reason) for look in looks}
    after = state.model_copy(
        update={
            "rounds": rounds,
            "metrics": courses,
            "run": run,
            "held": terms.held,
            "verdict": verdict,
            "reason": reason if verdict else "",
        }
    )
    return Judgement(after, verdict, reason, looks)


def _taken(
    state: State, came: Iterable[Counted], terms: Terms, run: str
) -> tuple[list[Counted], dict[str, Course]]:
    """Return what can be believed of the answers, and what is known with them."""
    by_name = {one.name: one for one in came}
    before = {m.name: state.metrics.get(m.name, Course()) for m in terms.metrics}
    if run != state.run:
        before = {name: course._replace(mark=Course().mark) for name, course in before.items()}
    answers = [
        plausible(by_name.get(name, Counted(name, error="was not measured")), course.mark, terms.control)
        for name, course in before.items()
    ]
    return answers, {one.name: added(before[one.name], one, terms, state.rounds + 1) for one in answers}


def resumed(looks: Iterable[Event], *, terms: Terms) -> State:
    """Return the state after recorded looks; only the last of them is judged: the evidence is in that."""
    return recorded.resumed(
        looks,
        State(),
        lambda state, event: _more(state, event, terms),
        lambda state, event: _judged(state, event, terms),
    )


def carried(
    looks: Sequence[Event], steps: Sequence[str], own: Sequence[Event], *, terms: Terms
) -> tuple[Mapping[str, Part], ...]:
    """Return what a step goes on with: what each of the steps before it saw of each metric.

    What the ledger had when the step's own first look came, and nothing later: a spool that delivers a look
    afterwards does not change what its looks rest on.

    Args:
        looks: The looks of a release by one analysis.
        steps: The ids of the steps before it, the first one first.
        own: The step's own looks.
        terms: What is judged, and how.
    """
    first = min((event.id for event in own), default=math.inf)
    known = [event for event in looks if event.id < first]
    return tuple(_seen([e for e in known if e.step == step], terms) for step in steps)


def _seen(looks: Iterable[Event], terms: Terms) -> dict[str, Part]:
    state = recorded.folded(looks, State(), lambda state, event: _more(state, event, terms))
    return {name: Part(course.evidence, course.had, state.rounds) for name, course in state.metrics.items()}


def _more(state: State, event: Event, terms: Terms) -> State:
    """Return the state with a look that is not judged."""
    known = _taken(state, told_of(event), terms, run_of(event))[1]
    return State(rounds=state.rounds + 1, metrics=known, run=run_of(event))


def again(looks: Iterable[Event], *, terms: Terms) -> Iterator[tuple[Event, Judgement]]:
    """Yield what each recorded look says, from the counts in it alone, in the order of their numbers.

    A spool delivers late, so the ledger's order may be another. A number that is missing stays so: counts go
    from the beginning on, so the next look has what it had. One that is there twice changes nothing.
    """
    return recorded.again(
        looks,
        State(),
        lambda state, event: _judged(state, event, terms),
    )


def _judged(state: State, event: Event, terms: Terms) -> Judgement:
    by = terms._replace(held=bool(event.data.get("held")))
    return step(state, told_of(event), terms=by, run=run_of(event))


def told_of(event: Event) -> list[Counted]:
    """Return what a recorded look says came back."""
    return [_told(one) for one in event.data["metrics"]]


def run_of(event: Event) -> str:
    """Return the try of a step that a look belongs to: its counts begin with it."""
    return event.key.rpartition(":")[0]


def _told(data: Mapping[str, Any]) -> Counted:
    if data["verdict"] == Verdict.ERROR.value:
        return Counted(data["name"], error=data["reason"])
    control, experiment = (tuple(data[arm]) if data[arm] else None for arm in ("control", "experiment"))
    return Counted(data["name"], control, experiment)


def _looks(
    terms: Terms, answers: Sequence[Counted], known: Mapping[str, Course], rounds: int
) -> Iterator[Look]:
    judged = {metric.name: with_alone(terms, metric, known[metric.name]) for metric in terms.metrics}
    evidence = weighed(terms, judged)
    for metric, came in zip(terms.metrics, answers, strict=True):
        found = evidence[metric.name]
        verdict, reason = _said(terms, metric, came, judged[metric.name], found, rounds)
        if came.error is not None and verdict is not Verdict.FAIL:
            verdict, reason = Verdict.ERROR, came.error
        arms = (came.control, came.experiment)
        yield Look(metric.name, verdict, reason, *arms, found.effect, found.interval, terms.control)


def _said(
    terms: Terms, metric: LimitedLike, came: Counted, course: Course, found: Evidence, rounds: int
) -> tuple[Verdict, str]:
    """Return what is known of a metric after a look, in words."""
    old, new = found.had
    shown = f"{_share(new)} bad, of the {terms.control} {_share(old)}"
    low, high = found.interval or (None, None)
    if found.harm:
        times = f"; at least {low:.3g} times as often" if low is not None and low > 1 else ""
        looked = plural(rounds) + (f" and {found.looks} at the weights before" if found.looks else "")
        limit = f"; at most {metric.max:g} is allowed" if not times and metric.max is not None else ""
        return Verdict.FAIL, f"harm is certain after {looked}: {shown}{times}{limit}"
    if not (new[1] and old[1]):
        # A look in which either has nothing adds nothing of the other.
        arms = ((NEW, came.experiment), (terms.control, came.control))
        without = neither(whose for whose, pair in arms if not (pair and pair[1])) or NEW
        return Verdict.NO_DATA, f"no requests of the {without} were counted"
    for whose, (_, total) in ((NEW, new), (terms.control, old)):
        if total < metric.min_samples:
            needed = f"at least {metric.min_samples:g} are needed"
            return Verdict.NO_DATA, f"the {whose} had {total:g} requests, {needed}: {shown}"
    if terms.ends(rounds) and (still := _still(course, terms, rounds)):
        return Verdict.INCONCLUSIVE, f"{still}: {shown}"
    if found.calm:
        return Verdict.PASS, f"harm beyond {terms.comparison.tolerance:.0%} is ruled out: {shown}"
    open_ = f"; up to {high:.3g} times as often can't be ruled out" if high is not None else ""
    if terms.held:
        return Verdict.INCONCLUSIVE, f"held after {plural(rounds)}: {shown}"
    if not terms.ends(rounds):
        return Verdict.INCONCLUSIVE, f"not decided after {rounds} of {plural(terms.planned)}: {shown}"
    if terms.comparison.undecided == "pass":
        return Verdict.PASS, f"no harm found in {plural(rounds)}: {shown}{open_}"
    return Verdict.INCONCLUSIVE, f"neither harm nor its absence is certain: {shown}{open_}"


def _still(course: Course, terms: Terms, rounds: int) -> str:
    """Say which version had no new requests of late; empty when both had some."""
    late = max(3, math.ceil(terms.planned / 3))
    for arm, whose in ((1, NEW), (0, terms.control)):
        if course.fresh[arm] <= rounds - late:
            return f"no new requests of the {whose} since look {course.fresh[arm]}"
    return ""


def _ended(
    terms: Terms, looks: Sequence[Look], known: Mapping[str, Course], rounds: int
) -> tuple[Verdict | None, str]:
    if any(look.verdict is Verdict.FAIL for look in looks):
        return Verdict.FAIL, _reasons(looks, Verdict.FAIL)
    for look in looks if not terms.held else ():
        if (times := known[look.name].errors_in_a_row) > TOLERATED_ERRORS:
            return Verdict.ERROR, f"{look.name}: {times} times in a row: {look.reason}"
    worst = Verdict.worst([look.verdict for look in looks])
    unanswered = [look for look in looks if not known[look.name].answered]
    if terms.ends(rounds):
        if worst is Verdict.PASS and unanswered:
            names = ", ".join(look.name for look in unanswered)
            return Verdict.INCONCLUSIVE, f"{names}: the last look had no numbers"
        return worst, _reasons(looks, worst)
    added = [known[look.name].added for look in looks]
    both = all(one and one[0][1] and one[1][1] for one in added)
    early = terms.comparison.early_pass and not terms.held
    if early and worst is Verdict.PASS and both:
        return Verdict.PASS, _reasons(looks, Verdict.PASS)
    return None, "; ".join(f"{look.name}: {look.reason}" for look in looks)


def _reasons(looks: Sequence[Look], verdict: Verdict) -> str:
    return "; ".join(f"{look.name}: {look.reason}" for look in looks if look.verdict is verdict)


def _share(pair: Sequence[int]) -> str:
    bad, total = pair
    if not total:
        return "none"
    share = f" ({100 * bad / total:.3g} %)" if bad else ""
    return f"{bad} of {total}{share}"


def _rounded(value: float | None) -> float | None:
    return float(f"{value:.6g}") if value is not None and math.isfinite(value) else None

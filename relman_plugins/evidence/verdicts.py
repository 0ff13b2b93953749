"""Do the verdicts follow from the recorded numbers? They are judged again, by the same pure function."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from relman_plugins.domain.event import Event, Kind
from relman_plugins.domain.look import control
from relman_plugins.domain.status import TAKEN_BACK, Verdict
from relman_plugins.evidence.record import Evidence
from relman_plugins.judge import burning, comparing, sampled
from relman_plugins.judge.threshold import Measurement, State, look, step
from relman_plugins.plan.looks import age_at, looks_of
from relman_plugins.plan.model import AnalysisPlan, MetricPlan, Shape, Step

AnyState = State | comparing.State | sampled.State | burning.State

_KINDS = (Kind.ANALYSIS_MEASURED, Kind.ANALYSIS_FINISHED)


class Replay(NamedTuple):
    """One analysis, judged again from what is recorded of it."""

    watch: str
    """What its events have in common."""
    step: str
    analysis: str
    judge: str
    """``thresholds``, ``sequential``, ``mann_whitney`` or ``slo``."""
    weight: int | None
    looks: int
    """How many are recorded."""
    recorded: str
    """The verdict that is recorded; empty while there is none."""
    recorded_reason: str
    given: str
    """The verdict that the looks give."""
    reason: str
    problems: tuple[str, ...]
    """Where the two differ, in words."""

    @property
    def same(self) -> bool:
        """Whether every look and the end came out as recorded."""
        return not self.problems


def verdicts(evidence: Evidence) -> Iterator[str]:
    """Judge each analysis again, look by look, and compare every verdict and reason."""
    for one in replayed(evidence):
        yield from (f"{one.watch}: {problem}" for problem in one.problems)


def replayed(evidence: Evidence) -> Iterator[Replay]:
    """Judge each analysis again, look by look."""
    return replayed_of(evidence.record.plan.shape, list(evidence.of(Kind.STEP_STARTED, *_KINDS)))


def replayed_of(shape: Shape, events: Iterable[Event]) -> Iterator[Replay]:
    """Judge each analysis of a release again by the plan ``shape``, from events in the ledger's order.

    They are those of analyses, and the starts of steps: another try of a soak looks for what is left of it.
    """
    events = list(events)
    compared = {a.name for a in shape.analyses if a.compares}
    steps = {s.id for s in shape.steps if s.args.get("analysis") in compared}

    def watch_of(event: Event) -> str:
        # The tries of a comparison are one: what an earlier one counted is evidence still.
        return event.step if event.step in steps else _watch(event)

    watches: dict[str, list[Event]] = {}
    for event in (e for e in events if e.kind in _KINDS):
        watches.setdefault(watch_of(event), []).append(event)
    for watch, own in watches.items():
        planned = shape.step(own[0].step or "")
        yield _replay(shape, planned, age_at(events, planned, watch), watch, own, events)


def count_of(evidence: Evidence) -> int:
    """Return how many verdicts there are."""
    return sum(1 for _ in evidence.of(Kind.ANALYSIS_FINISHED))


def _watch(event: Event) -> str:
    """Return what the events of one analysis have in common: their key without its end."""
    return event.key.rpartition(":")[0]


def _replay(
    shape: Shape,
    planned: Step,
    age_s: float,
    watch: str,
    events: Sequence[Event],
    everything: Sequence[Event],
) -> Replay:
    name = str(events[0].data["analysis"])
    # A spool delivers late, so the ledger's order may be another than that of the looks.
    measured = (e for e in events if e.kind is Kind.ANALYSIS_MEASURED)
    looks = sorted(measured, key=lambda e: (e.data["look"], e.id))
    ended = [e for e in events if e.kind is Kind.ANALYSIS_FINISHED]
    problems: list[str] = []
    state: AnyState = State()
    judge = "thresholds"
    wanted = (events[0].step, planned.args.get("analysis"))
    if odd := [e for e in events if (e.step, e.data["analysis"]) != wanted]:
        said = f"{odd[0].step} was judged by {str(odd[0].data['analysis'])[:60]!r}"
        problems.append(f"{said}, the plan says {planned.id} by {wanted[1]!r}")
    else:
        analysis = shape.analysis(name)
        judge = analysis.judge
        rounds = looks_of(planned, analysis, age_s)
        if (given := _given(shape, planned, analysis, rounds, looks, everything)) is not None:
            states = _folded(given, problems)
        else:
            states = [_limited(analysis.metrics, rounds, looks, problems)]
        # Looks go on while people are asked about an undecided end, and most of them say nothing new.
        state = next((one for one in reversed(states) if one.verdict), states[-1])
        problems += _end(ended, states, compared=analysis.compares)
    last = ended[-1].data if ended else {}
    return Replay(
        watch, planned.id, name, judge, events[0].data.get("weight"), len(looks),
        str(last.get("verdict") or ""), str(last.get("reason") or ""),
        state.verdict.value if state.verdict else "", state.reason, tuple(problems),
    )  # fmt: skip


def _limited(rules: Sequence[MetricPlan], count: int, looks: Sequence[Event], problems: list[str]) -> State:
    state = State()
    for event in looks:
        if wrong := _out_of_turn(state, event):
            problems.append(wrong)
            break
        by_name = {rule.name: rule for rule in rules}
        seen = [_measurement(by_name.get(one["name"]), one) for one in event.data["metrics"]]
        judged = step(state, seen, rules=rules, count=count)
        state = judged.state
        problems += _differences(state.rounds, [one.data() for one in judged.looks], event)
        if state.model_dump(mode="json") != event.data["state"]:
            told = "the numbers give another count than the one that is recorded"
            problems.append(f"look {state.rounds}: {told}")
    return state


def _given(
    shape: Shape,
    planned: Step,
    analysis: AnalysisPlan,
    rounds: int,
    looks: Sequence[Event],
    everything: Sequence[Event],
) -> Iterator[tuple[Event, Any]] | None:
    """Return what a judge says of each look that gives its state again from looks alone; None for limits."""
    beside = control(baseline=bool(planned.args.get("baseline")))
    if analysis.comparison is not None:
        terms = comparing.Terms(analysis.comparison, shape.false_alarms(planned), rounds, beside)
        told = (e for e in everything if e.kind is Kind.ANALYSIS_MEASURED)
        same = [e for e in told if e.data["analysis"] == analysis.name]
        earlier = comparing.carried(same, shape.carried_from(planned), looks, terms=terms)
        terms = terms._replace(earlier=earlier)
        return comparing.again(looks, terms=terms)
    if analysis.sampled is not None:
        return sampled.again(looks, terms=sampled.Terms(analysis.sampled, rounds, beside))
    if analysis.budget is not None:
        budget = analysis.budget
        return burning.again(looks, terms=burning.Terms(budget.metrics, budget.windows, rounds))
    return None


def _folded(given: Iterator[tuple[Event, Any]], problems: list[str]) -> list[AnyState]:
    """Judge again by the recorded numbers; of two versions, by those of all tries of a step together.

    Returns the state before all looks, and after each.
    """
    states: list[AnyState] = [State()]
    for event, judged in given:
        if wrong := _out_of_turn(states[-1], event):
            problems.append(wrong)
            break
        states.append(judged.state)
        problems += _differences(judged.state.rounds, [one.data() for one in judged.looks], event)
    return states


def _differences(look: int, given: Sequence[dict[str, Any]], event: Event) -> Iterator[str]:
    names = [[one["name"] for one in side] for side in (given, event.data["metrics"])]
    if names[0] != names[1]:
        yield f"look {look}: looked at {', '.join(map(str, names[1]))}, the plan has {', '.join(names[0])}"
        return
    for one, was in zip(given, event.data["metrics"], strict=True):
        if (one["name"], one["verdict"], one["reason"]) != (was["name"], was["verdict"], was["reason"]):
            said = f"recorded is {was['verdict']} ({was['reason']})"
            yield f"look {look}: {one['name']} gives {one['verdict']} ({one['reason']}), {said}"


def _out_of_turn(state: AnyState, event: Event) -> str:
    """Return why a look can't be the next one; empty when it can."""
    if event.data["look"] <= state.rounds:
        return f"look {event.data['look']} is recorded twice, so the verdict can't be given again"
    if event.data["look"] != state.rounds + 1:
        return f"look {state.rounds + 1} is not recorded, so the verdict can't be given again"
    if state.verdict is not None and not (event.data.get("held") and state.verdict in comparing.UNDECIDED):
        return f"look {event.data['look']} is recorded, though the one before ended it: {state.verdict.value}"
    return ""


def _end(ended: Sequence[Event], states: Sequence[AnyState], *, compared: bool) -> Iterator[str]:
    """Compare each recorded end with the state after its last look: people may be asked, and looks go on."""
    after, last = {state.rounds: state for state in states}, states[-1]
    verdicts = [event.data["verdict"] for event in ended]
    if verdicts and last.verdict is Verdict.FAIL and Verdict.FAIL.value not in verdicts:
        yield f"the numbers give {_told('fail', last.reason, last.rounds)}, recorded is {verdicts[-1]}"
    for event in ended:
        told = (event.data["verdict"], event.data["reason"], event.data["looks"])
        state = after.get(told[2], states[-1])
        if told[:2] == (Verdict.FAIL.value, TAKEN_BACK):
            # No verdict of the numbers: a process was lost after it had taken the traffic back.
            continue
        if compared and state.rounds == 0 and (told[0], told[2]) == (Verdict.NO_DATA.value, 0):
            # There was nothing to compare with; that people were asked is for those who look at changes.
            continue
        given = (state.verdict.value if state.verdict else None, state.reason, state.rounds)
        if given != told:
            yield f"the numbers give {_told(*given)}, recorded is {_told(*told)}"


def _told(verdict: str | None, reason: str, looks: int) -> str:
    return f"{verdict or 'no verdict'} after {looks} looks{f' ({reason})' if reason else ''}"


def _measurement(rule: MetricPlan | None, told: dict[str, Any]) -> Measurement:
    """Return what came back for a metric, by what was recorded of it.

    JSON has no infinity, so null stands for it; which one it was can be seen from the reason.
    """
    name, value = told["name"], told["value"]
    if told["verdict"] == Verdict.ERROR.value:
        return Measurement(name=name, error=told["reason"])
    if value is None and rule is not None and told["verdict"] in (Verdict.FAIL.value, Verdict.PASS.value):
        for guess in (math.inf, -math.inf):
            if look(rule, guess, told["samples"]).reason == told["reason"]:
                value = guess
        if value is None:  # by other limits than those that it was judged by
            value = -math.inf if str(told["reason"]).startswith("-") else math.inf
    nothing = told["reason"] if value is None and told["verdict"] == Verdict.NO_DATA.value else ""
    return Measurement(name=name, value=value, samples=told["samples"], nothing=nothing)

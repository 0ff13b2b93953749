"""Do the verdicts follow from the recorded numbers? They are judged again, by the same pure function."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from relman_plugins.domain.event import Event, Kind
from relman_plugins.domain.status import TAKEN_BACK, Verdict
from relman_plugins.evidence.record import Evidence
from relman_plugins.judge import comparing
from relman_plugins.judge.threshold import Measurement, State, look, step
from relman_plugins.plan.model import MetricPlan, Step, StepKind

_KINDS = (Kind.ANALYSIS_MEASURED, Kind.ANALYSIS_FINISHED)


def verdicts(evidence: Evidence) -> Iterator[str]:
    """Judge each analysis again, look by look, and compare every verdict and reason."""
    shape = evidence.record.plan.shape
    compared = {a.name for a in shape.analyses if a.comparison is not None}
    steps = {s.id for s in shape.steps if s.args.get("analysis") in compared}

    def watch_of(event: Event) -> str:
        # The tries of a comparison are one: what an earlier one counted is evidence still.
        return event.step if event.step in steps else _watch(event)

    events = sorted(evidence.of(*_KINDS), key=lambda e: (watch_of(e), e.id))
    for watch, own in groupby(events, key=watch_of):
        yield from (f"{watch}: {problem}" for problem in _again(evidence, list(own)))


def count_of(evidence: Evidence) -> int:
    """Return how many verdicts there are."""
    return sum(1 for _ in evidence.of(Kind.ANALYSIS_FINISHED))


def _watch(event: Event) -> str:
    """Return what the events of one analysis have in common: their key without its end."""
    return event.key.rpartition(":")[0]


def _again(evidence: Evidence, events: Sequence[Event]) -> Iterator[str]:
    shape = evidence.record.plan.shape
    planned = shape.step(events[0].step or "")
    wanted = (events[0].step, planned.args.get("analysis"))
    if odd := [e for e in events if (e.step, e.data["analysis"]) != wanted]:
        said = f"{odd[0].step} was judged by {str(odd[0].data['analysis'])[:60]!r}"
        yield f"{said}, the plan says {planned.id} by {wanted[1]!r}"
        return
    analysis = shape.analysis(events[0].data["analysis"])
    if analysis.comparison is not None:
        terms = comparing.Terms(analysis.comparison, shape.false_alarms(planned), _rounds(planned))
        yield from _compared(terms, events)
        return
    rules, state = analysis.metrics, State()
    for event in (e for e in events if e.kind is Kind.ANALYSIS_MEASURED):
        if event.data["look"] != state.rounds + 1:
            yield f"look {state.rounds + 1} is not recorded, so the verdict can't be given again"
            return
        by_name = {rule.name: rule for rule in rules}
        seen = [_measurement(by_name.get(one["name"]), one) for one in event.data["metrics"]]
        judged = step(state, seen, rules=rules, count=_rounds(planned))
        state = judged.state
        given = [(one.name, one.verdict.value, one.reason) for one in judged.looks]
        recorded = [(one["name"], one["verdict"], one["reason"]) for one in event.data["metrics"]]
        for (name, verdict, reason), was in zip(given, recorded, strict=True):
            if (name, verdict, reason) != was:
                said = f"recorded is {was[1]} ({was[2]})"
                yield f"look {state.rounds}: {name} gives {verdict} ({reason}), {said}"
        if state.model_dump(mode="json") != event.data["state"]:
            yield f"look {state.rounds}: the numbers give another count than the one that is recorded"
    yield from _end(events, state)


def _compared(terms: comparing.Terms, events: Sequence[Event]) -> Iterator[str]:
    """Judge a comparison again by the counts that are recorded, of all tries of its step together."""
    state = comparing.State()
    for event, judged in comparing.again(
        (e for e in events if e.kind is Kind.ANALYSIS_MEASURED), terms=terms
    ):
        if event.data["look"] != state.rounds + 1:
            yield f"look {state.rounds + 1} is not recorded, so the verdict can't be given again"
            return
        state = judged.state
        given = [one.data() for one in judged.looks]
        for one, was in zip(given, event.data["metrics"], strict=True):
            if (one["name"], one["verdict"], one["reason"]) != (was["name"], was["verdict"], was["reason"]):
                said = f"recorded is {was['verdict']} ({was['reason']})"
                yield f"look {state.rounds}: {one['name']} gives {one['verdict']} ({one['reason']}), {said}"
    nothing = (Verdict.NO_DATA.value, 0)
    if state.rounds == 0 and all((e.data["verdict"], e.data["looks"]) == nothing for e in events):
        # There was nothing to compare with; that people were asked is for those who look at changes.
        return
    yield from _end(events, state)


def _end(events: Sequence[Event], state: State | comparing.State) -> Iterator[str]:
    for event in (e for e in events if e.kind is Kind.ANALYSIS_FINISHED):
        if event.data["reason"] == TAKEN_BACK and event.data["verdict"] == Verdict.FAIL.value:
            # No verdict of the numbers: a process was lost after it had taken the traffic back.
            continue
        ended = (state.verdict.value if state.verdict else None, state.reason, state.rounds)
        told = (event.data["verdict"], event.data["reason"], event.data["looks"])
        if ended != told:
            yield f"the numbers give {_told(*ended)}, recorded is {_told(*told)}"


def _told(verdict: str | None, reason: str, looks: int) -> str:
    return f"{verdict or 'no verdict'} after {looks} looks{f' ({reason})' if reason else ''}"


def _rounds(planned: Step) -> int:
    """Return after how many looks the plan ends an analysis: as the operators count."""
    args = planned.args
    if planned.kind is StepKind.MONITOR:
        return max(1, math.ceil(float(args["for_s"]) / float(args["interval_s"])))
    return int(args["count"])


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
    return Measurement(name=name, value=value, samples=told["samples"])

"""How long a release waits on purpose, and how long a defect can go on.

Both are computed from the plan alone. Work (building, suites, starting replicas, Airflow's own turns) comes
on top; a first deploy skips steps and waits less. Two facts of the machinery are in every formula:

* The first look of an analysis is one ``interval`` after the traffic moved, each further one an ``interval``
  later: ``looks`` of them take ``looks * interval``. A step of a strategy takes ``count`` looks, a monitor
  ``ceil(for / interval)``.
* A task that waits is not resumed sooner than ``M`` = 8 s after it began to wait (setting
  ``minimum_deferral``; see :mod:`relman_plugins.triggers.base`), so a *watch* takes
  ``W = max(M, looks * interval)``. What a trigger does meanwhile, such as moving traffic back, does not wait.

====================  ======================================================================================
minimum to promote    the sum over all stages of:
``recreate``          nothing; plus ``W`` of the monitor
``rolling``           nothing (waves follow each other as fast as replicas start); plus ``W`` of the monitor
``canary``            ``W`` of each weight with an analysis; plus ``W`` of the monitor
``blue_green``        ``W`` of the switch and ``W`` of the monitor, then what is left of ``keep``, which runs
                      from the switch (if anything is left, at least ``M``)
``soak``              all of it, after the rest of its stage; at least ``M``; ``W`` of it if it is watched
====================  ======================================================================================

**Worst case to roll back**, from a defect that every look sees to the traffic being told to move: the largest
over all watching steps of ``blind + interval * (1 + tolerated_failures)`` for the most tolerant metric, where
``blind`` is how long nobody looked before the step began: what ``M`` adds to the watch before it in the stage
(``W - looks * interval``), what the old version is kept for before a watched soak, and, before the first
monitor or watched soak, the longest time limit of the stage's suites, checklists included; one that is tried
again counts as often as it may be tried.

* ``canary`` and ``blue_green`` have a standby: moving back is a matter of weights. ``recreate`` and
  ``rolling`` have none, nor has a watched soak (:func:`starts_again`): the old version's replicas have to
  start first.
* A comparison with the old version needs evidence, so nobody knows at which look harm is certain: all its
  looks are counted, and at the end either the traffic moved back or, where neither is certain, people are
  asked (:func:`may_ask`).
* An error budget of which everything is bad burns at ``1 / (1 - objective)``. A pair of windows notices once
  its short window is full and so much of its long one is bad that it burns at the pair's rate: after
  ``max(short, burn_rate * (1 - objective) * long)`` at the latest, and a look later.
* A defect that begins in the last ``tolerated_failures`` looks of a step does not fail it: its last look does
  not pass, which asks people. Before the first and after the last watching step (while the old version is
  only kept) nobody but people notices; an abort by a person is acted on at once.
"""

from __future__ import annotations

from math import ceil

from relman_plugins.plan.model import AnalysisPlan, Shape, Step, StepKind

MINIMUM_DEFERRAL_S = 8.0
"""The default of the setting ``minimum_deferral``."""

_AFTER_SUITES = (StepKind.MONITOR, StepKind.SOAK)
_SUITES = (StepKind.SUITE, StepKind.CHECKLIST)
_NO_STANDBY = (StepKind.DEPLOY, StepKind.ROLL)


def minimum_time(shape: Shape, minimum_s: float = MINIMUM_DEFERRAL_S) -> float:
    """Return the seconds that a release waits on purpose, at least."""
    return sum(_stage_waits(steps, minimum_s) for steps in _stages(shape))


def rollback_time(shape: Shape, minimum_s: float = MINIMUM_DEFERRAL_S) -> float | None:
    """Return the seconds from a defect to the traffic moving back, at worst; None when nothing watches.

    A comparison may have people asked instead, after as long.
    """
    found: list[float] = []
    for steps in _stages(shape):
        blind = 0.0
        suites = max((_longest(s) for s in steps if s.kind in _SUITES), default=0.0)
        for step in steps:
            if step.kind is StepKind.KEEP:
                blind += waits_of(shape, step, minimum_s)
            if not step.args.get("analysis"):
                continue
            if step.kind in _AFTER_SUITES:
                blind, suites = blind + suites, 0.0
            found.append(blind + _noticed(shape.analysis(step.args["analysis"]), step))
            blind = max(0.0, minimum_s - _looks(step))
    return max(found, default=None)


def _noticed(analysis: AnalysisPlan, step: Step) -> float:
    """Return the seconds from the first look that sees a defect to the one that fails."""
    interval = float(step.args["interval_s"])
    if analysis.compares:
        return _looks(step)
    if analysis.budget is not None:
        budget = analysis.budget
        page = [w for w in budget.windows if w.severity == "page"]
        slowest = max(
            min(
                (max(w.short_s, w.burn_rate * (1 - m.objective) * w.long_s) for w in page),
                default=_looks(step),
            )
            for m in budget.metrics
        )
        return min(_looks(step), slowest + interval)
    tolerated = max((m.tolerated_failures for m in analysis.metrics), default=0)
    return interval * (1 + tolerated)


def waits_of(shape: Shape, step: Step, minimum_s: float = MINIMUM_DEFERRAL_S) -> float:
    """Return the seconds that one step waits on purpose; a keep runs from the stage's first watch on."""
    if step.args.get("analysis"):
        return max(minimum_s, _looks(step))
    if step.kind is StepKind.SOAK:
        return max(minimum_s, float(step.args["for_s"]))
    if step.kind is StepKind.KEEP:
        stage = [s for s in shape.steps if s.stage == step.stage and s.kind is not StepKind.SOAK]
        return _stage_waits(stage, minimum_s) - sum(
            waits_of(shape, s, minimum_s) for s in stage if s.args.get("analysis")
        )
    return 0.0


def rest_of_change(
    shape: Shape, step: Step, minimum_s: float = MINIMUM_DEFERRAL_S, *, whole: bool = True
) -> float:
    """Return the seconds that a change takes at least from a step on: to its stage's end, without a soak.

    With ``whole`` off, only what the step itself waits: what comes then may be left for later.
    """
    if not whole:
        return waits_of(shape, step, minimum_s)
    stage = [s for s in shape.steps if s.stage == step.stage]
    rest = stage[stage.index(step) :]
    return sum(waits_of(shape, s, minimum_s) for s in rest if s.kind is not StepKind.SOAK)


def needed_time(
    shape: Shape, gate: Step, step: Step, minimum_s: float = MINIMUM_DEFERRAL_S, *, begun: bool = False
) -> float:
    """Return for how many seconds a window gate must stay open when a step goes through it; 0: any time does.

    ``step`` is the one that is about to change something, or the gate itself: then the stage's first change.
    A change that has ``begun`` and is drained is taken back when it closes, and not for what is to come.
    """
    if gate.args.get("outlasting", "begin") == "begin" or (begun and gate.args.get("on_close") == "drain"):
        return 0.0
    first = next((s for s in shape.steps if s.stage == gate.stage and s.changes), step)
    whole = gate.args.get("on_close", "finish") != "hold"
    return rest_of_change(shape, step if step.changes else first, minimum_s, whole=whole)


def starts_again(shape: Shape) -> bool:
    """Say whether some watched stage has no standby, so that going back has to start the old version."""
    return any(
        any(s.args.get("analysis") for s in steps)
        and any(s.kind in _NO_STANDBY or (s.kind is StepKind.SOAK and s.args.get("analysis")) for s in steps)
        for steps in _stages(shape)
    )


def may_ask(shape: Shape) -> bool:
    """Say whether some step compares versions, so that people may be asked about harm that is not certain."""
    watched = {str(s.args["analysis"]) for s in shape.steps if s.args.get("analysis")}
    return any(shape.analysis(name).compares for name in watched)


def _stage_waits(steps: list[Step], minimum_s: float) -> float:
    waited = 0.0
    for step in steps:
        if step.args.get("analysis"):
            waited += max(minimum_s, _looks(step))
        elif step.kind is StepKind.KEEP and (left := float(step.args["keep_s"]) - waited) > 0:
            waited += max(minimum_s, left)
        elif step.kind is StepKind.SOAK:
            waited += max(minimum_s, float(step.args["for_s"]))
    return waited


def _looks(step: Step) -> float:
    """Return the seconds that the looks of a watching step take."""
    interval = float(step.args["interval_s"])
    if "count" in step.args:
        return interval * int(step.args["count"])
    return interval * max(1, ceil(float(step.args["for_s"]) / interval))


def _longest(suite: Step) -> float:
    """Return the seconds that a suite may take: its time limit, as often as it may be tried."""
    return float(suite.args["timeout_s"]) * (1 + int(suite.args.get("retries") or 0))


def _stages(shape: Shape) -> list[list[Step]]:
    found: dict[str, list[Step]] = {}
    for step in shape.steps:
        if step.stage:
            found.setdefault(step.stage, []).append(step)
    return list(found.values())

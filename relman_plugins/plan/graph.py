"""The order of the steps: what needs what, what each gate guards, where locks end.

A stage is entered when everything that must succeed in the stage before has succeeded; its teardown is not
waited for. ``close`` waits for every step there is, whatever became of it. ``follow_up`` comes after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from relman_plugins.errors import PlanError
from relman_plugins.plan.model import Step, StepKind

_LOOSE = ("open", "build", "assess", "close")


class Draft(NamedTuple):
    """A step of a stage before it is known what it needs."""

    id: str
    kind: StepKind
    stage: str
    environment: str
    args: dict[str, Any]


@dataclass(frozen=True)
class StageSteps:
    """The steps of one stage, not yet connected."""

    name: str
    parity: Draft | None
    """Before the gates, so that who approves sees what it found."""
    tickets: tuple[Draft, ...]
    """Before the other gates, too, so that nobody approves what has no ticket."""
    gates: tuple[Draft, ...]
    """One after the other, in this order."""
    provision: Draft | None
    changes: tuple[Draft, ...]
    """One after the other; at least one."""
    suites: tuple[Draft, ...]
    """Side by side, after the last change."""
    monitor: Draft | None
    """After the suites."""
    keep: Draft | None
    """After the monitor."""
    soak: Draft | None
    """Last, before the next stage."""
    ticket: bool
    """Whether nothing changes without a ticket."""
    teardown: Draft | None
    rollback: Draft | None


def connect(
    build: dict[str, Any],
    stages: Sequence[StageSteps],
    follow_up: dict[str, Any] | None = None,
    assess: dict[str, Any] | None = None,
) -> tuple[Step, ...]:
    """Return all steps of a plan, connected, in the order in which people read them.

    Args:
        build: Arguments of the ``build`` step.
        stages: The stages in order; at least one.
        follow_up: Arguments of the ``follow_up`` step, if people are asked when all is over.
        assess: Arguments of the ``assess`` step, if it is looked at what changed. It runs beside the build.

    Raises:
        PlanError: Two things in the plan would have the same name.
    """
    steps = [
        Step(id="open", kind=StepKind.OPEN),
        Step(id="build", kind=StepKind.BUILD, needs=("open",), args=build),
    ]
    before: tuple[str, ...] = ("build",)
    if assess is not None:
        steps.append(Step(id="assess", kind=StepKind.ASSESS, needs=("open",), args=assess))
        before = ("build", "assess")
    for number, stage in enumerate(stages):
        connected, before = _stage(stage, before, first=number == 0)
        steps += connected
    _check_names(steps, stages)
    steps.append(Step(id="close", kind=StepKind.CLOSE, needs=_last(steps), unlocks=True))
    if follow_up is not None:
        steps.append(Step(id="follow_up", kind=StepKind.FOLLOW_UP, needs=("close",), args=follow_up))
    return tuple(steps)


def _stage(stage: StageSteps, before: tuple[str, ...], *, first: bool) -> tuple[list[Step], tuple[str, ...]]:
    gates = tuple(s.id for s in (*stage.tickets, *stage.gates))
    steps: list[Step] = []

    waiting = stage.ticket

    def add(step: Draft, needs: Iterable[str], **more: Any) -> tuple[str, ...]:
        nonlocal waiting
        if waiting and more.get("changes"):
            waiting, more = False, {**more, "ticket": True}
        steps.append(Step(**{**step._asdict(), "needs": tuple(needs), **more}))
        return (step.id,)

    at = add(stage.parity, before) if stage.parity else before
    for gate in (*stage.tickets, *stage.gates):
        at = add(gate, at)
    if stage.provision:
        # A first environment that nobody has to approve is made while the artifact is being built.
        early = first and not gates and not stage.parity
        provisioned = add(stage.provision, ("open",) if early else at, changes=True, gates=gates)
        at = (*at, *provisioned) if early else provisioned
    leaves_last = () if stage.teardown else [s.id for s in _leaving(stage)]
    for step in stage.changes:
        at = add(step, at, changes=True, gates=gates, unlocks=step.id in leaves_last)
    changed = at
    for suite in stage.suites:
        at = () if at == changed else at
        at = (*at, *add(suite, changed, unlocks=suite.id in leaves_last))
    if stage.monitor:
        promotes = bool(stage.monitor.args["promotes"])
        at = add(
            stage.monitor,
            at,
            changes=promotes,
            gates=gates if promotes else (),
            unlocks=stage.monitor.id in leaves_last,
        )
    if stage.keep:
        at = add(stage.keep, at, changes=True, gates=gates, unlocks=stage.keep.id in leaves_last)
    if stage.soak:
        at = add(stage.soak, at, unlocks=stage.soak.id in leaves_last)
    work = [s.id for s in steps if s.kind in _WORK]
    if stage.teardown:
        made = [stage.provision.id] if stage.provision else []
        add(stage.teardown, [*made, *work], changes=True, unlocks=True)
    if stage.rollback:
        undone = [s.id for s in stage.changes]
        add(stage.rollback, work, changes=True, unlocks=True, args={"steps": undone})
    return steps, at


_WORK = (
    StepKind.DEPLOY,
    StepKind.ROLL,
    StepKind.PREVIEW,
    StepKind.SHIFT,
    StepKind.SUITE,
    StepKind.CHECKLIST,
    StepKind.MONITOR,
    StepKind.KEEP,
    StepKind.SOAK,
)


def _leaving(stage: StageSteps) -> tuple[Draft, ...]:
    """Return the steps after which a stage that stays has nothing left to do."""
    for last in (stage.soak, stage.keep, stage.monitor):
        if last:
            return (last,)
    return stage.suites or stage.changes[-1:]


def _last(steps: Sequence[Step]) -> tuple[str, ...]:
    """Return what ``close`` has to wait for so that nothing can still be running.

    A step that needs only one other ends after it. One that needs several may be given up as soon as one
    of them failed, while the others go on; only a teardown always waits for all.
    """
    covered: set[str] = set()
    for step in steps:
        if step.kind is StepKind.TEARDOWN or len(step.needs) == 1:
            covered.update(step.needs)
    return tuple(s.id for s in steps if s.id not in covered)


def _check_names(steps: Sequence[Step], stages: Sequence[StageSteps]) -> None:
    for stage in stages:
        if stage.name in _LOOSE:
            raise PlanError(
                f'stage "{stage.name}" has the name of a step that every release has '
                f"({', '.join(_LOOSE)}); give the stage another `name:`"
            )
    ids = [s.id for s in steps]
    if len(set(ids)) < len(ids):
        twice = next(id_ for id_ in ids if ids.count(id_) > 1)
        raise PlanError(
            f'two steps of the plan are called "{twice}"; names of stages, and of suites and the fixed '
            "steps within a stage, must differ: rename the suite or give one stage another `name:`"
        )

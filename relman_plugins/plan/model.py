"""The plan: what a release will do, as data.

A plan has two parts. Its *shape* is what the spec alone decides: the steps, their order, their arguments.
A plan for a release adds the version and the options it was started with. The DAG is built from the shape,
the steps run the plan that the ledger stored when the release opened, and both carry the shape's frame, so a
file that changed under a release is noticed.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from pydantic import Field

from relman_plugins.domain.base import Frozen, digest_of
from relman_plugins.domain.defect import DefectSource
from relman_plugins.domain.identity import Person
from relman_plugins.domain.parameter import Parameter, Value, as_text
from relman_plugins.domain.risk import RiskPolicy
from relman_plugins.domain.workload import Workload
from relman_plugins.plan.metrics import (
    AnalysisPlan,
    ComparedPlan,
    ComparisonPlan,
    MetricPlan,
)
from relman_plugins.plan.routing import SLACK, Route

__all__ = [
    "EXCEPTIONS",
    "INVALID_TAG",
    "PAST_FREEZE",
    "PAST_WINDOW",
    "AnalysisPlan",
    "BreakGlassPlan",
    "ComparedPlan",
    "ComparisonPlan",
    "EnvironmentPlan",
    "MetricPlan",
    "Options",
    "ReleasePlan",
    "Shape",
    "Step",
    "StepKind",
    "Weighing",
]

INVALID_TAG = "relman-invalid"
"""Tag of a DAG whose spec is broken or gone."""


PAST_FREEZE, PAST_WINDOW = EXCEPTIONS = ("freeze_exception", "window_exception")
"""Names, within their stage, of the gates at which people let a release past a freeze or a closed window."""


GATE_ARGS = ("windows", "calendars", "actions")
"""The arguments of a window's step that say when it is open."""


class StepKind(StrEnum):
    """What a step does; the factory's catalogue maps each kind to one operator."""

    OPEN = "open"
    BUILD = "build"
    ASSESS = "assess"
    PROVISION = "provision"
    DEPLOY = "deploy"
    ROLL = "roll"
    PREVIEW = "preview"
    SHIFT = "shift"
    SUITE = "suite"
    CHECKLIST = "checklist"
    PARITY = "parity"
    TICKET = "ticket"
    APPROVAL = "approval"
    WINDOW = "window"
    MONITOR = "monitor"
    KEEP = "keep"
    SOAK = "soak"
    ROLLBACK = "rollback"
    TEARDOWN = "teardown"
    CLOSE = "close"
    FOLLOW_UP = "follow_up"


class Step(Frozen):
    """One entry of the plan; becomes one task.

    ``args`` is JSON, its fields by kind:

    ========== =====================================================================================
    build      ``{source, command, timeout_s, image?}``; paths relative to the spec folder, ``image`` to
               what was built
    assess     ``{repository, connection, paths, tag_prefix, environment, migrations,
               defects: DefectSource|None, risk: RiskPolicy}``
    provision  ``{expires_s}``
    deploy     ``{weight: 100, promotes: true}``: all traffic at once, the old revision goes
    roll       ``{max_surge, max_unavailable, promotes: true}``: counts of replicas; all waves of a rolling
    preview    ``{promotes: false}``: the new revision at full size beside the old one, without traffic
    shift      ``{weight, analysis: name|None, interval_s, count, promotes, baseline?: true,
               background?: true}``: one weight of a canary, with a fresh baseline beside it, with what the
               weights before it saw, or the switch of blue/green
    suite      ``{suite, command, env, junit: path|None, timeout_s, retries, min_tests, max_failures,
               max_flaky, max_skipped, max_duration_s, reports: [{kind, format, path, limits …}],
               pod?: {image|None, collector|None, cpu|None, memory|None, service_account|None, user|None}}``
    checklist  ``{suite, items: [Item], group, quorum: 1, people: [Person], timeout_s, on_timeout}``
    parity     ``{with, of: [Area], schema: {command, path, timeout_s}|None, ignore, may_differ,
               on_difference, group, quorum: 1, people: [Person], timeout_s, on_timeout}``
    ticket     ``{system, connection, states, approved, window, item, fields, timeout_s, create: {kind,
               project, fields, options, after_s, for_s|None}|None, report, ending: Ending}``: see
               :class:`relman_plugins.domain.ticket.Demands`; ``item`` empty: any
    approval   ``{gate, group, quorum, people: [Person], rules: [Rule], emails: {person: address},
               timeout_s, on_timeout, remind_s|None, valid_for_s|None}``; ``quorum`` and ``people`` of all
               rules together, ``emails`` only where authors of commits are looked at
    window     ``{windows: [Window], timeout_s, calendars?: [Calendar], actions?, on_close?, outlasting?}``
    monitor    ``{analysis, for_s, interval_s, promotes}``
    keep       ``{keep_s, promotes: true}``: seconds from the switch during which the old revision stands by
    soak       ``{for_s, analysis?, interval_s?}``: seconds before the release goes on, watched or not
    rollback   ``{steps: [ids of the steps it undoes]}``
    follow_up  ``{group, quorum: 1, people: [Person], after: [Outcome], timeout_s}``
    ========== =====================================================================================

    ``promotes``: when the step has succeeded, the new revision becomes the stable one and the old one goes.
    Exactly one step of a stage does: the change itself of ``recreate`` and ``rolling``, the last shift of a
    canary or the monitor after it, the keep of ``blue_green``.
    """

    id: str
    """Task id: ``<stage>.<name>``, or ``open``, ``build``, ``assess``, ``close``, ``follow_up``.

    Stable when others change.
    """
    kind: StepKind
    stage: str | None = None
    environment: str | None = None
    needs: tuple[str, ...] = ()
    """Ids of the steps that must have succeeded first."""
    gates: tuple[str, ...] = ()
    """Ids of all gate steps (ticket, approval, window) that must hold when this step changes something."""
    changes: bool = False
    """Whether the step changes an environment: it then takes the lock and checks every gate."""
    ticket: bool = False
    """Whether the release must carry a ticket when this step changes something: it is the stage's first."""
    unlocks: bool = False
    """Whether the environment's lock is released after this step: it is the last there."""
    args: dict[str, Any] = Field(default_factory=dict)


class BreakGlassPlan(Frozen):
    """Who may skip an environment's waivable rules in an emergency, and who approves that afterwards."""

    group: str
    people: tuple[Person, ...]
    """Who may."""
    reviewing: str
    """The group that approves it afterwards."""
    reviewers: tuple[Person, ...]
    within_s: float
    """How long they have, from the moment at which the rules were skipped."""
    emails: dict[str, str] = Field(default_factory=dict)
    """Addresses that authors among the reviewers are known by, by the person's id."""
    usernames: dict[str, str] = Field(default_factory=dict)
    """Names by which Airflow tells who started a release, by the person's id; without one, the user's id."""


class Weighing(Frozen):
    """How an environment's owner tells the risk of what is to be released there."""

    repositories: tuple[str, ...] = ()
    """Patterns of the addresses that a pipeline may name instead of where the artifact is built from."""
    migrations: tuple[str, ...]
    """Patterns of the paths of files that migrate data."""
    defects: DefectSource | None = None
    """Where the defects are kept that commits name; None: nobody wants to know."""
    risk: RiskPolicy


def _is_none(value: object) -> bool:
    # Left out then, so that plans of other platforms keep the hash they had.
    return value is None


class EnvironmentPlan(Frozen):
    """What the plan needs to know of an environment."""

    name: str
    platform: str
    connection: str
    """Airflow connection id of the platform."""
    replicas: int
    ephemeral: bool
    config: dict[str, str] = Field(default_factory=dict)
    workload: Workload | None = Field(default=None, exclude_if=_is_none)
    """What the service is made of, on Kubernetes."""
    pool: str | None = None
    """Airflow pool in which steps that work in the environment take slots."""
    slots: int = 1
    """Slots that each of them takes."""
    break_glass: BreakGlassPlan | None = None
    """Who may skip the rules here that can be waived; None: nobody."""
    weighing: Weighing | None = None
    """How the risk is told for the owner's rules that depend on it; None: none of them does."""
    exceptions: dict[str, Any] | None = None
    """Who makes exceptions from freezes and windows here: arguments of an ``approval``; None: nobody may."""
    slack_votes: Literal["allowed", "link"] = "allowed"
    """Whether votes from Slack are taken at the gates here, or the way there is a link."""


class Shape(Frozen):
    """What the spec alone decides."""

    pipeline: str
    owner: str
    description: str
    service: str
    spec_digest: str
    """Digest of the documents the plan was compiled from."""
    steps: tuple[Step, ...]
    environments: tuple[EnvironmentPlan, ...]
    analyses: tuple[AnalysisPlan, ...] = ()
    labels: dict[str, str] = Field(default_factory=dict)
    """The labels in the pipeline's metadata."""
    deadlines: dict[str, float] = Field(default_factory=dict)
    """Seconds that a stage, by its name, may take from when the release comes to it; ``""``: the release."""
    slack_channel: str | None = None
    """The Slack channel that hears everything of every release."""
    routes: tuple[Route, ...] = ()
    """Who else hears of what: the pipeline's routes, then those of its environments' owners."""
    schedule: dict[str, Any] | None = None
    """``{cron, timezone, version_file}`` when a window starts releases by itself."""
    parameters: tuple[Parameter, ...] = ()
    """The fields that the pipeline adds to the trigger form, in its order."""

    @property
    def hash(self) -> str:
        """Digest of the shape."""
        return digest_of(self.model_dump(mode="json"))

    @property
    def frame(self) -> str:
        """Digest of what a release in flight can't have changed under it: of all but the times of windows.

        Those may be others by now, and the release goes on by them: :mod:`relman_plugins.plan.in_force`.
        """
        found = self.model_dump(mode="json", exclude={"spec_digest"})
        gates = [step["args"] for step in found["steps"] if step["kind"] == StepKind.WINDOW]
        departs = (found["schedule"] or {}).get("departs") or {}
        for gate in (*gates, departs.get("gate") or {}):
            for name in GATE_ARGS:
                gate.pop(name, None)
        return digest_of(found)

    @property
    def asks_afterwards(self) -> bool:
        """Whether people are asked for follow-ups when a release has ended."""
        return any(s.kind is StepKind.FOLLOW_UP for s in self.steps)

    @property
    def last_environment(self) -> str | None:
        """The environment of the last stage: where a release reaches its users."""
        return next((s.environment for s in reversed(self.steps) if s.environment), None)

    @property
    def all_routes(self) -> tuple[Route, ...]:
        """Every route, the one to the release's own Slack channel first."""
        if self.slack_channel is None:
            return self.routes
        return (Route(channel=SLACK, addresses=(self.slack_channel,)), *self.routes)

    def step(self, step_id: str) -> Step:
        """Return a step by id, or the gate for exceptions of that id; raise KeyError if there is none."""
        found = next((s for s in self.steps if s.id == step_id), None)
        if found is None:
            stage, _, name = step_id.rpartition(".")
            found = self.exception(stage, name) if name in EXCEPTIONS else None
        return found or _missing(step_id)

    def exception(self, stage: str | None, name: str) -> Step | None:
        """Return the gate (of ``EXCEPTIONS``) at which people make exceptions in a stage; None if nobody may.

        It is no step of the plan: no task asks there. Whatever comes to what is closed asks, and waits. It
        stands where the stage's first change does, so that people see what was found out before that.
        """
        first = next((s for s in self.steps if s.stage == stage and s.changes), None)
        if first is None or not first.environment:
            return None
        args = self.environment(first.environment).exceptions
        if args is None:
            return None
        return Step(
            id=f"{stage}.{name}",
            kind=StepKind.APPROVAL,
            stage=stage,
            environment=first.environment,
            needs=first.needs,
            args={"gate": f"{stage}.{name}", **args},
        )

    def environment(self, name: str) -> EnvironmentPlan:
        """Return an environment by name; raise KeyError if there is none."""
        for environment in self.environments:  # asked for each step: a generator would take twice as long
            if environment.name == name:
                return environment
        raise KeyError(name)

    def promotes(self, step: Step) -> bool:
        """Say whether a step makes the new version the stable one of an environment that stays."""
        return bool(step.args.get("promotes")) and not self.environment(step.environment or "").ephemeral

    def analysis(self, name: str) -> AnalysisPlan:
        """Return an analysis by name; raise KeyError if there is none."""
        return next((a for a in self.analyses if a.name == name), None) or _missing(name)

    def false_alarms(self, step: Step) -> float:
        """Return a step's part of its comparison's chance of a false alarm: its stage shares that."""
        comparison = self.analysis(step.args["analysis"]).comparison
        if comparison is None:
            return 0.0
        name = step.args["analysis"]
        steps = [s for s in self.steps if s.stage == step.stage and s.args.get("analysis") == name]
        return comparison.false_alarms / len(steps)

    def carried_from(self, step: Step) -> tuple[str, ...]:
        """Return the steps with whose looks one goes on, the first one first; none where it begins anew."""
        if not step.args.get("background"):
            return ()
        stage = [s.id for s in self.steps if s.stage == step.stage and s.args.get("background")]
        return tuple(stage[: stage.index(step.id)])


def _missing(name: str) -> Any:
    raise KeyError(name)


class Options(Frozen):
    """What a release was started with: the trigger form's fields."""

    version: str
    changes: str = ""
    """What changed, in words."""
    ticket: str = ""
    """Link to the ticket or change that the release belongs to, or its number."""
    emergency: bool = False
    """Whether the release does not wait for windows."""
    emergency_reason: str = ""
    """Why it can't wait; a release that is an emergency has one."""
    dry_run: bool = False
    parameters: dict[str, Value] = Field(default_factory=dict)
    """What the pipeline's own fields were filled in with, by name."""


class ReleasePlan(Frozen):
    """The plan of one release: a shape, and the options it was started with."""

    shape: Shape
    options: Options

    @property
    def hash(self) -> str:
        """Digest of the whole plan: what an approval is bound to."""
        return digest_of(self.model_dump(mode="json"))

    @property
    def variables(self) -> dict[str, str]:
        """Return the environment variables with the pipeline's own fields, for builds and suites."""
        given = self.options.parameters
        return {p.variable: as_text(given.get(p.name, "")) for p in self.shape.parameters}

    def people(self, gate: str) -> tuple[Person, ...]:
        """Return who may answer at a gate: an approval, or a checklist."""
        return tuple(Person.model_validate(p) for p in self.shape.step(gate).args["people"])

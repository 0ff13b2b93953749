"""From a spec's documents to a plan: which steps there are, and what each is given.

Pure: no clock, no files, no environment. The same documents give the same shape, and the same hash, in any
process.
"""

from __future__ import annotations

from typing import Any

from relman_plugins.domain.parity import Area
from relman_plugins.domain.risk import RiskPolicy
from relman_plugins.domain.workload import SETS, Workload, chosen_container
from relman_plugins.errors import PlanError
from relman_plugins.plan import (
    analyses,
    approvals,
    calendars,
    changes,
    glass,
    graph,
    routes,
    suite_reports,
    tickets,
    trains,
)
from relman_plugins.plan.model import (
    EnvironmentPlan,
    Shape,
    StepKind,
    Weighing,
)
from relman_plugins.spec.models import (
    ApprovalGate,
    Canary,
    Checklist,
    Documents,
    Duration,
    Environment,
    Monitor,
    Parity,
    Recreate,
    ReleasePipeline,
    RulesGate,
    Stage,
    Suite,
)


def compile_shape(documents: Documents) -> Shape:
    """Compile valid documents to the shape of their plan.

    Raises:
        PlanError: The documents are valid one by one, but two of their names meet in one plan, or a gate
            has nobody who may answer.
    """
    pipeline = documents.pipeline
    stages = [_stage(documents, stage) for stage in pipeline.stages]
    names = list(dict.fromkeys(stage.environment for stage in pipeline.stages))
    steps = graph.connect(_build(pipeline), stages, _follow_up(documents), _assess(pipeline))
    return Shape(
        pipeline=pipeline.metadata.name,
        owner=pipeline.metadata.owner,
        description=pipeline.metadata.description.strip(),
        service=pipeline.metadata.name,
        spec_digest=documents.digest,
        labels=dict(pipeline.metadata.labels),
        deadlines=_deadlines(pipeline),
        steps=steps,
        environments=tuple(_environment(documents, documents.environments[name]) for name in names),
        analyses=tuple(analyses.compiled(name, a) for name, a in sorted(pipeline.analyses.items())),
        slack_channel=pipeline.notify.slack if pipeline.notify else None,
        routes=routes.compiled(documents, steps),
        schedule=trains.compiled(pipeline, steps),
        parameters=tuple(field.called(name) for name, field in pipeline.parameters.items()),
    )


def _stage(documents: Documents, stage: Stage) -> graph.StageSteps:
    pipeline, env = documents.pipeline, documents.environments[stage.environment]

    def step(name: str, kind: StepKind, **args: Any) -> graph.Draft:
        return graph.Draft(f"{stage.id}.{name}", kind, stage.id, stage.environment, args)

    expires = {"expires_s": env.expires.seconds}
    return graph.StageSteps(
        name=stage.id,
        parity=_parity(documents, stage.parity, step) if stage.parity else None,
        tickets=tuple(tickets.steps(documents, stage, env, step)),
        gates=_gates(documents, stage, env, step),
        provision=step("provision", StepKind.PROVISION, **expires) if env.ephemeral else None,
        changes=changes.steps(stage, env.replicas, step, pipeline.analyses),
        suites=tuple(
            _checklist(documents, name, suite, step)
            if isinstance(suite, Checklist)
            else step(name, StepKind.SUITE, suite=name, **_suite(suite))
            for name, suite in ((name, pipeline.suites[name]) for name in stage.suites)
        ),
        monitor=_monitor(stage.monitor, stage, step) if stage.monitor else None,
        keep=changes.keep(stage, step),
        soak=step("soak", StepKind.SOAK, **_soak(stage.soak)) if stage.soak else None,
        ticket=tickets.are_required(documents, stage, env),
        teardown=step("teardown", StepKind.TEARDOWN) if env.ephemeral else None,
        rollback=step("rollback", StepKind.ROLLBACK) if _rolls_back(documents, stage, env) else None,
    )


def _deadlines(pipeline: ReleasePipeline) -> dict[str, float]:
    written = [("", pipeline.deadline), *((stage.id, stage.deadline) for stage in pipeline.stages)]
    return {name: float(deadline.seconds) for name, deadline in written if deadline is not None}


def _rolls_back(documents: Documents, stage: Stage, env: Environment) -> bool:
    last = stage is documents.pipeline.stages[-1]
    stepwise = not isinstance(stage.strategy, Recreate)
    watched = stage.monitor is not None or isinstance(stage.soak, Monitor)
    return not env.ephemeral and (last or stepwise or watched)


def _gates(
    documents: Documents, stage: Stage, env: Environment, step: changes.Maker
) -> tuple[graph.Draft, ...]:
    steps = list(approvals.steps(documents, stage, env, step))
    windows = [w.model_dump(mode="json", by_alias=True) for w in env.windows]
    more = calendars.args(documents, stage, env)
    if windows or more:
        more |= {"on_close": env.on_close} if env.on_close != "finish" else {}
        more |= {"outlasting": env.outlasting} if env.outlasting != "begin" else {}
        timeout_s = env.window_timeout.seconds
        steps.append(step("window", StepKind.WINDOW, windows=windows, timeout_s=timeout_s, **more))
    return tuple(steps)


def _monitor(monitor: Monitor, stage: Stage, step: changes.Maker) -> graph.Draft:
    promotes = isinstance(stage.strategy, Canary)
    return step("monitor", StepKind.MONITOR, **_watching(monitor), promotes=promotes)


def _soak(soak: Duration | Monitor) -> dict[str, Any]:
    return _watching(soak) if isinstance(soak, Monitor) else {"for_s": soak.seconds}


def _watching(monitor: Monitor) -> dict[str, Any]:
    return {
        "analysis": monitor.analysis,
        "for_s": monitor.for_.seconds,
        "interval_s": monitor.interval.seconds,
    }


def _build(pipeline: ReleasePipeline) -> dict[str, Any]:
    artifact = pipeline.artifact
    return {
        "source": artifact.source,
        "command": list(artifact.build or ()),
        "timeout_s": artifact.timeout.seconds,
        **({"image": artifact.image} if artifact.image else {}),
    }


def _assess(pipeline: ReleasePipeline) -> dict[str, Any] | None:
    assess = pipeline.assess
    if assess is None:
        return None
    return {
        "repository": assess.repository or pipeline.artifact.source,
        "connection": assess.connection,
        "paths": list(assess.paths),
        "tag_prefix": assess.tag_prefix,
        "environment": assess.compared_with or pipeline.stages[-1].environment,
        "migrations": list(assess.migrations),
        "defects": assess.defects.source.model_dump(mode="json") if assess.defects else None,
        "risk": assess.risk.model_dump(mode="json"),
    }


def _suite(suite: Suite) -> dict[str, Any]:
    return {
        "command": list(suite.command),
        "env": dict(suite.env),
        "junit": suite.junit,
        "timeout_s": suite.timeout.seconds,
        "retries": suite.retries,
        "min_tests": suite.min_tests,
        "max_failures": suite.max_failures,
        "max_flaky": suite.max_flaky,
        "max_skipped": suite.max_skipped,
        "max_duration_s": suite.max_duration.seconds if suite.max_duration else None,
        "reports": suite_reports.compiled(suite.coverage, suite.findings, suite.load),
        # Only where there is one, so that plans without keep the hash they had.
        **({"pod": suite.pod.model_dump(mode="json")} if suite.pod else {}),
    }


def _checklist(documents: Documents, name: str, suite: Checklist, step: changes.Maker) -> graph.Draft:
    people = approvals.members(documents, suite.group)
    if not people:
        raise PlanError(f"nobody may answer checklist {name}: group {suite.group} is empty; add people to it")
    return step(
        name,
        StepKind.CHECKLIST,
        suite=name,
        items=[{"id": i.id or f"item-{n}", "item": i.item} for n, i in enumerate(suite.checklist, start=1)],
        group=suite.group,
        quorum=1,
        people=[p.model_dump(mode="json") for p in people],
        timeout_s=suite.timeout.seconds,
        on_timeout=suite.on_timeout,
    )


def _parity(documents: Documents, parity: Parity, step: changes.Maker) -> graph.Draft:
    schema = parity.schema_
    areas = parity.of or [a.value for a in Area if schema or a is not Area.SCHEMA]
    people = approvals.members(documents, parity.group) if parity.group else ()
    if parity.on_difference == "gate" and not people:
        raise PlanError("differences are to be accepted by nobody; give parity a group with people in it")
    return step(
        "parity",
        StepKind.PARITY,
        **{"with": parity.with_},
        of=list(areas),
        schema={
            "command": list(schema.command or ()),
            "path": schema.path,
            "timeout_s": schema.timeout.seconds,
        }
        if schema
        else None,
        ignore=list(parity.ignore),
        may_differ=list(parity.may_differ),
        on_difference=parity.on_difference,
        group=parity.group,
        quorum=1,
        people=[p.model_dump(mode="json") for p in people],
        timeout_s=parity.timeout.seconds,
        on_timeout=parity.on_timeout,
    )


def _follow_up(documents: Documents) -> dict[str, Any] | None:
    asks = documents.pipeline.follow_ups
    if asks is None:
        return None
    people = approvals.members(documents, asks.group)
    if not people:
        raise PlanError(f"nobody can be asked for follow-ups: group {asks.group} is empty; add people to it")
    return {
        "group": asks.group,
        "quorum": 1,
        "people": [p.model_dump(mode="json") for p in people],
        "after": [outcome.value for outcome in asks.after],
        "timeout_s": asks.timeout.seconds,
    }


def _environment(documents: Documents, env: Environment) -> EnvironmentPlan:
    return EnvironmentPlan(
        name=env.metadata.name,
        platform=env.platform,
        connection=env.connection,
        replicas=env.replicas,
        ephemeral=env.ephemeral,
        config=env.config,
        workload=_workload(documents, env),
        pool=env.pool,
        slots=env.slots if env.pool else 1,
        break_glass=glass.compiled(documents, env),
        exceptions=approvals.exceptions(documents, env),
        weighing=_weighing(env),
        slack_votes=env.slack_votes,
    )


def _workload(documents: Documents, env: Environment) -> Workload | None:
    if env.kubernetes is None:
        return None
    objects = documents.manifests[env.metadata.name]
    pods = next(o for o in objects if o["kind"] in SETS)
    return Workload(
        namespace=env.kubernetes.namespace,
        objects=objects,
        container=chosen_container(pods, env.kubernetes.container) or "",
        url=env.kubernetes.url,
        timeout_s=env.kubernetes.timeout.seconds,
        drain_s=env.kubernetes.drain.seconds,
    )


def _weighing(env: Environment) -> Weighing | None:
    rules = [r for g in env.gates if isinstance(g, ApprovalGate | RulesGate) for r in g.rules]
    # An owner who says how to look wants the authors known whom a pipeline could leave out.
    looks = "assess" in env.model_fields_set and any(r.self_approval == "refused" for r in rules)
    if not looks and all(rule.when is None for rule in rules):
        return None
    risk = RiskPolicy.model_validate(env.assess.risk.model_dump())
    wanted = env.assess.defects
    return Weighing(
        repositories=env.assess.repositories,
        migrations=env.assess.migrations,
        defects=wanted.source if wanted else None,
        risk=risk,
    )

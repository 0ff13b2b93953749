"""From a schedule as it is written to the train of a plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relman_plugins.errors import PlanError
from relman_plugins.plan.model import Step, StepKind
from relman_plugins.spec.models import ReleasePipeline, Schedule

if TYPE_CHECKING:
    from relman_plugins.plan.train import Source

_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


def compiled(pipeline: ReleasePipeline, steps: tuple[Step, ...]) -> dict[str, Any] | None:
    """Return the train of a pipeline as the plan carries it; None if nothing starts by itself.

    Raises:
        PlanError: it departs when windows open, and none of them is about the pipeline.
    """
    schedule = pipeline.schedule
    if schedule is None:
        return None
    # Only pipelines with a schedule pay for calendars.
    from relman_plugins.plan.train import Train

    departs, words = _departs(schedule, steps)
    train = Train(
        departs=departs,
        words=words,
        source=_source(schedule),
        cutoff_s=schedule.cutoff.seconds if schedule.cutoff else 0,
        announce_s=schedule.announce.seconds if schedule.announce else 0,
        slack_channel=(pipeline.notify.slack if pipeline.notify else None) or "",
    )
    return train.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def _departs(schedule: Schedule, steps: tuple[Step, ...]) -> tuple[dict[str, Any], str]:
    zone = schedule.zone or "UTC"
    if schedule.opening is not None:
        from relman_plugins.calendars.gate import Gate

        place = schedule.opening
        gate = next((s for s in steps if s.kind is StepKind.WINDOW and s.environment == place), None)
        if gate is None:
            raise PlanError(f"no window of {place} is about this pipeline, so none opens for its schedule")
        return {"gate": Gate.of(gate.args)}, f"whenever {schedule.opening} opens"
    if schedule.assets is not None:
        assets = list(dict.fromkeys(schedule.assets))
        return {"assets": assets}, f"with each event of {', '.join(assets)}"
    if schedule.cron is not None:
        return {"cron": schedule.cron, "zone": zone}, f"by cron {schedule.cron} ({zone})"
    days = sorted(set(schedule.days or ()), key=_DAYS.index)
    hour, minute = (schedule.at or "").split(":")
    cron = f"{int(minute)} {int(hour)} * * {','.join(str(_DAYS.index(day)) for day in days)}"
    names = ", ".join(day.capitalize() for day in days)
    return {"cron": cron, "zone": zone}, f"{names} at {schedule.at} ({zone})"


def _source(schedule: Schedule) -> Source | None:
    from relman_plugins.plan.train import Source

    version = schedule.version
    if version is None:
        assets = dict.fromkeys(schedule.assets or ())
        return Source(kind="event", place=", ".join(assets)) if assets else None
    given = {kind: getattr(version, kind) for kind in ("file", "git", "directory", "registry", "index")}
    kind = next(kind for kind, place in given.items() if place)
    usual = "v" if kind == "git" else ""
    return Source(
        kind=kind,
        place=given[kind],
        connection=version.connection or "",
        prefix=usual if version.prefix is None else version.prefix,
        range=version.range or "",
        prereleases=version.prereleases,
    )

"""The calendars of a stage: those of its environment, and its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from relman_plugins.errors import CalendarError, PlanError
from relman_plugins.spec.models import Calendar, Documents, Environment, Stage

if TYPE_CHECKING:
    from relman_plugins.calendars.model import Action
    from relman_plugins.calendars.model import Calendar as Compiled


def args(documents: Documents, stage: Stage, env: Environment) -> dict[str, Any]:
    """Return what a window gate has beyond weekly windows; nothing if no calendar is about this stage.

    Raises:
        PlanError: a calendar can't be followed.
    """
    about = documents.pipeline.metadata
    found = applying(
        (documents.calendars[name] for name in dict.fromkeys((*env.calendars, *stage.calendars))),
        documents.events,
        environment=env.metadata.name,
        pipeline=about.name,
        labels=about.labels,
    )
    if not found:
        return {}
    return {
        "calendars": [c.model_dump(mode="json", by_alias=True, exclude_defaults=True) for c in found],
        "actions": list(actions(documents, stage.environment)),
    }


def actions(documents: Documents, environment: str) -> tuple[Action, ...]:
    """Return what a release does when it changes an environment: a promotion is a deployment too."""
    first = environment == documents.pipeline.stages[0].environment
    return ("deploy",) if first else ("deploy", "promote")


def applying(
    calendars: Iterable[Calendar],
    events: Mapping[str, str],
    *,
    environment: str,
    pipeline: str,
    labels: Mapping[str, str],
) -> list[Compiled]:
    """Return the calendars with the windows that are about a pipeline's changes of an environment.

    Raises:
        PlanError: a calendar can't be followed.
    """
    found = []
    for calendar in calendars:
        from relman_plugins.spec.times import compiled  # most pipelines have none

        try:
            one = compiled(calendar, events, environment=environment, pipeline=pipeline, labels=labels)
        except CalendarError as error:
            raise PlanError(f"calendar {calendar.metadata.name}: {error}") from error
        found += [one] if one is not None else []
    return found

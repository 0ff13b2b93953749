"""From an environment's break-glass to the plan: groups become people."""

from __future__ import annotations

from relman_plugins.domain.identity import Person
from relman_plugins.errors import PlanError
from relman_plugins.plan.approvals import emails, members
from relman_plugins.plan.model import BreakGlassPlan
from relman_plugins.spec.models import Documents, Environment


def compiled(documents: Documents, env: Environment) -> BreakGlassPlan | None:
    """Return who may skip an environment's waivable rules; None when nobody may.

    Raises:
        PlanError: a group that it names is empty or names somebody who is not in the People document.
    """
    glass = env.break_glass
    if glass is None:
        return None
    people = _members(documents, env, glass.group)
    reviewers = _members(documents, env, glass.follow_up.approval)
    return BreakGlassPlan(
        group=glass.group,
        people=people,
        reviewing=glass.follow_up.approval,
        reviewers=reviewers,
        within_s=glass.follow_up.within.seconds,
        emails=emails(documents, reviewers),
        usernames=documents.people.usernames((*people, *reviewers)) if documents.people else {},
    )


def _members(documents: Documents, env: Environment, group: str) -> tuple[Person, ...]:
    where = f"break_glass of environment {env.metadata.name}"
    people = members(documents, group)
    if not people:
        raise PlanError(f"{where}: nobody is in group {group}; add people to it")
    return people

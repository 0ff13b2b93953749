"""From what documents say of telling to the routes of a plan: groups become people and addresses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from relman_plugins.domain.identity import Person
from relman_plugins.domain.severity import Occasion
from relman_plugins.errors import PlanError
from relman_plugins.plan.approvals import members
from relman_plugins.plan.model import Step, StepKind
from relman_plugins.plan.routing import CONNECTIONS, EMAIL, SLACK, TICKET, Route
from relman_plugins.spec.models import Documents, Notify
from relman_plugins.spec.models import Route as Written


def compiled(documents: Documents, steps: Iterable[Step]) -> tuple[Route, ...]:
    """Return the pipeline's routes, then those of its environments' owners, in the order of the stages.

    After them come those to the tickets that ``steps`` ask for, where these are told of their release.

    Raises:
        PlanError: A route names a group that is not there, or in which nobody has an address.
    """
    names = dict.fromkeys(stage.environment for stage in documents.pipeline.stages)
    owners = ((name, documents.environments[name].notify) for name in names)
    found = _routes(documents, documents.pipeline.notify, None)
    told = (route for name, notify in owners for route in _routes(documents, notify, name))
    return (*found, *told, *_audiences(documents, names), *_tickets(steps))


def _audiences(documents: Documents, names: Iterable[str]) -> Iterator[Route]:
    """Yield who hears it when somebody skips the rules of an environment in an emergency."""
    for name in names:
        glass = documents.environments[name].break_glass
        if glass is not None and glass.audience is not None:
            when = (Occasion.WAIVED,)
            yield Route(channel=SLACK, addresses=(glass.audience.slack,), when=when, environment=name)


def _tickets(steps: Iterable[Step]) -> Iterator[Route]:
    """Yield what tickets are told: what happens in their environment, and the release's end."""
    for step in steps:
        if step.kind is StepKind.TICKET and step.args["report"] != "nothing":
            yield Route(
                channel=f"{TICKET}{step.args['system']}",
                addresses=(step.id,),
                connection=step.args["connection"],
                when=(Occasion.CHANGED, Occasion.WITHDRAWN, Occasion.CLOSED),
                environment=step.environment,
            )


def _routes(documents: Documents, notify: Notify | None, environment: str | None) -> Iterator[Route]:
    if notify is None:
        return
    if notify.slack is not None and (environment is not None or notify.mention is not None):
        mention = _people(documents, notify.mention)
        yield Route(channel=SLACK, addresses=(notify.slack,), environment=environment, mention=mention)
    for route in notify.routes:
        channel, addresses = _place(documents, route)
        yield Route(
            channel=channel,
            addresses=addresses,
            # Named or not, it is the same place: what goes there goes there once.
            connection="" if route.connection in (None, CONNECTIONS.get(channel)) else route.connection,
            when=route.when,
            min_severity=route.min_severity,
            environment=environment,
            mention=_people(documents, route.mention),
        )


def _place(documents: Documents, route: Written) -> tuple[str, tuple[str, ...]]:
    if route.slack is not None:
        return SLACK, (route.slack,)
    if route.to is not None:
        return route.to, (route.address or "",)
    found = [a for r in route.email for a in ((r,) if "@" in r else _emails(documents, r))]
    return EMAIL, tuple(dict.fromkeys(found))


def _people(documents: Documents, group: str | None) -> tuple[Person, ...]:
    return members(documents, group) if group is not None else ()


def _emails(documents: Documents, group: str) -> tuple[str, ...]:
    try:
        found = documents.people.emails(group) if documents.people else ()
    except KeyError as missing:
        raise PlanError(f"the group {group} is to get email, but {missing} is not in people.yaml") from None
    if not found:
        raise PlanError(f"the group {group} is to get email, but nobody in it has an address in people.yaml")
    return found

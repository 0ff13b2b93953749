"""Who hears of an event: pure functions over the routes of a plan."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any, NamedTuple

from pydantic import Field

from relman_plugins.domain.base import Frozen
from relman_plugins.domain.event import Kind
from relman_plugins.domain.identity import Person
from relman_plugins.domain.severity import Occasion, Severity, is_occasion, severity_of

SLACK = "slack"
EMAIL = "email"
TICKET = "ticket:"
"""What channels to ticket systems begin with, as ``ticket:jira``: no notifier can have such a name."""

CONNECTIONS = {SLACK: "relman_slack", EMAIL: "smtp_default"}
"""Airflow connection id of a channel where a route names none; for email it is Airflow's own default."""


class Route(Frozen):
    """Some of what happens, to some addresses on one channel."""

    channel: str
    """``slack``, ``email``, ``ticket:<system>``, or the name of a notifier that the owner configured."""
    addresses: tuple[str, ...]
    """``#name`` or id on Slack; addresses of people; the step that asks for the ticket; for a notifier
    whatever it makes of it."""
    connection: str = ""
    """Airflow connection id; empty for the channel's default."""
    when: tuple[Occasion, ...] = ()
    """Any of these; without any, everything."""
    min_severity: Severity = Severity.INFO
    environment: str | None = None
    """Only what happens there: the route of an environment's owner."""
    mention: tuple[Person, ...] = Field(default=())
    """Who is mentioned there when a release failed."""

    def takes(self, kind: Kind, step: str | None, data: dict[str, Any]) -> bool:
        """Say whether the route wants an event, wherever it happens."""
        wanted = not self.when or any(is_occasion(o, kind, data) for o in self.when)
        return wanted and severity_of(kind, step, data).rank >= self.min_severity.rank


class Target(NamedTuple):
    """One place where an event is told."""

    channel: str
    connection: str
    address: str


def targets(
    routes: Iterable[Route],
    *,
    kind: Kind,
    step: str | None,
    environment: str | None,
    data: dict[str, Any],
    reached: Collection[str],
) -> Iterator[Target]:
    """Yield where an event goes, each place possibly more than once.

    An environment's routes get what happens there, and once the release has reached it (``reached``) also
    what concerns the release as a whole.
    """
    for route in routes:
        here = route.environment
        if here is not None and here != environment and (environment is not None or here not in reached):
            continue
        if route.takes(kind, step, data):
            yield from (Target(route.channel, route.connection, address) for address in route.addresses)


def mentioned(routes: Iterable[Route], target: Target) -> tuple[Person, ...]:
    """Return who is mentioned in one place when a release failed, each once."""
    people: dict[str, Person] = {}
    for route in routes:
        if (route.channel, route.connection) == target[:2] and target.address in route.addresses:
            people |= {p.id: p for p in route.mention}
    return tuple(people.values())

"""Break-glass: who may skip an environment's waivable rules in an emergency, and who approves afterwards."""

from __future__ import annotations

from relman_plugins.spec.models.base import Name, SpecModel
from relman_plugins.spec.models.duration import Duration
from relman_plugins.spec.models.notify import SlackChannel


class Audience(SpecModel):
    """Who else hears of it."""

    slack: SlackChannel
    """Slack channel, `#name` or its id."""


class AfterTheFact(SpecModel):
    """The approval that is given afterwards."""

    approval: Name
    """The group, from `people.yaml`, of which one must approve what was done. Not whoever did it."""
    within: Duration = Duration(86_400)
    """How long they have, from the moment at which the rules were skipped."""


class BreakGlass(SpecModel):
    """An emergency release that a member of `group` starts skips the rules that say `waivable: true`."""

    group: Name
    """The group, from `people.yaml`, whose members may do so."""
    audience: Audience | None = None
    """Who else is told, each time."""
    follow_up: AfterTheFact
    """Who must approve it afterwards."""

"""Who is told of releases."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from relman_plugins.domain.severity import Occasion, Severity
from relman_plugins.spec.models.base import ConnectionId, Line, Name, SpecModel

CHANNEL_PATTERN = r"^(#[a-z0-9][a-z0-9._-]{0,79}|[CGD][A-Z0-9]{6,20})$"
EMAIL_PATTERN = r"^[^@\s,;<>\"]{1,64}@[A-Za-z0-9.-]{1,120}$"
RECIPIENT_PATTERN = r"^([a-z][a-z0-9-]{0,62}|[^@\s,;<>\"]{1,64}@[A-Za-z0-9.-]{1,120})$"

SlackChannel = Annotated[str, StringConstraints(pattern=CHANNEL_PATTERN)]
Recipient = Annotated[str, StringConstraints(pattern=RECIPIENT_PATTERN)]
"""An email address, or a group of people."""


class Route(SpecModel):
    """Some of what happens, told in one more place: `slack`, `email` or `to`."""

    when: Annotated[tuple[Occasion, ...], Field(max_length=20)] = ()
    """What is told there; everything unless given. An outcome means the end of a release."""
    min_severity: Severity = Severity.INFO
    """Nothing below this is told there."""
    slack: SlackChannel | None = None
    """Slack channel, `#name` or its id."""
    email: Annotated[tuple[Recipient, ...], Field(max_length=50)] = ()
    """Addresses, or groups from `people.yaml`."""
    to: Name | None = None
    """Name of a notifier from the setting `[relman] notifiers`."""
    address: Line | None = None
    """What the notifier of `to` is told as the address; its own default unless given."""
    connection: ConnectionId | None = None
    """Airflow connection id, if it is another than `relman_slack` or `smtp_default`."""
    mention: Name | None = None
    """Group that is mentioned in Slack when a release failed or was rolled back."""


class Notify(SpecModel):
    """Who is told."""

    slack: SlackChannel | None = None
    """Slack channel that hears everything, `#name` or its id."""
    mention: Name | None = None
    """Group that is mentioned there when a release failed or was rolled back."""
    routes: Annotated[tuple[Route, ...], Field(max_length=20)] = ()
    """Who else is told of what. Those of policies are added, never removed."""

"""Gates: what must hold before a stage changes its environment."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Strict, Tag

from relman_plugins.spec.models.base import Name, SpecModel
from relman_plugins.spec.models.checklist import AnyOf
from relman_plugins.spec.models.duration import Duration


class ApprovalGate(SpecModel):
    """People say yes."""

    approval: Name
    """The group, from `people.yaml`, whose members may answer."""
    quorum: Annotated[int, Strict(), Field(ge=1, le=50)] = 1
    """How many different people must approve. One rejection ends the gate."""
    timeout: Duration = Duration(86_400)
    """How long the gate waits for answers."""
    remind: Duration | Literal["never"] = Field(
        default=Duration(4 * 3600), json_schema_extra={"default": "4h"}
    )
    """How often those who still can answer are reminded, or `never`."""
    on_timeout: Literal["reject", "expire"] = "reject"
    """What happens when time is up: the release is rejected, or it expires."""
    valid_for: Duration | None = None
    """How long an approval holds: at each raise of traffic after that, people are asked again."""


class ChangeTicketGate(SpecModel):
    """The release carries the ticket of a change."""

    change_ticket: Literal["required"]
    """`required`: a release starts only with the link to its ticket, in the form or with `--ticket`."""


def gate_kind(value: Any) -> str:
    """Return the name of the model that a gate is written for."""
    ticket = "change_ticket" in value if isinstance(value, dict) else isinstance(value, ChangeTicketGate)
    return ChangeTicketGate.__name__ if ticket else ApprovalGate.__name__


Gate = Annotated[
    Annotated[ApprovalGate, Tag("ApprovalGate")] | Annotated[ChangeTicketGate, Tag("ChangeTicketGate")],
    Discriminator(gate_kind),
    AnyOf(),
]
"""People who say yes, or a ticket that is there."""

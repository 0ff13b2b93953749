"""From the gates of a stage to the steps that look at its change ticket: the environment's first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from relman_plugins.domain.ticket import TicketFields, normal
from relman_plugins.plan.changes import Maker
from relman_plugins.plan.model import Step, StepKind
from relman_plugins.spec.models import ChangeTicketGate, Documents, Environment, JiraTicket, Stage

ANY = "any"
"""What a spec says for every configuration item."""


def steps(documents: Documents, stage: Stage, env: Environment, step: Maker) -> Iterator[Step]:
    """Yield the ticket steps of a stage, one for each gate that names a system."""
    service = documents.pipeline.metadata.name
    asked = [gate.change_ticket for gate in _gates(stage, env) if gate.change_ticket != "required"]
    for n, terms in enumerate(asked, start=1):
        item = terms.configuration_item or service
        yield step(
            "ticket" if n == 1 else f"ticket_{n}",
            StepKind.TICKET,
            system=terms.system,
            connection=terms.connection,
            states=list(dict.fromkeys(map(normal, terms.state))),
            approved=terms.approved,
            window=terms.window,
            item="" if item == ANY else item,
            fields=_fields(terms) if isinstance(terms, JiraTicket) else None,
            timeout_s=terms.timeout.seconds,
        )


def _fields(terms: JiraTicket) -> dict[str, Any]:
    """Return where in an issue stands what the gate asks; what it doesn't ask need not be there."""
    wanted = terms.fields
    return TicketFields(
        approval=wanted.approval if terms.approved else None,
        approvals=terms.approved,
        start=wanted.start if terms.window else None,
        end=wanted.end if terms.window else None,
        configuration_item=None if terms.configuration_item == ANY else wanted.configuration_item,
    ).model_dump(mode="json")


def are_required(stage: Stage, env: Environment) -> bool:
    """Say whether a release must be given a ticket when it starts."""
    return bool(_gates(stage, env))


def _gates(stage: Stage, env: Environment) -> list[ChangeTicketGate]:
    return [gate for gate in (*env.gates, *stage.gates) if isinstance(gate, ChangeTicketGate)]

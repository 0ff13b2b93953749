"""From the gates of a stage to the steps that look at its change ticket.

Those that create one come first, since the others look at it; else the environment's do.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from relman_plugins.domain.ticket import Ending, TicketFields, normal
from relman_plugins.plan.changes import Maker
from relman_plugins.plan.graph import Draft
from relman_plugins.plan.model import StepKind
from relman_plugins.spec.models import (
    ChangeTicketGate,
    Documents,
    Environment,
    JiraTicket,
    ServiceNowTicket,
    Stage,
)

ANY = "any"
"""What a spec says for every configuration item."""


def steps(documents: Documents, stage: Stage, env: Environment, step: Maker) -> Iterator[Draft]:
    """Yield the ticket steps of a stage, one for each gate that names a system."""
    service = documents.pipeline.metadata.name
    asked = [gate.change_ticket for gate in _gates(stage, env) if gate.change_ticket != "required"]
    asked.sort(key=lambda terms: terms.create is None)
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
            create=_creation(terms),
            report=terms.report,
            ending=Ending(**terms.ending.model_dump()).model_dump(mode="json"),
        )


def _creation(terms: ServiceNowTicket | JiraTicket) -> dict[str, Any] | None:
    """Return what a ticket is created with: kind, project, texts, and when it is planned for."""
    if terms.create is None:
        return None
    given = terms.create.model_dump(mode="json", exclude={"planned"})
    planned = terms.create.planned
    return {
        "kind": given.pop("type"),
        **given,
        "after_s": planned.after.seconds if planned and planned.after else 0,
        "for_s": planned.for_.seconds if planned else None,
    }


def _fields(terms: JiraTicket) -> dict[str, Any]:
    """Return where in an issue stands what the gate asks; what it doesn't ask need not be there."""
    wanted = terms.fields
    timed = terms.window or (terms.create is not None and terms.create.planned is not None)
    return TicketFields(
        approval=wanted.approval if terms.approved else None,
        approvals=terms.approved,
        start=wanted.start if timed else None,
        end=wanted.end if timed else None,
        configuration_item=None if terms.configuration_item == ANY else wanted.configuration_item,
    ).model_dump(mode="json")


def are_required(documents: Documents, stage: Stage, env: Environment) -> bool:
    """Say whether a release must be given a ticket when it starts: none that came before creates one."""
    here = _gates(stage, env)
    if not here:
        return False
    before = documents.pipeline.stages[: documents.pipeline.stages.index(stage) + 1]
    environments = (documents.environments[one.environment] for one in before)
    asked = [g for one, e in zip(before, environments, strict=True) for g in _gates(one, e)]
    created = any(g.change_ticket != "required" and g.change_ticket.create for g in asked)
    return any(g.change_ticket == "required" or not created for g in here)


def _gates(stage: Stage, env: Environment) -> list[ChangeTicketGate]:
    return [gate for gate in (*env.gates, *stage.gates) if isinstance(gate, ChangeTicketGate)]

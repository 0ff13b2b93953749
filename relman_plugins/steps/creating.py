"""Creating the change ticket of a release that brings none: once, whatever is lost on the way."""

from __future__ import annotations

import hashlib
import uuid
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from relman_plugins import settings
from relman_plugins.domain.event import Kind
from relman_plugins.domain.ticket import Draft, demands_of
from relman_plugins.domain.ticket_number import SYSTEMS
from relman_plugins.errors import ClientUnavailable
from relman_plugins.plan.model import Shape, Step, StepKind

if TYPE_CHECKING:
    from relman_plugins.steps.run import StepRun


def create(run: StepRun, gate: Step) -> str:
    """Create the release's ticket, or find the one that an earlier try created; return its number.

    Before a system is asked to create one, that is recorded. A try that finds such a record looks for the
    ticket by its correlation first, and creates another only when the first request is surely over: its
    answer may have been lost, and a search may find a new ticket only some time later.

    Raises:
        ClientError: It could not be created yet, or it is not known yet whether it was.
    """
    from relman_plugins.hooks.tickets import tickets

    args, demands = gate.args, demands_of(gate.args)
    asked = [e for e in run.events(Kind.TICKET_ASKED) if e.data["gate"] == gate.id]
    now, about = run.ledger.now(), correlation_of(run)
    with tickets(demands.system, args["connection"], demands.fields) as system:
        number = system.created(about) if asked else None
        if number is None:
            if asked and (left := system.settles_s - (now - asked[-1].at).total_seconds()) > 0:
                raise ClientUnavailable(
                    f"it is not known yet whether {SYSTEMS[demands.system]} created the ticket that it was "
                    "asked for; relman looks for it again before it asks for another",
                    retry_after=left,
                )
            _intend(run, gate, about, len(asked) + 1)
            number = system.create(_draft(run, gate, about, now))
    data = {"gate": gate.id, "system": demands.system, "number": number, "correlation": about}
    run.record(Kind.TICKET_CREATED, f"created:{gate.id}", data)
    return number


def correlation_of(run: StepRun) -> str:
    """Return what the release's ticket is found by: the same in every try, and no other release's.

    Two installations of relman may share one ticket system and have releases of the same name.
    """
    opened = f"{run.release_id}|{run.release.run_id}|{run.release.opened_at.isoformat()}"
    return f"relman-{hashlib.sha256(opened.encode()).hexdigest()[:32]}"


def _intend(run: StepRun, gate: Step, about: str, number: int) -> None:
    """Record that a ticket is about to be asked for; raise ClientUnavailable when another try just has."""
    mine = uuid.uuid4().hex
    data = {"gate": gate.id, "system": gate.args["system"], "correlation": about, "n": number, "by": mine}
    run.record(Kind.TICKET_ASKED, f"asked:{gate.id}:{number}", data)
    asked = [e.data for e in run.events(Kind.TICKET_ASKED) if e.data["gate"] == gate.id]
    if asked[-1]["by"] != mine:
        raise ClientUnavailable("another try of this step is asking for the ticket; it is looked for again")


def _draft(run: StepRun, gate: Step, about: str, now: datetime) -> Draft:
    options, terms = run.plan.options, gate.args["create"]
    starts = now + timedelta(seconds=terms["after_s"]) if terms["for_s"] else None
    emergency = options.emergency and gate.args["system"] == "servicenow"
    return Draft(
        correlation=about,
        kind="emergency" if emergency else terms["kind"],
        project=terms.get("project", ""),
        summary=f"Release {run.shape.pipeline} {options.version} to {gate.environment}",
        description=_description(run),
        item=gate.args["item"],
        starts=starts,
        ends=starts + timedelta(seconds=terms["for_s"]) if starts else None,
        fields=terms["fields"],
        options=terms.get("options", {}),
        decisions=_decisions(run.shape),
    )


def _decisions(shape: Shape) -> tuple[str, ...]:
    """Return where the gates of a release look for what was decided about its ticket."""
    asked = (s.args.get("fields") or {} for s in shape.steps if s.kind is StepKind.TICKET)
    return tuple(dict.fromkeys(f["approval"] for f in asked if f.get("approval")))


def _description(run: StepRun) -> str:
    options = run.plan.options
    starter = run.release.started_by.name or run.release.started_by.id
    said: list[Any] = [
        f"relman releases {run.shape.pipeline} {options.version}: {run.release_id}, started by {starter}.",
        options.emergency and f"EMERGENCY: {options.emergency_reason}",
        options.changes,
        *(e.data["headline"] for e in run.events(Kind.CHANGE_ASSESSED)[-1:]),
        f"{settings.base_url()}/dags/{run.release.dag_id}/runs/{quote(run.release.run_id)}",
    ]
    return "\n\n".join(str(part).strip() for part in said if part)

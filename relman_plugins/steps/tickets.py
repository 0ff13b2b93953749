"""Looking at a release's change ticket, waiting until it will do, and what people read of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NoReturn

from relman_plugins import settings
from relman_plugins.domain.event import Kind
from relman_plugins.domain.ticket import Lack, Ticket, demands_of, lacks, summary, told
from relman_plugins.domain.ticket_number import SYSTEMS
from relman_plugins.errors import ClientError, ClientRejected, ClientUnavailable, recordable
from relman_plugins.notifications.text import nobody
from relman_plugins.plan.model import Step, StepKind
from relman_plugins.plan.words import duration
from relman_plugins.steps.base import StepFailed
from relman_plugins.triggers.base import deferral
from relman_plugins.triggers.ticket import PAUSE_S, REJECTED_PAUSE_S, TicketTrigger
from relman_plugins.triggers.waits import SoakTrigger

if TYPE_CHECKING:
    from relman_plugins.steps.base import ReleaseStepOperator
    from relman_plugins.steps.run import StepRun


def number_of(run: StepRun, gate: Step) -> str:
    """Return the number of the release's ticket at a ticket step; empty when it has none there."""
    from relman_plugins.ledger.api import ticket_number

    return ticket_number(run.release, gate, run.events(Kind.TICKET_CREATED))


def look(run: StepRun, gate: Step) -> tuple[Ticket | None, tuple[Lack, ...]]:
    """Ask a ticket's system, record what it says, and return it with what the ticket lacks now.

    Raises:
        StepFailed: The release has no ticket.
        ClientError: The system can't be asked, or can't be understood.
    """
    from relman_plugins.hooks.tickets import tickets

    args, number = gate.args, number_of(run, gate)
    if not number:
        raise StepFailed(f"the release carries no ticket of {SYSTEMS[args['system']]}; start it with one")
    demands = demands_of(args)
    with tickets(args["system"], args["connection"], demands.fields) as system:
        ticket = system.find(number)
    found = lacks(demands, number, ticket, run.ledger.now(), begun=_has_begun(run, gate))
    data = {
        "gate": gate.id,
        "system": args["system"],
        "number": number,
        "ticket": ticket.model_dump(mode="json") if ticket else None,
        "lacks": [lack.text for lack in found],
        "waits": told(found),
    }
    count = len(run.mine(Kind.TICKET_CHECKED))
    run.record(Kind.TICKET_CHECKED, f"{run.attempt}:looked:{gate.id}:{count + 1}", data)
    return ticket, found


def look_before(task: ReleaseStepOperator, run: StepRun, gate: Step) -> None:
    """Look at a ticket before a step acts; wait while its system can't be asked.

    Nothing goes forward on a guess, and a change that has begun is not taken back for one.
    """
    try:
        look(run, gate)
    except ClientError as error:
        wait_for_ticket(task, run, gate, error)


def wait_for_ticket(
    task: ReleaseStepOperator, run: StepRun, gate: Step, why: ClientError | tuple[Lack, ...]
) -> NoReturn:
    """Wait until a ticket's system says something else than ``why``; then the step begins anew.

    Before the change has begun for as long as the gate says, from the beginning of this wait, or from the
    last resumption of a held release. A look at which nothing was lacking but the planned time ends a wait, a
    new try of the task begins another. After the beginning without an end: a ticket system that is down moves
    no traffic, neither forward nor back.

    Raises:
        StepFailed: The time is over.
    """
    said = _told_of(why) if isinstance(why, ClientError) else told(why)
    args, begun, now = gate.args, _has_begun(run, gate), run.ledger.now()
    ever = [e for e in run.mine(Kind.TICKET_WAITED) if e.data["gate"] == gate.id]
    seen = [e for e in run.mine(Kind.TICKET_CHECKED) if e.data["gate"] == gate.id]
    over = max((e.id for e in seen if not e.data.get("waits", e.data["lacks"])), default=0)
    waits = [e for e in ever if e.id > over and e.data.get("attempt") == run.attempt]
    resumed = [e.at for e in run.events(Kind.RELEASE_RESUMED) if waits and e.id > waits[0].id]
    since = (resumed or [datetime.fromisoformat(e.data["since"]) for e in waits[:1]] or [now])[-1]
    until = None if begun else since + timedelta(seconds=args["timeout_s"])
    if until is not None and now >= until:
        raise StepFailed(f"waited {duration(args['timeout_s'])} for the ticket: {said}")
    if not waits or waits[-1].data["why"] != said:
        data = {
            "gate": gate.id,
            "system": args["system"],
            "number": number_of(run, gate),
            "why": said,
            "message": f"waiting for the ticket: {said}",
            "attempt": run.attempt,
            "since": since.isoformat(),
            "gives_up_at": until.isoformat() if until else None,
        }
        run.record(Kind.TICKET_WAITED, f"{run.attempt}:waited:{gate.id}:{len(ever) + 1}", data)
    task.log.info("waiting for the ticket: %s", said)
    pause = REJECTED_PAUSE_S if isinstance(why, ClientRejected) else PAUSE_S
    if isinstance(why, ClientUnavailable) and why.retry_after:
        pause = max(pause, min(why.retry_after, REJECTED_PAUSE_S))
    more, number = deferral(settings.minimum_deferral()), number_of(run, gate)
    if not number:
        # Nothing to look at yet: the step tries again to create it.
        again = run.ledger.now() + timedelta(seconds=pause)
        task.defer(
            trigger=SoakTrigger(release_id=run.release_id, until=again.isoformat(), **more),
            method_name="resume",
        )
    task.defer(
        trigger=TicketTrigger(
            release_id=run.release_id,
            connection=args["connection"],
            number=number,
            demands=demands_of(args).model_dump(mode="json"),
            begun=begun,
            seen="" if isinstance(why, ClientError) else said,
            expires_at=until.isoformat() if until else "",
            pause_s=pause,
            **more,
        ),
        method_name="resume",
    )


def _told_of(error: ClientError) -> str:
    """Return what everybody may read of an error: a server may repeat a token or an address."""
    from airflow.sdk.log import redact  # type: ignore[attr-defined]

    return nobody(str(redact(recordable(error))))


def ticket_lines(run: StepRun, escape: Callable[[str], str]) -> str:
    """Return as Markdown how the tickets of a step's stage stood when they were looked at last."""
    from relman_plugins.ledger.api import last_seen, ticket_in

    events, lines = run.events(Kind.TICKET_CHECKED), []
    for gate in (s for s in run.shape.steps if s.stage == run.step.stage and s.kind is StepKind.TICKET):
        seen = last_seen(events, gate.id)
        ticket = ticket_in(seen) if seen else None
        if seen is None or ticket is None:
            continue
        where = f"{SYSTEMS[gate.args['system']]}: {escape(summary(ticket))}"
        lines.append(f"- {where}, as of {seen.at:%Y-%m-%d %H:%M} UTC. {escape(ticket.url)}")
        lines += [f"- {escape(text)}" for text in seen.data["lacks"]]
    if not lines:
        return ""
    listed = "\n".join(lines)
    return f"**Change ticket**, looked at again before anything changes\n\n{listed}\n\n"


def _has_begun(run: StepRun, gate: Step) -> bool:
    from relman_plugins.ledger.api import ticket_has_begun

    return ticket_has_begun(run.release, gate, run.events(Kind.CHANGE_STARTED))


def final(found: tuple[Lack, ...]) -> str:
    """Return in words what no waiting will change; empty when there is no such thing."""
    return "; ".join(lack.text for lack in found if lack.final)

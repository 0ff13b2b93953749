"""Tells a change ticket what becomes of its release: notes, and at the end that it is over.

A ticket is told each thing once, since both systems can be asked for the notes that are there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relman_plugins.domain.event import Kind
from relman_plugins.domain.status import Outcome
from relman_plugins.domain.ticket import Ending, demands_of
from relman_plugins.errors import ClientRejected, ClientUnavailable
from relman_plugins.notifications.letter import Letter
from relman_plugins.plan.routing import TICKET

if TYPE_CHECKING:
    from relman_plugins.ledger.api import Ledger, ReleaseRecord
    from relman_plugins.plan.model import Step

_REPAIRABLE = frozenset({401, 403, 404})


def is_ticket_channel(channel: str) -> bool:
    """Say whether what goes through a channel are notes in tickets."""
    return channel.startswith(TICKET)


def send_to_ticket(ledger: Ledger, letter: Letter) -> str:
    """Bring what a letter says to the ticket of its release; return the ticket's number, if there is one.

    The letter's address is the ticket's step. Idempotent.

    Raises:
        ClientUnavailable: Trying again can help, also because somebody can repair the connection.
        ClientRejected: The ticket does not take it.
    """
    from relman_plugins.ledger.api import ticket_number

    release = ledger.release(letter.release)
    if release is None or release.plan.options.dry_run:
        return ""
    gate = release.plan.shape.step(letter.address)
    number = ticket_number(release, gate, ledger.events(letter.release, kinds=[Kind.TICKET_CREATED]))
    if not number:
        return ""
    try:
        _tell(ledger, release, gate, number, letter)
    except ClientRejected as error:
        if error.status in _REPAIRABLE or (error.status or 0) // 100 == 3:
            # A password that has run out must not cost the record of a change.
            raise ClientUnavailable(str(error)) from error
        raise
    return number


def _tell(ledger: Ledger, release: ReleaseRecord, gate: Step, number: str, letter: Letter) -> None:
    from relman_plugins.hooks.tickets import tickets
    from relman_plugins.ledger.api import ticket_has_begun

    args, demands, ending = gate.args, demands_of(gate.args), Ending.model_validate(gate.args["ending"])
    text = f"relman: {letter.subject}" + (f"\n\n{letter.url}" if letter.url else "")
    with tickets(demands.system, args["connection"], demands.fields) as system:
        system.note(number, letter.key, text)
        if args["report"] != "close":
            return
        if letter.event == Kind.CHANGE_FINISHED:
            system.begin(number, demands.states, ending)
        elif letter.event == Kind.RELEASE_CLOSED:
            changes = ledger.events(letter.release, kinds=[Kind.CHANGE_STARTED])
            created = ledger.events(letter.release, kinds=[Kind.TICKET_CREATED])
            if ticket_has_begun(release, gate, changes):
                good = ledger.status(letter.release).outcome is Outcome.SUCCEEDED
                system.end(number, ending, good=good, text=text)
            elif any(e.data["number"] == number for e in created):
                system.end(number, ending, good=None, text=text)

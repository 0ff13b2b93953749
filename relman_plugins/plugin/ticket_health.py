"""Whether the ticket systems answer that releases ask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relman_plugins.domain.ticket_number import SYSTEMS
from relman_plugins.hooks.tickets import tickets
from relman_plugins.plan.model import StepKind
from relman_plugins.plugin.outside import RELEASES, Outside

if TYPE_CHECKING:
    from relman_plugins.ledger.api import Ledger


def ticket_systems(ledger: Ledger) -> list[dict[str, Any]]:
    """Return each system and connection that the newest releases ask, whether it answers, and what is wrong.

    Raises:
        LedgerError: The ledger can't be read.
    """
    steps = (s for release in ledger.releases(limit=RELEASES) for s in release.plan.shape.steps)
    wanted = ((s.args["system"], s.args["connection"]) for s in steps if s.kind is StepKind.TICKET)
    return [
        {"system": SYSTEMS[system], "connection": connection, **health._asdict()}
        for (system, connection), health in _systems.of(wanted)
    ]


def _ask(system: str, connection: str) -> None:
    with tickets(system, connection) as server:
        server.check()


_systems = Outside("tickets", _ask)

"""Whether the ticket systems answer that releases ask."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any

from relman_plugins.domain.ticket import SYSTEMS
from relman_plugins.errors import recordable
from relman_plugins.hooks.tickets import tickets
from relman_plugins.notifications.text import nobody
from relman_plugins.plan.model import StepKind

if TYPE_CHECKING:
    from relman_plugins.ledger.api import Ledger

RELEASES = 20
"""How many releases, the newest first, say which systems are asked."""

PATIENCE_S = 8.0
"""How long all of them together have to answer."""

KEPT_S = 60.0
"""How long an answer is kept: nobody can make this server ask another one as often as they like."""

_threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="relman-tickets")
_known: dict[tuple[str, str], tuple[float, bool, str]] = {}


def ticket_systems(ledger: Ledger) -> list[dict[str, Any]]:
    """Return each system and connection that the newest releases ask, whether it answers, and what is wrong.

    Raises:
        LedgerError: The ledger can't be read.
    """
    steps = (s for release in ledger.releases(limit=RELEASES) for s in release.plan.shape.steps)
    wanted = sorted({(s.args["system"], s.args["connection"]) for s in steps if s.kind is StepKind.TICKET})
    old = time.monotonic() - KEPT_S
    asked = [_threads.submit(_ask, *one) for one in wanted if one not in _known or _known[one][0] < old]
    wait(asked, timeout=PATIENCE_S)
    found = []
    for system, connection in wanted:
        at, ok, message = _known.get((system, connection), (0.0, False, ""))
        if at < old:
            ok, message = False, f"no answer within {PATIENCE_S:g} s"
        found.append({"system": SYSTEMS[system], "connection": connection, "ok": ok, "message": message})
    return found


def _ask(system: str, connection: str) -> None:
    from airflow.sdk.log import redact  # type: ignore[attr-defined]

    try:
        with tickets(system, connection) as server:
            server.check()
    except Exception as error:
        ok, message = False, nobody(str(redact(recordable(error))))
    else:
        ok, message = True, "answers"
    _known[system, connection] = (time.monotonic(), ok, message)

"""Whether the ticket systems answer that releases ask."""

from __future__ import annotations

import math
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any

from relman_plugins.domain.ticket_number import SYSTEMS
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

KEPT_S = {True: 60.0, False: 300.0}
"""How long a yes and a no are kept: nobody can make this server ask another one as often as they like, and a
wrong password that is sent often locks its account."""

_threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="relman-tickets")
_known: dict[tuple[str, str], tuple[float, bool, str]] = {}
_asking: dict[tuple[str, str], Future[None]] = {}


def ticket_systems(ledger: Ledger) -> list[dict[str, Any]]:
    """Return each system and connection that the newest releases ask, whether it answers, and what is wrong.

    Raises:
        LedgerError: The ledger can't be read.
    """
    steps = (s for release in ledger.releases(limit=RELEASES) for s in release.plan.shape.steps)
    wanted = sorted({(s.args["system"], s.args["connection"]) for s in steps if s.kind is StepKind.TICKET})
    now = time.monotonic()
    for one in wanted:
        # One that hangs is not asked a second time meanwhile.
        if not _is_fresh(one, now) and (one not in _asking or _asking[one].done()):
            _asking[one] = _threads.submit(_ask, *one)
    wait([_asking[one] for one in wanted if not _is_fresh(one, now)], timeout=PATIENCE_S)
    found = []
    for system, connection in wanted:
        ok, message = False, f"no answer within {PATIENCE_S:g} s"
        if _is_fresh((system, connection), now):
            _, ok, message = _known[system, connection]
        found.append({"system": SYSTEMS[system], "connection": connection, "ok": ok, "message": message})
    return found


def _is_fresh(one: tuple[str, str], now: float) -> bool:
    at, ok, _ = _known.get(one, (-math.inf, True, ""))
    return at >= now - KEPT_S[ok]


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

"""What ``relman doctor`` asks the server."""

from __future__ import annotations

import importlib.util
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request

from relman_plugins import __version__, settings
from relman_plugins.clients.reports.source import LIBRARIES
from relman_plugins.errors import LedgerError
from relman_plugins.factory.cache import trouble
from relman_plugins.hooks.slack import signing_secret
from relman_plugins.notifications.limits import GIVE_UP_AGE
from relman_plugins.notifications.text import nobody
from relman_plugins.plan.model import StepKind
from relman_plugins.plugin import access
from relman_plugins.plugin.bundle_health import bundle
from relman_plugins.plugin.deps import ledger
from relman_plugins.plugin.lookup import can_look_up
from relman_plugins.plugin.native import MARK
from relman_plugins.plugin.slack_app import COMMANDS_PATH, PATH
from relman_plugins.plugin.source_health import sources
from relman_plugins.plugin.ticket_health import ticket_systems
from relman_plugins.plugin.waits_health import waits

if TYPE_CHECKING:
    from relman_plugins.ledger.outbox import Backlog

router = APIRouter()

EXTRAS = {"reports": tuple(LIBRARIES.values()), "git": ("dulwich",)}
"""What the extras of the installation bring, by the modules that are imported."""

LOOKED_AT = 20
"""So many of the latest releases say what is needed."""


@router.get("/health")
def health(request: Request, user: access.Reader) -> dict[str, Any]:
    """Return the state of relman's parts in this API server. 200 also when a part is broken."""
    return {
        "version": __version__,
        "user": {"id": access.user_id(user), "name": str(user.get_name() or "")},
        "all_admins": access.all_admins(),
        "middleware": {"active": bool(getattr(request.state, MARK, False))},
        "slack": _slack(),
        **_ledger(),
        "rehearsal_clock": str(settings.rehearsal_clock() or ""),
        "extras": _extras(),
        "spec_cache": _spec_cache(),
        "waits": waits(),
        "bundle": bundle(),
    }


def _slack() -> dict[str, Any]:
    """Return whether people can act from Slack, and what its app's configuration asks for."""
    return {
        "votes": bool(signing_secret()),
        "looks_up": can_look_up(),
        "request_url": f"{settings.base_url()}{PATH}",
        "command_url": f"{settings.base_url()}{COMMANDS_PATH}",
    }


def _extras() -> list[dict[str, Any]]:
    """Return which extras are not whole beside this process, and whether recent releases need them."""
    needed = _needed()
    return [
        {"extra": extra, "missing": missing, "needed": bool(needed & set(modules))}
        for extra, modules in EXTRAS.items()
        if (missing := [m for m in modules if importlib.util.find_spec(m) is None])
    ]


def _needed() -> set[str]:
    """Return the modules that the latest releases' plans need."""
    try:
        steps = [s for record in ledger().releases(limit=LOOKED_AT) for s in record.plan.shape.steps]
    except LedgerError:
        return set()
    formats = {str(report["format"]) for s in steps for report in s.args.get("reports") or ()}
    found = {module for form, module in LIBRARIES.items() if form in formats}
    return found | (set(EXTRAS["git"]) if any(s.kind is StepKind.ASSESS for s in steps) else set())


def _spec_cache() -> dict[str, Any]:
    """Return whether what specs are compiled to is kept on this machine, and why if not."""
    folder = settings.compiled_folder()
    return {"on": folder is not None, "trouble": trouble(folder) if folder is not None else ""}


def _ledger() -> dict[str, Any]:
    try:
        store = ledger()
        store.check()
        backlog = store.outbox.backlog(since=datetime.now(UTC) - GIVE_UP_AGE)
        systems, asked = ticket_systems(store), sources(store)
    except LedgerError as error:
        return {
            "ledger": {"ok": False, "message": str(error)},
            "outbox": {"pending": None, "given_up": None, "channels": []},
            "tickets": [],
            "sources": [],
        }
    waiting = {
        "pending": sum(b.pending for b in backlog),
        "given_up": sum(b.given_up for b in backlog),
        "channels": [_channel(b) for b in backlog],
    }
    return {
        "ledger": {"ok": True, "message": "reachable, schema current"},
        "outbox": waiting,
        "tickets": systems,
        "sources": asked,
    }


def _channel(backlog: Backlog) -> dict[str, Any]:
    """Return what waits on a channel, as everybody who is signed in may read it."""
    found = backlog.model_dump(mode="json")
    # What an older version recorded may name those whom a mail server refused.
    return found | {key: nobody(found[key]) for key in ("error", "given_up_error") if found[key]}

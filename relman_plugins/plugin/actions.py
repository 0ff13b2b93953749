"""Routes by which a person stops, pauses or resumes a release.

They record the wish; the steps of the release obey it. Repeating one is harmless.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, HTTPException, Request

from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.plugin import access
from relman_plugins.plugin.deps import ledger, release_or_404
from relman_plugins.plugin.models import AbortBody, ReasonBody

if TYPE_CHECKING:
    from relman_plugins.ledger.api import Ledger

router = APIRouter()


@router.post("/releases/{release_id}/abort")
def abort(release_id: str, body: AbortBody, request: Request, user: access.Writer) -> dict[str, Any]:
    """Ask for the release to be aborted: traffic back to the stable version, then closed as aborted."""
    store, _ = _open_release(release_id, user)
    key = f"{release_id}:abort_requested"
    recorded = _record(store, release_id, Kind.ABORT_REQUESTED, key, body.reason, request, user)
    message = "abort requested" if recorded else "an abort had been requested before"
    return {"release_id": release_id, "recorded": recorded, "message": message}


@router.post("/releases/{release_id}/hold")
def hold(release_id: str, body: ReasonBody, request: Request, user: access.Writer) -> dict[str, Any]:
    """Hold the release: no forward step starts until somebody resumes it. Rollback and abort go on.

    So do time limits: the answer says until when people can still answer.
    """
    store, last = _open_release(release_id, user)
    if last and last[0] is Kind.RELEASE_HELD:
        message = f"the release was held before{_go_on(store, release_id)}"
        return {"release_id": release_id, "recorded": False, "message": message}
    key = f"{release_id}:held:{last[1] if last else 0}"
    recorded = _record(store, release_id, Kind.RELEASE_HELD, key, body.reason, request, user)
    message = f"held: no forward step starts{_go_on(store, release_id)}"
    return {"release_id": release_id, "recorded": recorded, "message": message}


@router.post("/releases/{release_id}/resume")
def resume(release_id: str, body: ReasonBody, request: Request, user: access.Writer) -> dict[str, Any]:
    """Let a held release go on. An abort can't be taken back."""
    store, last = _open_release(release_id, user)
    if store.events(release_id, kinds=[Kind.ABORT_REQUESTED]):
        raise HTTPException(409, f"release {release_id} is being aborted; start a new release instead")
    if last is None or last[0] is not Kind.RELEASE_HELD:
        raise HTTPException(409, f"release {release_id} is not held, so there is nothing to resume")
    key = f"{release_id}:resumed:{last[1]}"
    recorded = _record(store, release_id, Kind.RELEASE_RESUMED, key, body.reason, request, user)
    return {"release_id": release_id, "recorded": recorded, "message": "resumed"}


def _open_release(release_id: str, user: Any) -> tuple[Ledger, tuple[Kind, int] | None]:
    """Return the ledger and the last hold or resume (kind, event id) of a release that may be changed."""
    store = ledger()
    record = release_or_404(store, release_id, user)
    access.require(user, record.dag_id)
    events = store.events(release_id, kinds=[Kind.RELEASE_CLOSED, Kind.RELEASE_HELD, Kind.RELEASE_RESUMED])
    closed = next((event for event in events if event.kind is Kind.RELEASE_CLOSED), None)
    if closed:
        outcome = closed.data.get("outcome", "closed")
        raise HTTPException(
            409, f"release {release_id} has ended ({outcome}); nothing can change it any more"
        )
    return store, (events[-1].kind, events[-1].id) if events else None


def _go_on(store: Ledger, release_id: str) -> str:
    """Say which questions go on during a hold: they can be answered, so their time is not stopped."""
    asked = [gate for gate in store.votes.gates(release_id) if gate.state == "open"]
    told = [f"{gate.gate} can be answered until {gate.expires_at:%Y-%m-%d %H:%M} UTC" for gate in asked]
    return f"; meanwhile {', '.join(told)}" if told else ""


def _record(
    store: Ledger, release_id: str, kind: Kind, key: str, reason: str, request: Request, user: Any
) -> bool:
    event = NewEvent(
        kind=kind, key=key, actor=access.actor(user, access.via_of(request)), data={"reason": reason}
    )
    return store.record(release_id, event) is not None

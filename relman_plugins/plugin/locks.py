"""Routes of the locks: who holds which environment, and taking a lock away from its holder."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, HTTPException, Request

from relman_plugins.plugin import access, views
from relman_plugins.plugin.deps import ledger
from relman_plugins.plugin.models import BreakBody

router = APIRouter()


@router.get("/locks")
def list_locks(user: access.Reader) -> dict[str, Any]:
    """Return the locks held by releases that the caller may see, by environment and service."""
    store = ledger()
    held = [(lock, record) for lock in store.locks.held() if (record := store.release(lock.release_id))]
    allowed = {dag_id: access.may(user, "GET", dag_id) for dag_id in {record.dag_id for _, record in held}}
    return {"locks": [views.lock(lock) for lock, record in held if allowed[record.dag_id]]}


@router.post("/locks/{environment}/{service}/break")
def break_lock(
    environment: str, service: str, body: BreakBody, request: Request, user: access.Writer
) -> dict[str, Any]:
    """Take the lock away from the release that holds it. 404 when nobody does, 409 when it changed hands.

    The holder goes no further there. What it had moved there, its own rollback takes back, unless somebody
    else has changed the environment by then. A change under way is fenced off once the next holder acts.
    """
    if access.all_admins():
        raise HTTPException(403, access.ALL_ADMINS)
    store = ledger()
    held = next((x for x in store.locks.held() if (x.environment, x.service) == (environment, service)), None)
    record = store.release(held.release_id) if held else None
    if held is None or record is None or not access.may(user, "GET", record.dag_id):
        raise HTTPException(
            404, f"nobody holds the lock of {service!r} in {environment!r}; see `relman locks`"
        )
    access.require(user, record.dag_id)
    if body.token != held.token:
        # Also if the lock has that token by now: then another release holds it than the one looked at here.
        told = f"changed hands: {held.release_id} holds it with token {held.token}, not {body.token}"
        raise HTTPException(
            409,
            f"the lock of {service!r} in {environment!r} {told}; look again with `relman locks`, then decide",
        )
    broken = store.locks.break_lock(
        environment,
        service,
        actor=access.actor(user, access.via_of(request)),
        reason=body.reason,
        token=held.token,
    )
    if broken is None:
        raise HTTPException(
            404, f"{held.release_id} gave the lock of {service!r} in {environment!r} back meanwhile"
        )
    message = (
        f"broken: {broken.release_id} goes no further in {environment}; a step under way may still end, and "
        f"what the release moved there its rollback takes back. `relman status {broken.release_id}` shows it"
    )
    return {"broken": views.lock(broken), "message": message}

"""Routes by which people stop the line: freeze, thaw, and what is frozen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, HTTPException, Request

from relman_plugins.domain.identity import Actor, dag_id_of
from relman_plugins.plugin import access
from relman_plugins.plugin.deps import ledger
from relman_plugins.plugin.models import FreezeBody, ThawBody

if TYPE_CHECKING:
    from relman_plugins.ledger.api import Freeze, Ledger

router = APIRouter()

MAINTENANCE = "relman_maintenance"


@router.get("/freezes")
def list_freezes(user: access.Reader) -> dict[str, Any]:
    """Return what is frozen, the oldest freeze first; of other people's pipelines nothing."""
    return {"freezes": [f.model_dump(mode="json") for f in visible(ledger(), user)]}


@router.post("/freezes", status_code=201)
def freeze(body: FreezeBody, request: Request, user: access.Writer) -> dict[str, Any]:
    """Freeze an environment, pipelines, or everything: no step begins to change it. The way back is open."""
    return stop(ledger(), user, body, access.actor(user, access.via_of(request)))


@router.post("/freezes/thaw")
def thaw(body: ThawBody, request: Request, user: access.Writer) -> dict[str, Any]:
    """Lift the freeze of just this scope. 404 when it is not frozen."""
    return start(ledger(), user, body, access.actor(user, access.via_of(request)))


def visible(store: Ledger, user: Any) -> list[Freeze]:
    """Return what is frozen of what a user may see, the oldest freeze first."""
    found = store.freezes.on()
    mine = {f.pipeline for f in found if not f.pipeline or access.may(user, "GET", dag_id_of(f.pipeline))}
    return [f for f in found if f.pipeline in mine]


def stop(store: Ledger, user: Any, body: FreezeBody, actor: Actor) -> dict[str, Any]:
    """Freeze, and return the freeze with what to say of it; every way in ends here.

    Raises:
        HTTPException: 403 unless the user may change every release that it is about.
        Refused: The ledger does not take this freeze.
    """
    _require(store, user, body.pipeline)
    found = store.freezes.freeze(**dict(body), actor=actor)
    return {"freeze": found.model_dump(mode="json"), "message": f"{found}{_unknown(store, found)}"}


def start(store: Ledger, user: Any, body: ThawBody, actor: Actor) -> dict[str, Any]:
    """Thaw, and return what was lifted with what to say of it; every way in ends here.

    Raises:
        HTTPException: 403 as for a freeze, 404 when just this scope is not frozen.
    """
    _require(store, user, body.pipeline)
    found = store.freezes.thaw(**dict(body), actor=actor)
    if found is None:
        raise HTTPException(404, "just that is not frozen; `relman freezes` lists what is")
    return {"freeze": found.model_dump(mode="json"), "message": f"thawed: {_rest(store, user, found)}"}


def _unknown(store: Ledger, freeze: Freeze) -> str:
    """Say what may be misspelt, since no release was ever about it, or that nobody may let a release past.

    It is frozen all the same.
    """
    shapes = [record.plan.shape for record in store.newest()]
    places = {e.name: e for shape in shapes for e in shape.environments}
    asked = [
        (freeze.environment, places),
        (freeze.pipeline, {shape.pipeline for shape in shapes}),
        *(
            (f"{k}={v}", {f"{k}={s.labels[k]}" for s in shapes if k in s.labels})
            for k, v in freeze.labels.items()
        ),
    ]
    odd = [name for name, there in asked if name and name not in there]
    named = places.get(freeze.environment)
    if not odd and freeze.unless and named is not None and named.exceptions is None:
        return f". NOBODY MAY LET A RELEASE PAST IT: {named.name} names nobody for exceptions"
    return f". NO RELEASE HAS EVER BEEN ABOUT {', '.join(odd)}: see that the name is right" if odd else ""


def _rest(store: Ledger, user: Any, lifted: Freeze) -> str:
    """Say what is frozen still; releases wait for all that is about them."""
    left = [str(freeze) for freeze in visible(store, user)]
    what = lifted.scope
    return f"{what}; still frozen: {'; '.join(left)}" if left else f"{what}; nothing is frozen any more"


def _require(store: Ledger, user: Any, pipeline: str) -> None:
    """Answer 403 unless the user may change every release that the freeze can hold up."""
    if access.all_admins():
        raise HTTPException(403, access.ALL_ADMINS)
    if pipeline:
        access.require(user, dag_id_of(pipeline))
    elif not all(access.may(user, "PUT", dag_id) for dag_id in (MAINTENANCE, *store.dags())):
        # Without the name of one: he may not be allowed to know of it.
        raise HTTPException(403, f"{user.get_name()} may not change every release that this freeze is about")

"""Routes of the rollback of a release that has ended: what it would do, and asking for it.

Asking records the request; the task of ``relman_rollback`` believes nothing else. Asking twice is harmless.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.api.common.trigger_dag import trigger_dag
from airflow.exceptions import DagRunAlreadyExists
from airflow.models.dag import DagModel
from airflow.utils.types import DagRunTriggeredByType
from fastapi import APIRouter, HTTPException, Request

from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.domain.identity import ROLLBACK_DAG_ID, rollback_run_id
from relman_plugins.errors import LedgerError
from relman_plugins.ledger.api import Asked, last_asked, way_back
from relman_plugins.ledger.rollbacks import KINDS, key_of
from relman_plugins.plugin import access
from relman_plugins.plugin.deps import ledger, release_or_404
from relman_plugins.plugin.models import RollbackBody
from relman_plugins.settings import base_url

if TYPE_CHECKING:
    from relman_plugins.ledger.api import Ledger, ReleaseRecord, WayBack

router = APIRouter()
log = logging.getLogger(__name__)


@router.get("/releases/{release_id}/rollback")
def look(release_id: str, user: access.Reader, environment: str = "") -> dict[str, Any]:
    """Return what a rollback would do, and the latest request for it; 409 with the reason if there is no way.

    By the record: the run itself also asks the platform and looks at the artifact.
    """
    store = ledger()
    record = release_or_404(store, release_id, user)
    way, asked = _way(store, record, environment)
    return _view(way) | {"asked": _asked(asked) if asked else None}


@router.post("/releases/{release_id}/rollback")
def rollback(release_id: str, body: RollbackBody, request: Request, user: access.Writer) -> dict[str, Any]:
    """Ask for the rollback and start its run. While a request has no end, another one starts nothing new."""
    store = ledger()
    record = release_or_404(store, release_id, user)
    access.require(user, record.dag_id)
    way, asked = _way(store, record, body.environment)
    if body.digest not in (None, way.to.digest):
        raise HTTPException(
            409,
            f"{way.environment} would go back to {way.to.version} ({way.to.digest}) by now, not to what was "
            "shown; look again, then decide",
        )
    pending = asked is not None and not asked.ended
    recorded = False if pending else _record(store, record, way, asked, body, request, user)
    now = last_asked(store.events(release_id, kinds=KINDS), way.environment)
    if now is None:
        raise LedgerError(f"the request for the rollback of {release_id} was not recorded; try again")
    state = _start(now, access.display_name(user) or access.user_id(user))
    who = now.actor.name or now.actor.id
    said = "rollback asked for" if recorded else f"{who} had asked for it before"
    return _view(way) | {
        "recorded": recorded,
        "message": f"{said}: {way.environment} goes back to {way.to.version}",
        "request": now.key,
        "asked": _asked(now),
        **state,
    }


def _way(store: Ledger, record: ReleaseRecord, environment: str) -> tuple[WayBack, Asked | None]:
    """Return the way back, and the latest request for it; what is done for one under way is no obstacle."""
    events = store.events(record.release_id, kinds=KINDS)
    open_ones = {
        e.environment or "" for e in events if (a := last_asked(events, e.environment or "")) and not a.ended
    }
    if not environment and len(open_ones) == 1:
        environment = open_ones.pop()
    asked = last_asked(events, environment) if environment else None
    way = way_back(store, record, environment, asked if asked and not asked.ended else None)
    return way, asked or last_asked(events, way.environment)


def _record(
    store: Ledger,
    record: ReleaseRecord,
    way: WayBack,
    asked: Asked | None,
    body: RollbackBody,
    request: Request,
    user: Any,
) -> bool:
    event = NewEvent(
        kind=Kind.ROLLBACK_REQUESTED,
        key=key_of(record.release_id, way.environment, (asked.n if asked else 0) + 1),
        environment=way.environment,
        actor=access.actor(user, access.via_of(request)),
        data={
            "reason": body.reason,
            "from": way.current.model_dump(mode="json"),
            "to": way.to.model_dump(mode="json"),
        },
    )
    return store.record(record.release_id, event) is not None


def _start(asked: Asked, user: str) -> dict[str, Any]:
    """Start the run of a request unless it is there; without it maintenance carries the request out."""
    run_id = rollback_run_id(asked.release_id, asked.environment, asked.n)
    conf = {"release": asked.release_id, "request": asked.key}
    note = ""
    try:
        trigger_dag(
            ROLLBACK_DAG_ID,
            triggered_by=DagRunTriggeredByType.REST_API,
            triggering_user_name=user,
            run_id=run_id,
            conf=conf,
        )
    except DagRunAlreadyExists:
        pass
    except Exception as error:
        # The request is on record, whatever Airflow says.
        log.exception("the run %s of %s could not be started", run_id, ROLLBACK_DAG_ID)
        note = (
            f"its run could not be started ({type(error).__name__}); relman_maintenance does it within 3 min"
        )
    model = None if note else DagModel.get_dagmodel(ROLLBACK_DAG_ID)
    if model is not None and model.is_paused:
        note = f"{ROLLBACK_DAG_ID} is paused in Airflow; relman_maintenance does it within 3 min"
    url = f"{base_url()}/dags/{ROLLBACK_DAG_ID}/runs/{quote(run_id, safe='')}"
    return {"dag_id": ROLLBACK_DAG_ID, "run_id": run_id, "url": url, "note": note}


def _view(way: WayBack) -> dict[str, Any]:
    return {
        "release_id": way.release_id,
        "environment": way.environment,
        "service": way.service,
        "from": way.current.model_dump(mode="json"),
        "to": way.to.model_dump(mode="json"),
        "on_record": way.on_record,
        "replicas": way.desired.stable_replicas,
        "others": list(way.others),
    }


def _asked(asked: Asked) -> dict[str, Any]:
    return asked.model_dump(
        mode="json", include={"key", "actor", "reason", "at", "state", "message", "ended_at"}
    )

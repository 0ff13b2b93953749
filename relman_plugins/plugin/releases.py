"""Routes that read releases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, HTTPException, Query
from pydantic import AwareDatetime

from relman_plugins.domain.event import Kind
from relman_plugins.domain.identity import dag_id_of
from relman_plugins.plan.ends import BESIDES
from relman_plugins.plugin import access, views
from relman_plugins.plugin.deps import ledger, release_or_404

if TYPE_CHECKING:
    from relman_plugins.ledger.api import Ledger, ReleaseRecord

router = APIRouter()

ANSWERS = ("gate.", "vote.")
"""How kinds of events begin that tell what people were asked and what they said."""

Limit = Annotated[int, Query(ge=1, le=500)]


@router.get("/releases")
def list_releases(
    user: access.Reader,
    pipeline: str | None = None,
    run_id: str | None = None,
    active: bool | None = None,
    limit: Limit = 50,
) -> dict[str, Any]:
    """Return releases that the caller may see, newest first, with their status.

    Args:
        user: the caller.
        pipeline: only this pipeline's.
        run_id: only the release of this DAG run; needs ``pipeline``.
        active: only those that are open (true) or closed (false).
        limit: how many at most.
    """
    store = ledger()
    if run_id is not None:
        if pipeline is None:
            raise HTTPException(422, "run_id: needs pipeline, since run ids are unique in one DAG only")
        found = store.release_of_run(dag_id_of(pipeline), run_id)
        records = [found] if found and access.may(user, "GET", found.dag_id) else []
    else:
        # Of those that may be seen, not what is left of the newest: others' releases must not hide one's own.
        dags = [
            d for d in ([dag_id_of(pipeline)] if pipeline else store.dags()) if access.may(user, "GET", d)
        ]
        records = store.releases(pipeline=pipeline, limit=limit, active=active, dags=dags)
    return {"releases": [views.release(store, record) for record in records]}


@router.get("/releases/{release_id}")
def get_release(release_id: str, user: access.Reader) -> dict[str, Any]:
    """Return one release with its status, its gates, and the locks that it holds or waits for.

    The gates are for those only who may read the DAG's Required Actions.
    """
    store = ledger()
    record = release_or_404(store, release_id, user)
    shown = views.release(store, record)
    return shown | {
        "waits_for": _waits_for(store, record, shown["status"]["current"], user),
        "freezes": _frozen(store, record),
        "gates": [views.gate(g) for g in store.votes.gates(release_id)]
        if access.may_read_answers(user, record.dag_id)
        else [],
        "locks": [views.lock(lock) for lock in store.locks.held(release_id)],
    }


def _waits_for(
    store: Ledger, record: ReleaseRecord, current: list[str], user: access.Reader
) -> list[dict[str, Any]]:
    """Return the locks that others hold where the current steps change something.

    The holder is named to those only who may see it.
    """
    steps = [s for s in record.plan.shape.steps if s.id in current and s.changes and s.environment]
    wanted = {(s.environment, record.service) for s in steps}
    ahead = [
        x
        for x in (store.locks.held() if wanted else ())
        if (x.environment, x.service) in wanted
        and x.release_id != record.release_id
        and x.expires_at > store.now()
    ]
    holders = {x.release_id: store.release(x.release_id) for x in ahead}
    seen = {id_ for id_, r in holders.items() if r is not None and access.may(user, "GET", r.dag_id)}
    return [
        {
            "environment": x.environment,
            "service": x.service,
            "since": x.acquired_at.isoformat(),
            "holder": x.release_id if x.release_id in seen else None,
        }
        for x in ahead
    ]


def _frozen(store: Ledger, record: ReleaseRecord) -> list[dict[str, Any]]:
    """Return what somebody has frozen that an open release still has to pass."""
    events = store.events(record.release_id, kinds=[Kind.STEP_FINISHED, Kind.RELEASE_CLOSED])
    if any(e.kind is Kind.RELEASE_CLOSED for e in events):
        return []
    ended = {e.step for e in events}
    left = {
        s.environment
        for s in record.plan.shape.steps
        if s.changes and s.id not in ended and s.kind not in BESIDES
    }
    labels = record.plan.shape.labels
    found = [f for f in store.freezes.on() if any(f.holds(record.pipeline, e, labels) for e in left)]
    return [f.model_dump(mode="json") for f in found]


@router.get("/releases/{release_id}/events")
def get_events(
    release_id: str,
    user: access.Reader,
    after: Annotated[int, Query(ge=0, lt=2**63)] = 0,
    kind: Annotated[list[Kind] | None, Query()] = None,
    since: AwareDatetime | None = None,
) -> dict[str, Any]:
    """Return the events of a release, oldest first.

    Those of gates and votes are for those only who may read the DAG's Required Actions.

    Args:
        release_id: the release.
        user: the caller.
        after: only those with a greater id.
        kind: only these kinds; may be given several times.
        since: only those that happened at this time or later; with an offset.
    """
    store = ledger()
    record = release_or_404(store, release_id, user)
    found = store.events(release_id, kinds=kind, after=after)
    if not access.may_read_answers(user, record.dag_id):
        found = [e for e in found if not e.kind.startswith(ANSWERS)]
    return {"events": [e.model_dump(mode="json") for e in found if since is None or e.at >= since]}


@router.get("/releases/{release_id}/plan")
def get_plan(release_id: str, user: access.Reader) -> dict[str, Any]:
    """Return the plan that the release runs: the one stored when it opened."""
    store = ledger()
    record = release_or_404(store, release_id, user)
    return {
        "release_id": release_id,
        "plan_hash": record.plan_hash,
        "shape_hash": record.shape_hash,
        "plan": record.plan.model_dump(mode="json"),
    }

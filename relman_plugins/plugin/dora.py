"""The route of the figures of DORA."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query

from relman_plugins.domain.identity import dag_id_of
from relman_plugins.plugin import access
from relman_plugins.plugin.deps import ledger
from relman_plugins.reports.dora import dora_of

router = APIRouter()

DAYS = 90
"""Length of the period when nobody says another: the three months of the Four Keys project."""


FIRST, LAST = date(2000, 1, 1), date(2100, 1, 1)
"""Days that can be asked for: at the calendar's own ends there is no 90 days before, and no day after."""


@router.get("/metrics")
def get_metrics(
    user: access.Reader,
    pipeline: str | None = None,
    environment: str | None = None,
    begin: Annotated[date | None, Query(alias="from", ge=FIRST, le=LAST)] = None,
    end: Annotated[date | None, Query(alias="to", ge=FIRST, le=LAST)] = None,
) -> dict[str, Any]:
    """Return deployment frequency, lead time, change failure rate and time to restore, and what they mean.

    Args:
        user: the caller; counted are the pipelines whose releases they may see.
        pipeline: only this one.
        environment: where; without it, that of each pipeline's last stage, as its newest release has it.
        begin: first day, UTC; 90 days before the end unless given.
        end: last day, UTC; today unless given.
    """
    now = datetime.now(UTC)
    until = min(now, _midnight(end) + timedelta(days=1)) if end else now
    since = _midnight(begin) if begin else until - timedelta(days=DAYS)
    if since >= until:
        raise HTTPException(
            422, f"from: {since:%Y-%m-%d} is not before the end of the period, {until:%Y-%m-%d}"
        )
    store = ledger()
    known = [
        record
        for record in store.newest()
        if pipeline in (None, record.pipeline) and access.may(user, "GET", record.dag_id)
    ]
    if pipeline is not None and not known:
        raise HTTPException(
            404, f"no release of {dag_id_of(pipeline)} in the ledger; `relman status` lists releases"
        )
    there = {e.name for record in known for e in record.plan.shape.environments}
    if environment is not None and known and environment not in there:
        raise HTTPException(
            404, f"no pipeline has environment {environment!r}; there are {', '.join(sorted(there))}"
        )
    places: dict[str, list[str]] = {}
    for record in known:
        if place := environment or record.plan.shape.last_environment:
            places.setdefault(place, []).append(record.pipeline)
    found = {
        (name, place): moments
        for place, names in places.items()
        for name, moments in store.moments(place, names, since, until).items()
        if moments or environment is None
    }
    return dora_of(found, since, until).model_dump(mode="json")


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)

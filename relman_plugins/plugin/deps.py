"""The ledger, as the plugin sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from fastapi import HTTPException, Request

from relman_plugins.hooks import ledger as hooks
from relman_plugins.plugin import access

if TYPE_CHECKING:
    from relman_plugins.ledger.api import Ledger, ReleaseRecord


def ledger() -> Ledger:
    """Return this process's ledger; its schema is brought up to date the first time.

    Raises:
        LedgerUnavailable: no connection, or a schema this version can't use.
    """
    return hooks.ledger()


def release_or_404(
    store: Ledger, release_id: str, user: Any, entity: DagAccessEntity = DagAccessEntity.RUN
) -> ReleaseRecord:
    """Return a release by id, or answer 404; who may not see it in Airflow is not told that there is one."""
    record = store.release(release_id)
    if record is not None and access.may(user, "GET", record.dag_id, entity):
        return record
    gone = store.went(release_id) if record is None else None
    if gone and access.may(user, "GET", gone[0], entity):
        how = f"with that file `relman evidence export {release_id} --archive FILE` tells of it"
        raise HTTPException(404, f"no release {release_id!r} in the ledger any more{gone[1]}; {how}")
    raise HTTPException(404, f"no release {release_id!r} in the ledger; `relman status` lists them")


def legible(request: Request) -> None:
    """Answer 422 to control characters in a path or query: no name has any, and databases refuse some."""
    for name, value in (*request.path_params.items(), *request.query_params.multi_items()):
        if not str(value).isprintable():
            raise HTTPException(422, f"{name}: control and other invisible characters are part of no name")

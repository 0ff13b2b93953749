"""Whether relman's DAG files have versions, so that releases in flight keep their specs."""

from __future__ import annotations

from typing import Any

from airflow.models.dag import DagModel
from airflow.utils.session import create_session
from sqlalchemy import select

from relman_plugins import settings
from relman_plugins.domain.identity import MAINTENANCE_DAG_ID


def bundle() -> dict[str, Any] | None:
    """Return the bundle's name, the version with which the next run begins, and whether specs lie elsewhere.

    The version is None where the bundle has none. None instead of all while Airflow has not read the files.
    ``specs_elsewhere`` is what this API server's configuration says; workers may have another.
    """
    row = select(DagModel.bundle_name, DagModel.bundle_version).where(DagModel.dag_id == MAINTENANCE_DAG_ID)
    with create_session(scoped=False) as session:
        found = session.execute(row).one_or_none()
    if found is None:
        return None
    elsewhere = settings.specs_base() is not None
    return {"name": found.bundle_name, "version": found.bundle_version, "specs_elsewhere": elsewhere}

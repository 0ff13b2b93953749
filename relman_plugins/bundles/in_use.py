"""Which versions of a bundle Airflow still needs."""

from __future__ import annotations


def in_use(bundle: str) -> set[str]:
    """Return the versions of unfinished runs, and those with which new runs would begin.

    Asks Airflow's own tables, as only DAG processors, schedulers and API servers may. A release whose run has
    ended needs none: ``relman_maintenance`` ends it, from the stored plan.
    """
    from airflow.models.dag import DagModel
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from airflow.utils.state import State
    from sqlalchemy import select

    begun = select(DagRun.bundle_version).where(DagRun.state.in_(State.unfinished_dr_states))
    beginning = select(DagModel.bundle_version).where(DagModel.bundle_name == bundle)
    with create_session(scoped=False) as session:
        found = {*session.scalars(begun), *session.scalars(beginning)}
    return {version for version in found if version}

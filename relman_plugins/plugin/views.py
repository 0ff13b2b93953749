"""Ledger records as the JSON that the API answers with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from relman_plugins.settings import base_url, trace_url

if TYPE_CHECKING:
    from datetime import datetime

    from relman_plugins.ledger.api import GateState, Ledger, Lock, ReleaseRecord


def release(store: Ledger, record: ReleaseRecord) -> dict[str, Any]:
    """Return a release: what it is, how it stands, where to see it."""
    status = store.status(record.release_id)
    return {
        "release_id": record.release_id,
        "pipeline": record.pipeline,
        "version": record.version,
        "n": record.n,
        "dag_id": record.dag_id,
        "run_id": record.run_id,
        "opened_at": record.opened_at.isoformat(),
        "started_by": record.started_by.model_dump(mode="json"),
        "options": record.plan.options.model_dump(mode="json"),
        "plan_hash": record.plan_hash,
        "shape_hash": record.shape_hash,
        "url": f"{base_url()}/dags/{quote(record.dag_id, safe='')}/runs/{quote(record.run_id, safe='')}",
        "trace_url": trace_url(status.trace_id),
        "status": status.model_dump(mode="json"),
    }


def lock(held: Lock) -> dict[str, Any]:
    """Return one lock."""
    return held.model_dump(mode="json")


def gate(state: GateState) -> dict[str, Any]:
    """Return one gate."""
    return state.model_dump(mode="json")


def debt(state: GateState, now: datetime) -> dict[str, Any]:
    """Return a gate for afterwards, with whether its time is over at ``now`` (aware) and nobody decided."""
    return gate(state) | {"overdue": state.state == "open" and now >= state.expires_at}

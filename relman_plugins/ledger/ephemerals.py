"""Environments that live only for a release, as the events of their making and removal say."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select

from relman_plugins.domain.base import Frozen
from relman_plugins.ledger import tables as t
from relman_plugins.ledger.database import Database


class Ephemeral(Frozen):
    """An ephemeral environment that exists."""

    environment: str
    service: str
    release_id: str
    expires_at: datetime
    """UTC."""


def expired(db: Database, now: datetime | None = None) -> list[Ephemeral]:
    """Return the environments that should be gone at ``now`` (aware) and aren't, longest overdue first."""
    query = (
        select(*(t.ephemeral.c[name] for name in Ephemeral.model_fields))
        .where(t.ephemeral.c.state == "live", t.ephemeral.c.expires_at <= (now or db.now()))
        .order_by(t.ephemeral.c.expires_at)
    )
    with db.read() as conn:
        return [Ephemeral.model_validate(dict(row)) for row in conn.execute(query).mappings()]

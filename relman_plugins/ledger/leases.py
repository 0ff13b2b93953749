"""Leases: one holder at a time for work that must not run twice at once."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, insert, select, update

from relman_plugins.ledger import tables as t
from relman_plugins.ledger.database import Database


def take(db: Database, name: str, holder: str, ttl_s: float) -> bool:
    """Take or extend a lease; False while another holder's has not ended."""
    with db.write(f"lease:{name}") as conn:
        now = db.now()
        row = conn.execute(select(t.lease).where(t.lease.c.name == name)).first()
        if row is not None and row.holder != holder and row.expires_at > now:
            return False
        values = {"holder": holder, "expires_at": now + timedelta(seconds=ttl_s)}
        if row is None:
            conn.execute(insert(t.lease).values(name=name, **values))
        else:
            conn.execute(update(t.lease).where(t.lease.c.name == name).values(values))
        return True


def first(db: Database, name: str, ttl_s: float) -> bool:
    """Say whether this is the first call with ``name`` within ``ttl_s`` seconds, and remember it so long.

    Names are ``<what>:<which>``; what was to be remembered of the same ``<what>`` and is over is forgotten.
    """
    what = name.partition(":")[0]
    with db.write(f"lease:{what}") as conn:
        now = db.now()
        old = t.lease.c.name.startswith(f"{what}:", autoescape=True) & (t.lease.c.expires_at <= now)
        conn.execute(delete(t.lease).where(old))
        if conn.execute(select(t.lease.c.name).where(t.lease.c.name == name)).first() is not None:
            return False
        expires_at = now + timedelta(seconds=ttl_s)
        conn.execute(insert(t.lease).values(name=name, holder="seen", expires_at=expires_at))
        return True


def end(db: Database, name: str, holder: str) -> None:
    """Give a lease back; nothing happens when somebody else holds it."""
    with db.write(f"lease:{name}") as conn:
        conn.execute(delete(t.lease).where(t.lease.c.name == name, t.lease.c.holder == holder))

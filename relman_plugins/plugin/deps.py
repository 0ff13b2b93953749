"""The ledger, as the plugin sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import HTTPException

from relman_plugins.hooks.ledger import ledger_url
from relman_plugins.ledger.api import open_ledger

if TYPE_CHECKING:
    from relman_plugins.ledger.api import Ledger, ReleaseRecord


def ledger() -> Ledger:
    """Return this process's ledger; its schema is brought up to date the first time.

    Raises:
        LedgerUnavailable: no connection, or a schema this version can't use.
    """
    return open_ledger(ledger_url())


def release_or_404(store: Ledger, release_id: str) -> ReleaseRecord:
    """Return a release by id, or answer 404."""
    record = store.release(release_id)
    if record is None:
        raise HTTPException(404, f"no release {release_id!r} in the ledger; `relman status` lists them")
    return record

"""Whether the sources answer that analyses get their numbers from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relman_plugins.domain.source import KINDS
from relman_plugins.hooks.metrics import check
from relman_plugins.plugin.outside import RELEASES, Outside

if TYPE_CHECKING:
    from relman_plugins.ledger.api import Ledger


def sources(ledger: Ledger) -> list[dict[str, Any]]:
    """Return each kind and connection that the newest releases ask, whether it answers, and what is wrong.

    Raises:
        LedgerError: The ledger can't be read.
    """
    analyses = (a for release in ledger.releases(limit=RELEASES) for a in release.plan.shape.analyses)
    return [
        {"source": KINDS[kind].label, "connection": connection, **health._asdict()}
        for (kind, connection), health in _sources.of((a.source, a.connection) for a in analyses)
    ]


_sources = Outside("sources", check)

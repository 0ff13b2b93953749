"""Every release of a ledger, whatever tests have done to it: its evidence fits together."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from relman_plugins.evidence.dsse import sealed
from relman_plugins.evidence.statement import PAYLOAD_TYPE, payload_of, statement_of
from relman_plugins.evidence.verify import Verified, verify
from relman_plugins.ledger.api import Ledger


def evidence_of(ledger: Ledger, release_id: str) -> Verified:
    """Export a release and check it, without a key."""
    dossier = ledger.dossier(release_id)
    assert dossier is not None
    said = statement_of(dossier, at=datetime.now(UTC), by={"id": "test", "name": ""}, versions={})
    return verify(json.dumps(sealed(PAYLOAD_TYPE, payload_of(said), None)).encode())


def all_good(ledger: Ledger) -> dict[str, str]:
    """Return how each release ended; fail when the evidence of one does not fit together."""
    ends, wrong = {}, {}
    for record in ledger.releases(limit=1000):
        found = evidence_of(ledger, record.release_id)
        wrong |= {f"{record.release_id}, {f.check}": f.text for f in found.findings if f.state == "fail"}
        closed = next((e for e in ledger.events(record.release_id) if e.kind.value == "release.closed"), None)
        ends[record.release_id] = str(closed.data["outcome"]) if closed else "under way"
    assert not wrong, wrong
    return ends

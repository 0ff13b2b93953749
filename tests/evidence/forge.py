"""What somebody could write who has the key and the database: every hash fits again."""

from __future__ import annotations

from typing import Any

from relman_plugins.domain.base import digest_of
from relman_plugins.domain.chain import row_digest
from relman_plugins.evidence.statement import subject_of, summary_of


def rechained(statement: dict[str, Any]) -> dict[str, Any]:
    """Compute everything anew that is computed of something else in the file."""
    predicate = statement["predicate"]
    events, release = predicate["events"], predicate["release"]
    votes = {(v["gate"], v["round"], v["person"]): v for v in predicate["votes"]}
    before, last = "", None
    for event in events:
        data = event["data"]
        if event["kind"] == "release.opened":
            data["row_digest"] = row_digest(release)
        if event["kind"] == "gate.voted" and "row_digest" in data:
            data["row_digest"] = row_digest(votes[event["step"], data["round"], data["person"]])
        event["prev_release_hash"] = before
        if last is not None and event["id"] == last + 1:
            event["prev_hash"] = before
        event["hash"] = digest_of({k: v for k, v in event.items() if k != "hash"})
        before, last = event["hash"], event["id"]
    predicate["ledger"] = {"head": {"id": last, "hash": before, "length": last}, "checkpoints": []}
    predicate["summary"] = summary_of(release, events)
    statement["subject"] = subject_of(release, events)
    return statement

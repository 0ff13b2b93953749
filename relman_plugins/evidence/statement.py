"""The statement: everything that is recorded of a release, as the predicate of an in-toto statement.

https://github.com/in-toto/attestation, Statement v1. Its subject is the artifact that was released, by
digest, so that it can be found by that; a release that built none has its plan as subject. What a tool looks
for first stands under the names that SLSA's provenance (https://slsa.dev/spec/v1.1/provenance) has for it:
``runDetails``, ``resolvedDependencies``. It says nothing that the record below does not say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from relman_plugins.domain.base import canonical_json
from relman_plugins.domain.chain import moment_text
from relman_plugins.domain.event import Kind
from relman_plugins.ledger.api import Dossier

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
PREDICATE_TYPE = "urn:relman:release-evidence:v1"
"""What the predicate is. The name stays for as long as an older relman can check what a newer one writes."""

PARTS = ("exported", "summary", "release", "events", "votes", "ledger")
"""What the predicate has: how the file came to be; what a tool looks for first; the release as it was opened,
with its plan; every event, test reports, analyses and deployments among them; every vote; where the whole
ledger ended, and signatures of that."""


def statement_of(
    dossier: Dossier, *, at: datetime, by: Mapping[str, str], versions: Mapping[str, str]
) -> dict[str, Any]:
    """Return the statement about a release: ``at`` (aware) and ``by`` say when and for whom it is made."""
    release, events = dossier.release, [event.model_dump() for event in dossier.events]
    return {
        "_type": STATEMENT_TYPE,
        "subject": subject_of(release, events),
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "exported": {"at": moment_text(at), "for": dict(by), "with": dict(versions)},
            "summary": summary_of(release, events),
            "release": release,
            "events": events,
            "votes": list(dossier.votes),
            "ledger": {
                "head": dossier.head.model_dump(),
                "checkpoints": list(dossier.checkpoints),
            },
        },
    }


def payload_of(statement: Mapping[str, Any]) -> bytes:
    """Return the statement as the bytes that are signed."""
    return canonical_json(statement).encode()


def subject_of(release: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what the statement is about, as in-toto's resource descriptors."""
    built = _last(events, Kind.ARTIFACT_BUILT)
    if built is None:
        return [_descriptor(f"plan of {release['release_id']}", release["plan_hash"])]
    return [_descriptor(f"{release['service']} {release['version']}", built["data"]["revision"]["digest"])]


def summary_of(release: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what a tool looks for first, taken from the record."""
    opened, closed = _last(events, Kind.RELEASE_OPENED), _last(events, Kind.RELEASE_CLOSED)
    made_with = (opened["data"].get("made_with") if opened else None) or {}
    bundle = made_with.get("bundle") or {}
    dependencies = [
        _descriptor("plan", release["plan_hash"]),
        _descriptor("spec", release["spec_digest"]),
    ]
    if bundle.get("version"):
        dependencies.append(
            {"name": f"DAG bundle {bundle['name']}", "annotations": {"version": bundle["version"]}}
        )
    assessed = _last(events, Kind.CHANGE_ASSESSED)
    if assessed is not None and (commit := assessed["data"]["changes"].get("head")):
        dependencies.append({"name": "source", "digest": {"gitCommit": commit}})
    return {
        "releaseId": release["release_id"],
        "outcome": closed["data"]["outcome"] if closed else None,
        "externalParameters": release["plan"]["options"],
        "resolvedDependencies": dependencies,
        "runDetails": {
            "builder": {
                "id": "urn:relman",
                "version": {name: made_with[name] for name in ("relman", "airflow") if name in made_with},
            },
            "metadata": {
                "invocationId": f"{release['dag_id']}/{release['run_id']}",
                "dagVersionId": made_with.get("dag_version_id"),
                "startedOn": release["opened_at"],
                "finishedOn": closed["at"] if closed else None,
            },
        },
    }


def _last(events: Sequence[Mapping[str, Any]], kind: Kind) -> Mapping[str, Any] | None:
    return next((e for e in reversed(events) if e["kind"] == kind.value), None)


def _descriptor(name: str, digest: str) -> dict[str, Any]:
    algorithm, _, value = digest.partition(":")
    return {"name": name, "digest": {algorithm: value}}

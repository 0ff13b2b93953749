"""Is the record whole, and do the file's parts fit together? Each check yields what is wrong, by name."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from relman_plugins.domain.base import digest_of
from relman_plugins.domain.chain import FIRST, row_digest
from relman_plugins.domain.event import Event, Kind
from relman_plugins.evidence.record import Evidence
from relman_plugins.evidence.statement import subject_of, summary_of
from relman_plugins.ledger.api import moment_of

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def chain(evidence: Evidence) -> Iterator[str]:
    """Compute every hash again: of each event and its place, of the release, of the votes."""
    before, last = FIRST, None
    for link in evidence.links:
        name = f"event {link.id} ({link.kind})"
        if link.computed() != link.hash:
            yield f"{name} is not as it was recorded: it gives another hash"
        if link.prev_release_hash != before:
            where = f"between event {last.id} and it" if last else "before it"
            yield f"{name}: {where} something of the release is missing, was put in or changed"
        if last is not None and link.id == last.id + 1 and link.prev_hash != last.hash:
            yield f"{name} was recorded right behind event {last.id}, and follows another one in the ledger"
        before, last = link.hash, link
    head = evidence.head
    if last is not None and (head.id < last.id or (head.id == last.id and head.hash != last.hash)):
        yield f"the ledger ended at {head.id}:{head.hash}, which is not where event {last.id} stands"
    yield from _release(evidence)
    yield from _votes(evidence)


def _release(evidence: Evidence) -> Iterator[str]:
    digest = evidence.opened.data.get("row_digest")
    if digest is not None and row_digest(evidence.release) != digest:
        yield f"the release is not as event {evidence.opened.id} says that it was opened: another digest"


def _votes(evidence: Evidence) -> Iterator[str]:
    """Every vote has its event, and every event of a first vote its row; both say the same."""
    told = {
        (e.step, e.data["round"], e.data["person"]): e
        for e in evidence.of(Kind.GATE_VOTED)
        if e.data.get("n", 1) == 1
    }
    for row in evidence.votes:
        place = (row["gate"], row["round"], row["person"])
        where = f"gate {row['gate']}, round {row['round']}: the vote of {row['person']}"
        event = told.pop(place, None)
        if event is None:
            yield f"{where} has no event, or is there twice"
        elif not _same_vote(row, event):
            yield f"{where} is not as event {event.id} says that it was cast"
    for (gate, n, who), event in told.items():
        yield f"gate {gate}, round {n}: event {event.id} tells of a vote of {who} that is not there"


def _same_vote(row: Mapping[str, Any], event: Event) -> bool:
    if "row_digest" in event.data:
        return bool(row_digest(row) == event.data["row_digest"])
    # Cast before relman recorded digests.
    same = all(row[name] == event.data.get(name) for name in ("decision", "comment", "via"))
    return same and moment_of(row["at"]) == event.at


_NONE = object()


def checkpoints(evidence: Evidence, keys: Mapping[str, Ed25519PublicKey]) -> Iterator[str]:
    """Check the signatures of the whole ledger's end; ``keys`` by their ids, none: only what they are of."""
    at = {link.id: link.hash for link in evidence.links}
    for row in evidence.checkpoints:
        where = f"the ledger's signature at event {row['id']}"
        if row["id"] in at and row["hash"] != at[row["id"]]:
            yield f"{where} is of another event than the one in the file"
        if row["id"] > evidence.head.id:
            yield f"{where} is of what came after the file was made"
        if keys and not _holds(row, keys):
            named = f"; it names {row['key_id']}" if row["key_id"] not in keys else ""
            yield f"{where} was not made with a key that was given{named}"


def _holds(row: Mapping[str, Any], keys: Mapping[str, Ed25519PublicKey]) -> bool:
    from cryptography.exceptions import InvalidSignature

    from relman_plugins.ledger.checkpoints import signed_bytes

    key = keys.get(row["key_id"])
    if key is None:
        return False
    try:
        signature = base64.b64decode(row["signature"], validate=True)
        key.verify(signature, signed_bytes({**row, "at": moment_of(row["at"])}))
    except (InvalidSignature, ValueError):
        return False
    return True


def subject(evidence: Evidence) -> Iterator[str]:
    """Compare what the statement is about, and its summary, with the record; one thing was built."""
    if sum(1 for _ in evidence.of(Kind.ARTIFACT_BUILT)) > 1:
        yield "more than one artifact is recorded: a release builds one, which all approvals are for"
    events = [link.model_dump() for link in evidence.links]
    wanted = subject_of(evidence.release, events)
    said = evidence.statement["subject"]
    if said != wanted:
        yield f"the record says {_named(wanted)}, the statement is about {_named(said)}"
    summary, told = summary_of(evidence.release, events), evidence.statement["predicate"]["summary"]
    if not isinstance(told, dict):
        yield "summary: expected an object"
    elif told != summary:
        odd = sorted(k for k in {**told, **summary} if told.get(k, _NONE) != summary.get(k, _NONE))
        yield f"the summary says something else than the record: {', '.join(odd)[:200]}"


def plan(evidence: Evidence) -> Iterator[str]:
    """Compare plan, shape and options with their digests and with the event that opened the release."""
    row, record, opened = evidence.release, evidence.record, evidence.opened.data
    options = record.plan.options
    for name, said, is_ in (
        ("the plan's hash", record.plan_hash, record.stored_hash),
        ("the plan's hash when the release opened", opened.get("plan_hash"), record.plan_hash),
        ("the shape's hash", record.shape_hash, digest_of(row["plan"].get("shape"))),
        ("the spec's digest", record.spec_digest, record.plan.shape.spec_digest),
        ("the pipeline", record.pipeline, record.plan.shape.pipeline),
        ("the service", record.service, record.plan.shape.service),
        ("the version", record.version, options.version),
        ("the version when the release opened", opened.get("version"), record.version),
        ("the release's id", record.release_id, f"{record.pipeline}-{record.version}-{record.n}"),
        ("who started it", record.started_by, evidence.opened.actor),
    ):
        if said != is_:
            yield f"{name} is {_short(said)}, but {_short(is_)} by what else is recorded"
    for name in ("changes", "ticket", "emergency", "emergency_reason", "dry_run", "parameters"):
        planned = getattr(options, name)
        if name in opened and opened[name] != planned:
            yield f"{name}: {_short(planned)} in the plan, {_short(opened[name])} when the release opened"


def spec(evidence: Evidence) -> Iterator[str]:
    """Compare the spec that was recorded with its digest."""
    found = evidence.opened.data.get("spec")
    if found is not None and digest_of(found) != evidence.record.spec_digest:
        said = f"the plan was made of {evidence.record.spec_digest}"
        yield f"the recorded spec has the digest {digest_of(found)}, {said}"


def _named(subject_: Any) -> str:
    first = subject_[0] if isinstance(subject_, list) and subject_ else None
    if not isinstance(first, dict):
        return "nothing"
    return _short(f"{first.get('name')} {first.get('digest')}")


def _short(value: Any) -> str:
    text = str(value)
    return repr(f"{text[:119]}…" if len(text) > 120 else text)

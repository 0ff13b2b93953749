"""Checking a file of evidence, offline: what it holds, and what is right and wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from relman_plugins.domain.event import Kind
from relman_plugins.evidence import changes, dsse, verdicts, votes, whole
from relman_plugins.evidence.record import Evidence, evidence_of
from relman_plugins.evidence.statement import PAYLOAD_TYPE
from relman_plugins.evidence.strict import parsed
from relman_plugins.ledger.keys import key_id

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

MOST = 20
"""Problems of one check that are told; the rest is counted."""

LONGEST = 2000
"""Characters of one problem: what a file says of itself may be of any length."""


class Finding(NamedTuple):
    """What one check found."""

    check: str
    state: Literal["ok", "fail", "open"]
    """``open``: it could not be checked, or was not asked for."""
    text: str


class Verified(NamedTuple):
    """What checking a file found."""

    findings: tuple[Finding, ...]
    evidence: Evidence | None
    """None when the file could not be read at all."""

    @property
    def good(self) -> bool:
        """Whether nothing is wrong; what could not be checked is not wrong."""
        return all(f.state != "fail" for f in self.findings)

    def is_ok(self, check: str) -> bool:
        """Say whether a check was made and found nothing."""
        return any(f.check == check and f.state == "ok" for f in self.findings)


def verify(data: bytes, keys: Sequence[Ed25519PublicKey] = ()) -> Verified:
    """Check a file's bytes against the public keys of whoever should have made it. Never raises.

    Several keys are those of one maker over time: one of them is enough. Without any the contents are
    checked, and not who made them.
    """
    try:
        envelope = dsse.opened(parsed(data, "the file"))
    except ValueError as error:
        return Verified((Finding("file", "fail", f"it can't be read: {error}"),), None)
    known = {key_id(key): key for key in keys}
    findings = [_signature(envelope, known)]
    if envelope.payload_type != PAYLOAD_TYPE:
        told = f"payloadType is {envelope.payload_type[:80]!r}, expected {PAYLOAD_TYPE!r}"
        return Verified((*findings, Finding("file", "fail", told)), None)
    try:
        evidence = evidence_of(parsed(envelope.payload, "the payload"))
    except ValueError as error:
        return Verified((*findings, Finding("file", "fail", f"it can't be read: {error}")), None)
    checks: tuple[tuple[str, Callable[[Evidence], Iterator[str]], Callable[[Evidence], str]], ...] = (
        ("chain", whole.chain, _chain),
        ("subject", whole.subject, _subject),
        ("plan", whole.plan, lambda e: f"the one that the release was opened with, {e.record.plan_hash}"),
        ("spec", whole.spec, lambda e: f"the one that the plan was made of, {e.record.spec_digest}"),
        ("approvals", votes.approvals, _approvals),
        ("changes", changes.changes, _changes),
        ("verdicts", verdicts.verdicts, _verdicts),
        ("ledger", lambda e: whole.checkpoints(e, known), _ledger),
    )
    for name, check, good in checks:
        if why := _left_out(name, evidence, known):
            findings.append(Finding(name, "open", why))
            if name == "spec":
                continue
        findings += (f for f in _checked(name, check, good, evidence) if f.state != "ok" or not why)
    return Verified(tuple(findings), evidence)


def _left_out(name: str, evidence: Evidence, keys: Mapping[str, Ed25519PublicKey]) -> str:
    """Return why a check can't say that all is well, in words; empty when it can."""
    if name == "spec" and not evidence.opened.data.get("spec"):
        return "its text is not in the record, only its digest"
    if name == "ledger" and not evidence.checkpoints:
        return "it was not signed when the file was made"
    if name == "ledger" and not keys:
        return "its signatures were not looked at: no key was given"
    if name == "ledger" and not evidence.signed:
        return "it was signed, but at no event of this release: only the ledger can say that this covers it"
    return ""


def _signature(envelope: dsse.Envelope, keys: Mapping[str, Ed25519PublicKey]) -> Finding:
    if not keys:
        signed = (
            "signed by somebody; without --key nothing says by whom" if envelope.signatures else "not signed"
        )
        return Finding("signature", "open", signed)
    if not envelope.signatures:
        return Finding("signature", "fail", "the file is not signed")
    for name, key in keys.items():
        if dsse.is_signed_by(envelope, key):
            return Finding("signature", "ok", f"made with the key {name}")
    named = ", ".join(s.keyid[:80] or "a key without a name" for s in envelope.signatures)
    wanted = " or ".join(keys)
    told = f"none with the key {wanted} that fits what is in the file; it names {named}"
    return Finding("signature", "fail", told)


def _checked(
    name: str, check: Callable[[Evidence], Iterator[str]], good: Callable[[Evidence], str], evidence: Evidence
) -> Iterator[Finding]:
    found: list[str] = []
    text = ""
    try:
        found += check(evidence)
        text = good(evidence) if not found else ""
    except Exception as error:  # whatever a stranger wrote: what can't be checked is not right
        told = f"{type(error).__name__}: {' '.join(str(error).split())}"
        found.append(f"not as relman writes it, so it can't be checked: {told}")
    if not found:
        yield Finding(name, "ok", text)
        return
    yield from (Finding(name, "fail", _cut(problem)) for problem in found[:MOST])
    if len(found) > MOST:
        yield Finding(name, "fail", f"and {len(found) - MOST} more")


def _cut(text: str) -> str:
    return f"{text[: LONGEST - 1]}…" if len(text) > LONGEST else text


def _chain(evidence: Evidence) -> str:
    events, votes_ = _count(len(evidence.events), "event"), _count(len(evidence.votes), "vote")
    last = evidence.links[-1]
    return f"{events} and {votes_}, each as it was recorded; the last is {last.id}:{last.hash}"


def _subject(evidence: Evidence) -> str:
    first = evidence.statement["subject"][0]
    algorithm, digest = next(iter(first["digest"].items()))
    return f"{first['name']}, {algorithm}:{digest}"


def _approvals(evidence: Evidence) -> str:
    asked = sum(1 for _ in evidence.of(Kind.GATE_OPENED))
    cast = sum(1 for _ in evidence.of(Kind.GATE_VOTED))
    if not asked:
        return "nobody was asked"
    rounds, votes_ = _count(asked, "question"), _count(cast, "vote")
    return f"{rounds}, {votes_}: each for what was shown, by somebody who was asked, by the plan's rules"


def _changes(evidence: Evidence) -> str:
    found = changes.begun(evidence)
    forward = sum(change.forward for change in found)
    if not found:
        return "no environment was changed"
    back = len(found) - forward
    told = f"{_count(forward, 'change')} forward, each after the decisions that the plan asks for"
    return f"{told}; {back} back, which need none" if back else told


def _verdicts(evidence: Evidence) -> str:
    n = verdicts.count_of(evidence)
    return f"{_count(n, 'verdict')}, each what the recorded numbers give" if n else "nothing was measured"


def _ledger(evidence: Evidence) -> str:
    if not evidence.checkpoints:
        return "not signed"
    if not evidence.signed:
        return "signed at no event of this release"
    row = evidence.signed[-1]
    return f"signed at {row['at']}, at event {row['id']}, with this release up to there"


def _count(n: int, word: str) -> str:
    return f"{n} {word}{'' if n == 1 else 's'}"

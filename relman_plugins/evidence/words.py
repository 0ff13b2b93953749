"""What checking a file of evidence proves and what it doesn't, in plain words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from relman_plugins.domain.event import Event, Kind
from relman_plugins.domain.status import Outcome
from relman_plugins.evidence.changes import begun as changes_of
from relman_plugins.evidence.record import Evidence
from relman_plugins.evidence.verify import Verified

_OVERRIDES = {
    Kind.GATE_WAIVED: "skipped the rules {rules}",
    Kind.GATE_NOT_NEEDED: "did not ask for {rules}, by the risk of the release",
    Kind.GATE_OVERDUE: "found that nobody approved in time what was skipped",
    Kind.GATE_BYPASSED: "found a gate passed in Airflow without a decision",
    Kind.LOCK_BROKEN: "broke the lock",
    Kind.RELEASE_HELD: "held it",
    Kind.RELEASE_RESUMED: "let it go on",
    Kind.ABORT_REQUESTED: "asked to abort it",
    Kind.ROLLBACK_REQUESTED: "asked to roll it back",
    Kind.VOTE_REFUSED: "could not {decision} as {who}",
    Kind.STEP_REFUSED: "refused to go on",
}
"""What is out of the ordinary, and what its actor did, in words."""


def headline(verified: Verified) -> str:
    """Return what the file is about, in one line."""
    evidence = verified.evidence
    if evidence is None:
        return "no evidence that can be read"
    record = evidence.record
    at = evidence.statement["predicate"]["exported"]["at"]
    flags = [name for name in ("emergency", "dry_run") if getattr(record.plan.options, name)]
    more = f" ({', '.join(flags).replace('_', ' ')})" if flags else ""
    return f"{record.release_id}: {outcome(verified)}{more}; as of {at}"


def outcome(verified: Verified) -> str:
    """Return how the release ended by its record."""
    closed = next(verified.evidence.of(Kind.RELEASE_CLOSED), None) if verified.evidence else None
    if closed is None:
        return "under way"
    said = str(closed.data.get("outcome"))
    return said.replace("_", " ") if said in set(Outcome) else "of an unknown outcome"


def proves(verified: Verified) -> Iterator[str]:
    """Yield what follows from the checks that found nothing."""
    if verified.evidence is None:
        return
    ok, evidence = verified.is_ok, verified.evidence
    if ok("signature"):
        yield (
            "The file was made by whoever holds the private half of that key, and nothing in it was changed "
            "since."
        )
    if not verified.good:
        return
    yield (
        f"The record of {evidence.record.release_id} is whole up to event {evidence.links[-1].id}: nothing "
        "of it was changed, left out, put in or moved, unless whoever did so wrote all hashes anew. It rests"
        " on one plan, one spec and one artifact."
    )
    if any(evidence.of(Kind.GATE_OPENED)):
        yield (
            "Every vote is for the very document in the file that was shown, by a person whom the plan names."
            " What was decided as approved has the approvals that the plan's rules ask for."
        )
    if changes_of(evidence):
        emergency = evidence.record.plan.options.emergency
        windows = ", an emergency's at any time" if emergency else " and inside its windows"
        yield (
            "Every change that went forward was recorded after the approvals, steps and good verdicts that "
            f"the plan asks for{windows}, and these held at that time, by the rules that relman applies."
        )
    if any(evidence.of(Kind.ANALYSIS_FINISHED)):
        yield "The verdicts follow from the recorded numbers and the limits in the plan."
    if ok("ledger") and (at := signed_at(evidence)):
        yield (
            f"The record was as it is up to event {at[0]} when the whole ledger was signed there, at {at[1]}:"
            " the key's holder vouched for it then, and not only when the file was made."
        )


def proves_not(verified: Verified) -> Iterator[str]:
    """Yield what no check of the file can say."""
    evidence = verified.evidence
    if not verified.is_ok("signature"):
        yield "Who made the file: anybody can write one that fits together."
    if evidence is None:
        return
    last = evidence.links[-1]
    yield (
        "That this is what the ledger has, and that it was not written anew before the file was made. Where "
        f"the ledger is, `relman ledger verify --head {last.id}:{last.hash}` says so."
    )
    yield f"What happened after event {last.id} ({last.kind}), the last in the file."
    yield "That clocks were right, and numbers those of the service: they are as they were recorded."
    yield "That an account was used by the person whose it is: the server's login vouches for that."
    yield "That the artifact is good, or how it was made: only which one it is, by its digest."
    yield "That the platform ran nothing else: only what relman asked of it, and saw there."


def signed_at(evidence: Evidence) -> tuple[int, str] | None:
    """Return the last event of the release at which the whole ledger was signed, and when."""
    here = evidence.signed
    return (here[-1]["id"], here[-1]["at"]) if here else None


def overrides(verified: Verified) -> Iterator[str]:
    """Yield who did what out of the ordinary, with the time and the reason as recorded."""
    if verified.evidence is None:
        return
    evidence = verified.evidence
    options, opened = evidence.record.plan.options, evidence.opened
    if options.emergency:
        yield f"{_when(opened)} {_who(opened)} started it as an emergency: {options.emergency_reason}"
    for event in evidence.of(*_OVERRIDES):
        yield f"{_when(event)} {_who(event)} {_deed(evidence, event)}"


def _deed(evidence: Evidence, event: Event) -> str:
    data = event.data
    where = f" at {event.step or event.environment}" if event.step or event.environment else ""
    what = _OVERRIDES[event.kind].format(
        who=data.get("person"), decision=data.get("decision"), rules=_rules(data.get("rules"))
    )
    why = data.get("reason") or data.get("message") or ""
    after = f"; {_reviewed(evidence, event)}" if event.kind is Kind.GATE_WAIVED else ""
    return f"{what}{where}{f': {why}' if why else ''}{after}"


def _reviewed(evidence: Evidence, waived: Event) -> str:
    """Return what became of the approval that is asked for afterwards."""
    debt = waived.data.get("debt")
    settled = next((e for e in evidence.of(Kind.GATE_SETTLED) if e.step == debt), None)
    then = f", settled since by {_who(settled)}: {settled.data.get('reason')}" if settled else ""
    for event in evidence.of(Kind.GATE_DECIDED):
        if event.step == debt:
            return f"{event.data.get('state')} afterwards by {event.data.get('by')}{then}"
    return f"not approved afterwards by then, which was due at {waived.data.get('due_at')}"


def _rules(rules: Any) -> str:
    found = rules if isinstance(rules, list) else []
    return ", ".join(str(r.get("id")) for r in found if isinstance(r, dict)) or "nothing"


def _when(event: Event) -> str:
    return f"{event.at:%Y-%m-%d %H:%M:%S} UTC"


def _who(event: Event) -> str:
    return event.actor.name or event.actor.id

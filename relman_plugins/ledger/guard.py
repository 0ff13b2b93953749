"""The check before every step that changes something: may it go forward, now, by what is recorded?"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from relman_plugins.domain.approval import Panel
from relman_plugins.domain.base import digest_of
from relman_plugins.domain.event import Event, Kind
from relman_plugins.domain.status import Decision
from relman_plugins.errors import Aborted, Held, Lapsed, Refused, Superseded, TooEarly, Unlooked
from relman_plugins.ledger.escalating import is_planned
from relman_plugins.ledger.gates import GateState
from relman_plugins.ledger.projections import is_held
from relman_plugins.ledger.releases import ReleaseRecord
from relman_plugins.ledger.rules import ballot, lacks, planned
from relman_plugins.ledger.subject import SHOWN, differences, subject_of
from relman_plugins.ledger.tickets import check_ticket
from relman_plugins.ledger.waiving import left, not_needed, unasked
from relman_plugins.plan.model import Step, StepKind

_DECISIVE = (
    Kind.RELEASE_CLOSED,
    Kind.RELEASE_HELD,
    Kind.RELEASE_RESUMED,
    Kind.RELEASE_SUPERSEDED,
    Kind.ABORT_REQUESTED,
    Kind.CHANGE_ASSESSED,
    Kind.CHANGE_OUTDATED,
    Kind.GATE_ESCALATED,
    Kind.GATE_WAIVED,
    Kind.GATE_NOT_NEEDED,
    Kind.TICKET_CHECKED,
    Kind.TICKET_CREATED,
    Kind.CHANGE_STARTED,
    Kind.CHANGE_FINISHED,
)


_RAISING = (StepKind.PROVISION, StepKind.DEPLOY, StepKind.PREVIEW, StepKind.SHIFT)
"""Steps that begin a stage's change or raise the new version's share once, when their change is made."""


class Gates(Protocol):
    """Where it is said how a gate stands."""

    def gate(self, release_id: str, gate: str) -> GateState | None: ...  # noqa: D102


class Book(Protocol):
    """What the check reads: the ledger, or what it said once, so that the answer can be given again."""

    @property
    def votes(self) -> Gates: ...  # noqa: D102
    def release(self, release_id: str) -> ReleaseRecord | None: ...  # noqa: D102
    def events(  # noqa: D102
        self, release_id: str, *, kinds: Collection[Kind] | None = None
    ) -> list[Event]: ...


def check_forward(
    ledger: Book,
    release_id: str,
    step: Step,
    *,
    frame: str,
    now: datetime,
    looked: Collection[str] = (),
) -> ReleaseRecord:
    """Return the release if ``step`` may go forward at ``now`` (aware); raise Refused with the reason if not.

    Raises Held, a kind of Refused, when all there is to do is wait for the release to be resumed, Lapsed
    when people have to be asked again first, TooEarly when what they approved takes effect later, and
    Unlooked when a ticket's system has to be asked first; ``looked`` are the gates at which the caller has
    just done that.
    ``frame`` is that of the DAG's shape. What must hold is read from the stored plan, not from
    ``step``. Whether a window is open is the caller's to evaluate. Rollback, abort, teardown and close don't
    call this: nothing may block them. Raises LedgerUnavailable when the ledger can't be read: then nothing
    goes forward either.
    """
    record = ledger.release(release_id)
    if record is None:
        raise Refused(
            f"step {step.id}: there is no release {release_id!r} in the ledger; start the release again"
        )
    _check_plan(record, step, frame)
    events = ledger.events(release_id, kinds=_DECISIVE)
    _check_going_on(record, step, events)
    options = record.plan.options
    if record.plan.shape.step(step.id).ticket and not options.ticket and not options.dry_run:
        raise _refuse(record, step, "a change ticket is required, and the release carries none")
    # A dry run changes nothing, so it asks nobody.
    gates = () if options.dry_run else record.plan.shape.step(step.id).gates
    raises = step.kind is StepKind.ROLL or (
        step.kind in _RAISING and all(e.step != step.id for e in events if e.kind is Kind.CHANGE_FINISHED)
    )
    for gate_id in gates:
        gate_step = record.plan.shape.step(gate_id)
        if gate_step.kind is StepKind.TICKET and raises:
            if gate_id not in looked:
                raise Unlooked(f"step {step.id}: the ticket at {gate_id} is to be looked at first", gate_id)
            check_ticket(record, step, gate_step, events, now)
        if gate_step.kind is StepKind.APPROVAL:
            gate = ledger.votes.gate(release_id, gate_id)
            shown = subject_of(record, gate_step, ledger.events(release_id, kinds=SHOWN))
            if unasked(record, gate_step, events):
                # No rule is left, on record: skipped by somebody who may, or at this risk none is asked for.
                _check_unasked(record, step, events, gate_id, shown)
                continue
            if raises and gate is not None:
                _check_lapse(record, step, gate_step, gate, now)
            _check_gate(record, step, gate_id, gate, _panel(record, gate_step, gate, events), shown, now)
            if gate is not None and gate.effect_at is not None and now < gate.effect_at:
                at = f"{gate.effect_at:%Y-%m-%d %H:%M:%S} UTC"
                raise TooEarly(f"gate {gate.gate} is approved and takes effect at {at}", gate.effect_at)
    return record


def let_past(ledger: Book, record: ReleaseRecord, step: Step, name: str, now: datetime) -> GateState | None:
    """Return the gate at which people let a release past what it names, nothing else; None: they did not.

    ``name`` is one of ``EXCEPTIONS``. Whether what is closed at ``now`` is all among ``past`` of the gate,
    and leaves room for exceptions, is the caller's to see. What must hold is read from the stored plan, as
    with every approval: who may, how many, what they were shown, and whose own release it is.
    """
    gate_step = record.plan.shape.exception(step.stage, name)
    gate = ledger.votes.gate(record.release_id, gate_step.id) if gate_step is not None else None
    if gate_step is None or gate is None:
        return None
    events = ledger.events(record.release_id, kinds=_DECISIVE)
    shown = subject_of(record, gate_step, ledger.events(record.release_id, kinds=SHOWN))
    try:
        _check_gate(record, step, gate_step.id, gate, _panel(record, gate_step, gate, events), shown, now)
    except Refused:
        return None
    return gate


def _refuse(record: ReleaseRecord, step: Step, reason: str) -> Refused:
    return Refused(f"release {record.release_id}, step {step.id}: {reason}")


def _check_plan(record: ReleaseRecord, step: Step, frame: str) -> None:
    if record.stored_hash != record.plan_hash:
        raise _refuse(
            record, step, "the stored plan is not the one the release was opened with; ask who changed it"
        )
    if frame != (planned_for := record.plan.shape.frame):
        raise _refuse(
            record,
            step,
            f"the pipeline's spec changed under the release (it runs {planned_for}, the DAG now has "
            f"{frame}); start another release: this one is of a plan that its pipeline has no more",
        )
    if all(s.id != step.id for s in record.plan.shape.steps):
        raise _refuse(record, step, "the stored plan has no such step")


def _check_going_on(record: ReleaseRecord, step: Step, events: list[Event]) -> None:
    closed = next((e for e in events if e.kind is Kind.RELEASE_CLOSED), None)
    if closed is not None:
        raise _refuse(record, step, f"the release is closed as {closed.data['outcome']}; start another one")
    abort = next((e for e in events if e.kind is Kind.ABORT_REQUESTED), None)
    if abort is not None:
        why = abort.data.get("reason") or "no reason given"
        who = abort.actor.name or abort.actor.id
        raise Aborted(f"release {record.release_id}, step {step.id}: {who} asked to abort the release: {why}")
    newer = next((e for e in events if e.kind is Kind.RELEASE_SUPERSEDED), None)
    if newer is not None:
        raise Superseded(f"release {record.release_id}, step {step.id}: {newer.data['reason']}")
    if is_held(events):
        raise Held(f"release {record.release_id}, step {step.id}: the release is held; resume it first")


def _panel(record: ReleaseRecord, gate_step: Step, gate: GateState | None, events: Sequence[Event]) -> Panel:
    """Return who must have approved by the stored plan, the risk, and what is on record of the gate."""
    escalations = [e for e in events if e.kind is Kind.GATE_ESCALATED]
    escalated = gate is not None and is_planned(gate_step.args, gate, escalations)
    panel = planned(record, gate_step, events, escalated=escalated)
    needed = {rule.id for rule in left(record, gate_step, events)}
    return panel.model_copy(update={"rules": tuple(r for r in panel.rules if r.id in needed)})


def _check_unasked(
    record: ReleaseRecord, step: Step, events: list[Event], gate: str, now: dict[str, Any]
) -> None:
    """Raise Refused unless what is about to ship is what the risk, that asked for nobody, was told of."""
    found = not_needed(events, gate)
    if found is not None and (told := differences(found.data["subject"], now)):
        what = f"gate {gate} asked nobody, since the risk did not ask for it, for {'; '.join(told)}"
        raise _refuse(record, step, f"{what}; clear {gate} so that it is looked at again")


def _check_lapse(record: ReleaseRecord, step: Step, gate_step: Step, gate: GateState, now: datetime) -> None:
    """Raise Lapsed when more traffic is about to rest on an approval that has run out, by the stored plan."""
    where = f"release {record.release_id}, step {step.id}"
    if gate.state == "open" and gate.renews is not None:
        raise Lapsed(f"{where}: people are asked again at {gate.gate}", gate.gate, gate.renews)
    valid_for_s = gate_step.args.get("valid_for_s")
    if gate.state == "approved" and gate.decided_at is not None and valid_for_s is not None:
        end = max(gate.decided_at, gate.effect_at or gate.decided_at) + timedelta(seconds=valid_for_s)
        if now >= end:
            over = f"the approval at {gate.gate} ran out at {end:%Y-%m-%d %H:%M:%S} UTC"
            raise Lapsed(f"{where}: {over}; it is asked for again", gate.gate, gate.round)


def _check_gate(
    record: ReleaseRecord,
    step: Step,
    gate_id: str,
    gate: GateState | None,
    panel: Panel,
    subject: dict[str, Any],
    now: datetime,
) -> None:
    if gate is None:
        raise _refuse(record, step, f"gate {gate_id} was never opened, so nobody has approved")
    if gate.state != "approved" or gate.decided_at is None:
        raise _refuse(record, step, f"gate {gate.gate} is {gate.state}, not approved: see `relman status`")
    if not gate.opened_at <= gate.decided_at < gate.expires_at or gate.decided_at > now:
        raise _refuse(record, step, f"the approval at {gate.gate} lies outside the time it was asked for")
    _check_votes(record, step, gate, panel)
    _check_subject(record, step, gate, subject)


def _check_votes(record: ReleaseRecord, step: Step, gate: GateState, panel: Panel) -> None:
    if short := _short_of(gate, panel):
        told = f"gate {gate.gate} {short}; clear {gate.gate} so that people are asked again"
        raise _refuse(record, step, told)


def falls_short(record: ReleaseRecord, gate_step: Step, gate: GateState, events: Sequence[Event]) -> str:
    """Return what the approvals of a gate lack by the rules of the stored plan, in words; empty if nothing.

    ``events`` are the release's up to the moment in question, of whatever kinds.
    """
    return _short_of(gate, _panel(record, gate_step, gate, events))


def _short_of(gate: GateState, panel: Panel) -> str:
    """Place the votes by the rules of the stored plan, whatever was recorded when the gate was opened."""
    users = {p.id: p.airflow for p in panel.people}
    said = [v for v in gate.votes if v.decision is Decision.APPROVE and v.person in users]
    for vote in said:
        panel = panel.known_as(users[vote.person], vote.name)
    ballots = [ballot(panel, users[v.person], v.comment, v.answers) for v in said]
    if lacking := panel.lacking(ballots):
        valid = panel.needed - panel.missing(ballots)
        return f"has {valid} valid approvals, the plan asks for {panel.needed}: it lacks {lacks(lacking)}"
    return ""


def _check_subject(record: ReleaseRecord, step: Step, gate: GateState, now: dict[str, Any]) -> None:
    """Raise Refused, naming what differs, unless what is about to ship is what was shown and approved."""
    if digest_of(gate.subject) != gate.subject_digest:
        raise _refuse(record, step, f"what was approved at {gate.gate} doesn't match its own digest")
    if found := differences(gate.subject, now):
        told = "; ".join(found)
        raise _refuse(
            record, step, f"the approval at {gate.gate} is for {told}; approve again what is to ship now"
        )

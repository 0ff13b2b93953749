"""Rules of a gate that a release does not have to meet, on record: two ways, and nothing widens them later.

Break-glass: rules that an emergency release skips, with a gate that is opened for afterwards. Who may, and
which rules, is read from the stored plan; whether it is an emergency, why, and who started it, from the
release as it was opened. And rules that the risk of the release does not ask for, see :mod:`.conditions`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from relman_plugins.domain.approval import Rule, authors, own_release
from relman_plugins.domain.base import Frozen, digest_of
from relman_plugins.domain.condition import NotNeeded
from relman_plugins.domain.event import Event, Kind, NewEvent
from relman_plugins.domain.identity import Actor, Person
from relman_plugins.domain.state import Revision
from relman_plugins.errors import LedgerError
from relman_plugins.ledger.ballots import environment_of
from relman_plugins.ledger.conditions import compared, sort
from relman_plugins.ledger.gates import GateState, debt_of, gate_state
from relman_plugins.ledger.live import live_in
from relman_plugins.ledger.record import clean_json, insert_event, select_events
from relman_plugins.ledger.releases import ReleaseRecord, find_release
from relman_plugins.ledger.subject import SHOWN, subject_of
from relman_plugins.plan.model import BreakGlassPlan, Step, StepKind


class Waiver(Frozen):
    """Which rules of a gate a release does not have to meet."""

    skipped: tuple[Rule, ...] = ()
    """Those that an emergency skips."""
    spared: tuple[NotNeeded, ...] = ()
    """Those that its risk does not ask for; they are not skipped as well."""
    left: tuple[Rule, ...]
    """Rules that must be met as ever."""
    why_not: str = ""
    """Why an emergency skips nothing although it could, in words."""


RELIEF = (Kind.CHANGE_ASSESSED, Kind.CHANGE_OUTDATED, Kind.GATE_WAIVED, Kind.GATE_NOT_NEEDED)
"""The kinds of events that say which rules of a gate must be met."""


def waiver(record: ReleaseRecord, gate: Step, events: Sequence[Event]) -> Waiver:
    """Return which rules of a gate a release need not meet, by the stored plan, who started it, and its risk.

    ``events`` are the release's, of the kinds ``RELIEF`` at least.
    """
    rules, spared = sort(record, gate, events)
    may = tuple(rule for rule in rules if rule.waivable)
    if not record.plan.options.emergency or not may:
        return Waiver(left=rules, spared=spared)
    glass, who = _glass(record, gate), record.started_by
    if glass is None:
        why_not = f"nobody may skip rules in {gate.environment}"
        return Waiver(left=rules, spared=spared, why_not=why_not)
    if not any(_is(person, who, glass) for person in glass.people):
        why_not = f"{who.name or who.id} is not in {glass.group}, who may skip rules"
        if nameless := [p.id for p in glass.people if p.airflow.isdecimal() and p.id not in glass.usernames]:
            unknown = ", ".join(nameless)
            why_not += f"; Airflow tells a starter by name: people.yaml gives no username of {unknown}"
        return Waiver(left=rules, spared=spared, why_not=why_not)
    return Waiver(skipped=may, left=tuple(rule for rule in rules if not rule.waivable), spared=spared)


def own_emergency(record: ReleaseRecord, glass: BreakGlassPlan, events: Sequence[Event]) -> dict[str, str]:
    """Return who may not approve afterwards, by Airflow user, and why: who started it, who wrote commits.

    ``events`` are the release's up to the question, of whatever kinds.
    """
    told = [e.data for e in events if e.kind is Kind.CHANGE_ASSESSED]
    own = own_release(glass.reviewers, record.started_by, authors(told), glass.emails)
    started = {p.airflow: "started it" for p in glass.reviewers if _is(p, record.started_by, glass)}
    return own | started


def _is(person: Person, starter: Actor, glass: BreakGlassPlan) -> bool:
    """Say whether a person started a release: Airflow tells that by the user's name, not by the id."""
    return starter.kind == "person" and glass.usernames.get(person.id, person.airflow) == starter.id


def waived(events: Sequence[Event], gate: str) -> bool:
    """Say whether it is on record that an emergency skips rules of a gate."""
    return any(e.kind is Kind.GATE_WAIVED and e.step == gate for e in events)


def left(record: ReleaseRecord, gate: Step, events: Sequence[Event]) -> tuple[Rule, ...]:
    """Return the rules of a gate that must be met, by the stored plan and what is on record."""
    found = waiver(record, gate, events)
    return found.left if waived(events, gate.id) else (*found.left, *found.skipped)


def unasked(record: ReleaseRecord, gate: Step, events: Sequence[Event]) -> bool:
    """Say whether it is on record that nobody is asked at a gate: no rule is left that must be met."""
    on_record = waived(events, gate.id) or not_needed(events, gate.id) is not None
    return gate.kind is StepKind.APPROVAL and on_record and not left(record, gate, events)


def not_needed(events: Sequence[Event], gate: str) -> Event | None:
    """Return the last record of rules that the risk does not ask for; None when there is none."""
    found = (e for e in reversed(events) if e.kind is Kind.GATE_NOT_NEEDED and e.step == gate)
    return next(found, None)


def waive(conn: Connection, release_id: str, gate: str, now: datetime) -> Waiver:
    """Record which rules of a gate a release does not have to meet; return which.

    For those that an emergency skips the gate for afterwards is opened. Idempotent. Nothing is recorded when
    all must be met. The caller holds the release.
    """
    record = find_release(conn, release_id)
    if record is None:
        raise LedgerError(f"there is no release {release_id!r} in the ledger; nothing can be skipped")
    step = record.plan.shape.step(gate)
    _tell_outdated(conn, record, step, now)
    events = select_events(conn, release_id, kinds=RELIEF)
    found, glass = waiver(record, step, events), _glass(record, step)
    if found.spared:
        _spare(conn, record, step, found, now)
    if not found.skipped or glass is None:
        return found
    due = now + timedelta(seconds=glass.within_s)
    own = own_emergency(record, glass, events)
    data = {
        "rules": [_told(rule) for rule in found.skipped],
        "left": [_told(rule) for rule in found.left],
        "reason": record.plan.options.emergency_reason,
        "group": glass.group,
        "reviewing": glass.reviewing,
        "reviewers": [p.model_dump(mode="json") for p in glass.reviewers if p.airflow not in own],
        "debt": debt_of(step.stage),
        "due_at": due.isoformat(),
    }
    event = NewEvent(
        kind=Kind.GATE_WAIVED,
        key=f"ledger:waived:{gate}:{release_id}",
        step=gate,
        environment=step.environment,
        actor=record.started_by,
        data=data,
    )
    if insert_event(conn, release_id, event, now) is not None:
        _open_debt(conn, record, step, glass, due, now)
    return found


def _tell_outdated(conn: Connection, record: ReleaseRecord, gate: Step, now: datetime) -> None:
    """Record that another version is live than the change was compared with, once for each environment.

    Then nobody knows the risk. What the release itself has brought there is no other version.
    """
    events = select_events(conn, record.release_id, kinds=(Kind.CHANGE_ASSESSED, Kind.ARTIFACT_BUILT))
    own = [Revision.model_validate(e.data["revision"]) for e in events if e.kind is Kind.ARTIFACT_BUILT][-1:]
    for environment, then in compared(record, gate, events).items():
        there = live_in(conn, environment).get(record.plan.shape.service)
        digest = there.digest if there and then.live_digest else ""
        same = (there.version if there else "", digest) == (then.live, then.live_digest)
        if same or (there and [(r.version, r.digest) for r in own] == [(there.version, there.digest)]):
            continue
        event = NewEvent(
            kind=Kind.CHANGE_OUTDATED,
            key=f"ledger:outdated:{environment}:{record.release_id}",
            step=gate.id,
            environment=environment,
            data={"assessed": then.live, "live": there.version if there else ""},
        )
        insert_event(conn, record.release_id, event, now)


def _spare(conn: Connection, record: ReleaseRecord, step: Step, found: Waiver, now: datetime) -> None:
    """Record what the risk does not ask for, once for each state of what would ship."""
    subject = clean_json(subject_of(record, step, select_events(conn, record.release_id, kinds=SHOWN)))
    digest = digest_of(subject)
    data = {
        "rules": [one.model_dump(mode="json") for one in found.spared],
        "left": [_told(rule) for rule in (*found.left, *found.skipped)],
        "subject": subject,
        "subject_digest": digest,
    }
    event = NewEvent(
        kind=Kind.GATE_NOT_NEEDED,
        key=f"ledger:not_needed:{step.id}:{digest.removeprefix('sha256:')[:16]}:{record.release_id}",
        step=step.id,
        environment=step.environment,
        data=data,
    )
    insert_event(conn, record.release_id, event, now)


def tell_overdue(conn: Connection, state: GateState, now: datetime) -> Event | None:
    """Record that nobody has decided in time about what was skipped, once; None when that is not so."""
    if not state.debt or state.state != "open" or now < state.expires_at:
        return None
    data = {
        "people": [p.model_dump(mode="json") for p in state.awaited],
        "due_at": state.expires_at.isoformat(),
        "waived": state.subject.get("waived") or [],
        "round": state.round,
    }
    event = NewEvent(
        kind=Kind.GATE_OVERDUE,
        key=f"ledger:overdue:{state.gate}:{state.release_id}",
        step=state.gate,
        environment=environment_of(conn, state.release_id, state.gate),
        data=data,
    )
    return insert_event(conn, state.release_id, event, now)


def _open_debt(
    conn: Connection, record: ReleaseRecord, step: Step, glass: BreakGlassPlan, due: datetime, now: datetime
) -> None:
    """Open the gate at which the skipped rules of a stage are approved afterwards, once for each stage."""
    debt = debt_of(step.stage)
    if gate_state(conn, record.release_id, debt) is not None:
        return
    gates = [s for s in record.plan.shape.steps if s.kind is StepKind.APPROVAL and s.stage == step.stage]
    events = select_events(conn, record.release_id, kinds=SHOWN)
    skipped = [
        _told(rule) | {"gate": gate.id} for gate in gates for rule in waiver(record, gate, events).skipped
    ]
    subject = clean_json(subject_of(record, step, events) | {"step": debt, "waived": skipped})
    people = [p.model_dump(mode="json") for p in glass.reviewers]
    rule = Rule(
        id=glass.reviewing,
        group=glass.reviewing,
        people=tuple(p.id for p in glass.reviewers),
        self_approval="refused",
    )
    data: dict[str, Any] = {
        "subject": subject,
        "subject_digest": digest_of(subject),
        "people": people,
        "quorum": 1,
        "rules": [rule.model_dump(mode="json")],
        "own": own_emergency(record, glass, events),
        "on_timeout": "expire",
        "expires_at": due.isoformat(),
        "remind_s": None,
        "round": 1,
        "debt": True,
    }
    event = NewEvent(
        kind=Kind.GATE_OPENED,
        key=f"ledger:gate:{record.release_id}:{debt}:1",
        step=debt,
        environment=step.environment,
        data=data,
    )
    insert_event(conn, record.release_id, event, now)


def _glass(record: ReleaseRecord, step: Step) -> BreakGlassPlan | None:
    return record.plan.shape.environment(step.environment or "").break_glass


def _told(rule: Rule) -> dict[str, Any]:
    return {"id": rule.id, "group": rule.called, "quorum": rule.quorum}

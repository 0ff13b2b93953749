"""Were people shown what they approved, might they, and did they give what the plan's rules ask for?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Any

from relman_plugins.domain.approval import Rule
from relman_plugins.domain.base import digest_of
from relman_plugins.domain.event import Event, Kind
from relman_plugins.domain.identity import Person
from relman_plugins.evidence.record import Evidence
from relman_plugins.ledger.api import (
    SHOWN,
    canonical_subject,
    debt_of,
    differences,
    falls_short,
    moment_of,
    own_emergency,
    state_of,
    waiver,
)
from relman_plugins.plan.model import BreakGlassPlan, Step, StepKind

_RULED = (StepKind.APPROVAL, StepKind.CHECKLIST, StepKind.PARITY)
"""Steps of which the plan says who answers."""

MOST = 2000
"""Questions, answers and decisions of one release that are checked: a person is asked a few times."""

_COUNTED = (
    Kind.GATE_OPENED,
    Kind.GATE_VOTED,
    Kind.GATE_VOTE_WITHDRAWN,
    Kind.GATE_DECIDED,
    Kind.GATE_WAIVED,
    Kind.GATE_NOT_NEEDED,
)

_LATER = (
    Kind.GATE_VOTED,
    Kind.GATE_VOTE_WITHDRAWN,
    Kind.GATE_ESCALATED,
    Kind.GATE_DECIDED,
    Kind.GATE_SETTLED,
)


def approvals(evidence: Evidence) -> Iterator[str]:
    """Check each round of each gate: what was shown, to whom, who voted, and what that gave by the plan."""
    rounds: dict[tuple[str, Any], Event] = {}
    if sum(1 for _ in evidence.of(*_COUNTED)) > MOST:
        yield f"there are more than {MOST} questions and decisions, and that is no release that relman made"
        return
    for n, event in enumerate(evidence.events):
        place = (event.step or "", event.data.get("round"))
        where = f"gate {place[0]}, round {place[1]}"
        if event.kind is Kind.GATE_OPENED:
            if place in rounds:
                yield f"{where}: it is asked twice, by event {rounds[place].id} and event {event.id}"
            rounds[place] = event
            yield from (f"{where}: {problem}" for problem in _shown(evidence, event, evidence.events[:n]))
        elif event.kind is Kind.GATE_WAIVED:
            found = _waived(evidence, event, evidence.events[:n])
            yield from (f"gate {event.step}: {problem}" for problem in found)
        elif event.kind is Kind.GATE_NOT_NEEDED:
            found = _spared(evidence, event, evidence.events[:n])
            yield from (f"gate {event.step}: {problem}" for problem in found)
        elif event.kind in _LATER and place not in rounds:
            yield f"{where}: event {event.id} ({event.kind}) stands before the question"
        elif event.kind in (Kind.GATE_VOTED, Kind.GATE_VOTE_WITHDRAWN):
            yield from (f"{where}: {problem}" for problem in _vote(rounds[place], event))
        elif event.kind is Kind.GATE_DECIDED:
            before = evidence.events[: n + 1]
            problems = _decided(evidence, rounds[place], event, before)
            yield from (f"{where}: {problem}" for problem in problems)
        elif event.kind is Kind.GATE_SETTLED:
            problems = _settled(evidence, rounds[place], event, evidence.events[:n])
            yield from (f"{where}: {problem}" for problem in problems)


def _shown(evidence: Evidence, opened: Event, before: Sequence[Event]) -> Iterator[str]:
    data, record = opened.data, evidence.record
    if digest_of(data["subject"]) != data["subject_digest"]:
        yield "what was shown has another digest than the one that people approved"
    shape = record.plan.shape
    step = _planned(evidence, opened)
    if data.get("debt"):
        gates = [s for s in shape.steps if debt_of(s.stage) == opened.step and s.kind is StepKind.APPROVAL]
        if not gates:
            yield "the plan has no gates whose rules it could approve afterwards"
        reviewers = _reviewers(evidence, gates[0]) if gates else ()
        yield from _people(reviewers, data)
    elif step is None:
        yield "the plan has no such gate"
    elif step.kind is StepKind.APPROVAL:
        told = [e for e in before if e.kind in SHOWN]
        for found in differences(data["subject"], canonical_subject(record, step, told)):
            yield f"people were shown something else than the record had by then: {found}"
    if step is not None and step.kind in _RULED:
        yield from _people(record.plan.people(step.id), data)


def _people(planned: Sequence[Person], data: dict[str, Any]) -> Iterator[str]:
    known = {p.id: p.airflow for p in planned}
    asked = {p["id"]: p["airflow"] for p in data["people"]}
    if more := sorted(id_ for id_, user in asked.items() if known.get(id_) != user):
        yield f"{', '.join(more)} could answer, whom the plan does not name"


def _vote(opened: Event, event: Event) -> Iterator[str]:
    person, people = event.data["person"], {p["id"] for p in opened.data["people"]}
    what = "took a vote back" if event.kind is Kind.GATE_VOTE_WITHDRAWN else "voted"
    if person not in people:
        yield f"event {event.id}: {person} {what}, whom nobody had asked"
    if person != event.actor.id or event.actor.kind != "person":
        yield f"event {event.id}: the vote of {person} was cast by {event.actor.id}"
    if not opened.at <= event.at < moment_of(opened.data["expires_at"]):
        yield f"event {event.id}: {person} {what} outside the time that the question had"


def _decided(evidence: Evidence, opened: Event, event: Event, before: Sequence[Event]) -> Iterator[str]:
    data = event.data
    if data["digest"] != opened.data["subject_digest"]:
        yield f"it was decided on {data['digest']}, people were shown {opened.data['subject_digest']}"
    if data["state"] != "approved":
        return
    gate = state_of([e for e in before if e.step == opened.step])
    if gate is None or gate.round != opened.data["round"]:
        yield f"event {event.id} approves a question that was asked anew since"
        return
    if not event.at < gate.expires_at:
        yield "it was approved when its time was over"
    if any(v.decision.value == "reject" for v in gate.votes):
        yield "it was approved though somebody had said no"
    step, short = _planned(evidence, opened), ""
    if gate.debt:
        short = "" if _reviewed(evidence, opened, gate.votes) else "has no approval of a reviewer"
    elif step is not None and step.kind in _RULED:
        short = falls_short(evidence.record, step, gate, before)
    elif not gate.votes:
        short = "has no valid approval"
    if short:
        yield f"it was decided as approved, and {short}"


def _settled(evidence: Evidence, opened: Event, event: Event, before: Sequence[Event]) -> Iterator[str]:
    """Check that what was done about a rejection was said by a reviewer, or that there was a rollback."""
    gate = state_of([e for e in before if e.step == opened.step])
    if gate is None or not gate.debt or gate.state != "rejected":
        yield f"event {event.id} settles what nobody had rejected"
    elif event.data["how"] == "rolled_back":
        since = gate.decided_at or event.at
        back = (e for e in before if e.kind is Kind.ROLLBACK_FINISHED and e.environment == event.environment)
        if all(e.at < since for e in back):
            yield f"event {event.id} settles it by a rollback that is not on record"
    elif not _answered_for(evidence, opened, [(event.actor.id, event.actor.name)]):
        yield f"event {event.id} settles it in the name of {event.actor.id}, who is no reviewer of it"


def _planned(evidence: Evidence, event: Event) -> Step | None:
    """Return the step of the plan that an event is about."""
    try:
        return evidence.record.plan.shape.step(event.step or "")
    except KeyError:
        return None


def _waived(evidence: Evidence, event: Event, before: Sequence[Event]) -> Iterator[str]:
    step = _planned(evidence, event)
    if step is None or step.kind is not StepKind.APPROVAL:
        yield f"event {event.id} skips rules of a gate that the plan does not have"
        return
    found = waiver(evidence.record, step, before)
    said = [rule["id"] for rule in event.data["rules"]]
    if said != [rule.id for rule in found.skipped]:
        why = found.why_not or f"it lets {_named(found.skipped)} be skipped"
        yield f"event {event.id} skips {', '.join(map(str, said)) or 'nothing'}; by the plan {why}"


def _spared(evidence: Evidence, event: Event, before: Sequence[Event]) -> Iterator[str]:
    """Weigh the recorded findings again, by the stored plan, as they were when the rules were left out."""
    step = _planned(evidence, event)
    if step is None or step.kind is not StepKind.APPROVAL:
        yield f"event {event.id} leaves out rules of a gate that the plan does not have"
        return
    by_risk = [one.id for one in waiver(evidence.record, step, before).spared]
    said = [str(rule["id"]) for rule in event.data["rules"]]
    if said != by_risk:
        told = f"by what was assessed {', '.join(by_risk) or 'nothing'} is"
        yield f"event {event.id} leaves out {', '.join(said) or 'nothing'}; {told}"


def _named(rules: Sequence[Rule]) -> str:
    return ", ".join(rule.id for rule in rules) or "nothing"


def _reviewers(evidence: Evidence, gate: Step) -> tuple[Person, ...]:
    glass = _glass(evidence, gate)
    return glass.reviewers if glass is not None else ()


def _glass(evidence: Evidence, gate: Step) -> BreakGlassPlan | None:
    return evidence.record.plan.shape.environment(gate.environment or "").break_glass


def _reviewed(evidence: Evidence, opened: Event, votes: Sequence[Any]) -> bool:
    """Say whether somebody approved afterwards whom the plan asks, and whose own release it is not."""
    return _answered_for(
        evidence, opened, [(v.person, v.name) for v in votes if v.decision.value == "approve"]
    )


def _answered_for(evidence: Evidence, opened: Event, people: Sequence[tuple[str, str]]) -> bool:
    """Say whether one of these people (id, name) is a reviewer by the plan, and did not make the release."""
    shape, starter = evidence.record.plan.shape, evidence.record.started_by
    gates = [s for s in shape.steps if debt_of(s.stage) == opened.step and s.kind is StepKind.APPROVAL]
    before = list(takewhile(lambda event: event is not opened, evidence.events))
    for glass in (found for gate in gates if (found := _glass(evidence, gate)) is not None):
        users = {p.id: p.airflow for p in glass.reviewers}
        own = {starter.id, starter.name, *own_emergency(evidence.record, glass, before)}
        if any(id_ in users and not own.intersection((users[id_], name)) for id_, name in people):
            return True
    return False

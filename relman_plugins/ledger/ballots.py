"""What becomes of one vote: checked, refused or recorded. Functions run in the caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, insert

from relman_plugins.domain.approval import Lacking
from relman_plugins.domain.base import Frozen, digest_of
from relman_plugins.domain.chain import row_digest
from relman_plugins.domain.checklist import Item, checked
from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.domain.identity import Actor, Person
from relman_plugins.domain.status import Decision
from relman_plugins.errors import LedgerError
from relman_plugins.ledger import tables as t
from relman_plugins.ledger.gates import GateState, State, Vote, counted, gate_state, place_of
from relman_plugins.ledger.record import clean_text, insert_event, is_closed, select_events
from relman_plugins.ledger.releases import find_release
from relman_plugins.ledger.rules import ballot, given, unmet

COMMENT_LIMIT = 4000
"""Characters of a comment that are kept."""

REASON_LIMIT = 500
"""Characters of the reason of a refusal that are kept: it may quote what was answered."""

Code = Literal[
    "accepted",
    "unknown_gate",
    "release_closed",
    "decided",
    "expired",
    "not_entitled",
    "not_yet",
    "own_release",
    "comment_required",
    "other_digest",
    "voted_already",
    "unfit_answers",
    "unfit_time",
    "not_voted",
    "not_owed",
    "other_round",
    "unknown_slack_user",
    "link_only",
    "not_authorised",
]


class VoteResult(Frozen):
    """What became of a vote."""

    accepted: bool
    code: Code
    """Why, for programs."""
    reason: str
    """Why, for the person who voted: one sentence with what to do next."""
    gate: GateState | None
    """The gate after the vote; None when there is no such gate."""


def require(conn: Connection, release_id: str, gate: str) -> GateState:
    """Return a gate in its latest round; raise LedgerError when there is none."""
    state = gate_state(conn, release_id, gate)
    if state is None:
        raise LedgerError(f"release {release_id} has no gate {gate}")
    return state


def environment_of(conn: Connection, release_id: str, gate: str) -> str | None:
    """Return the environment of a gate's step; None when it has none."""
    record = find_release(conn, release_id)
    return place_of(record.plan.shape, gate) if record else None


def refusal(code: Code, reason: str, gate: GateState | None) -> VoteResult:
    """Return the result of a vote that does not count."""
    return VoteResult(accepted=False, code=code, reason=reason, gate=gate)


def refusal_of(
    conn: Connection, state: GateState, person: Person | None, user: str, digest: str | None, now: datetime
) -> VoteResult | None:
    """Return why a vote does not count; None when nothing is against it but, perhaps, what it says."""
    where = f"gate {state.gate} of {state.release_id}"
    refused = _closed(conn, state, person, user, now)
    if refused is not None or person is None:
        return refused
    earlier = next((v for v in state.votes if v.person == person.id), None)
    if earlier is not None:
        return refusal(
            "voted_already",
            f"{person.id} already said {earlier.decision} at {where}; withdraw that to say something else",
            state,
        )
    if digest is not None and digest != state.subject_digest:
        return refusal(
            "other_digest",
            f"what was shown ({digest}) is not what {where} asks about now ({state.subject_digest}); "
            "look again, then vote",
            state,
        )
    return None


def withdrawal_refused(
    conn: Connection, state: GateState, person: Person | None, user: str, now: datetime
) -> VoteResult | None:
    """Return why a vote can't be taken back; None when it can."""
    refused = _closed(conn, state, person, user, now)
    if refused is None and person is not None and all(v.person != person.id for v in state.votes):
        reason = f"{person.id} has no vote at gate {state.gate} of {state.release_id} to withdraw"
        return refusal("not_voted", reason, state)
    return refused


def _closed(
    conn: Connection, state: GateState, person: Person | None, user: str, now: datetime
) -> VoteResult | None:
    """Return why somebody can't say anything at a gate, or no more."""
    where = f"gate {state.gate} of {state.release_id}"
    if person is None:
        who = ", ".join(p.name or p.airflow for p in state.people)
        spared = "; ".join(one.line() for one in state.not_needed)
        why = f" (not asked for: {spared})" if spared else ""
        return refusal("not_entitled", f"{user} may not answer {where}; ask one of: {who}{why}", state)
    if state.state != "open":
        return refusal(
            "decided",
            f"{where} is {state.state} by {state.decided_by} since {_when(state.decided_at)}; that stands",
            state,
        )
    if is_closed(conn, state.release_id) and not state.debt:
        return refusal("release_closed", f"release {state.release_id} is closed; start another one", state)
    if now >= state.expires_at and not state.debt:
        return refusal("expired", f"{where} ended at {_when(state.expires_at)}; start another release", state)
    if early := state.too_early(person.id):
        return refusal("not_yet", f"{where} does not call on {user} yet: {early}", state)
    return None


def fitting(
    state: GateState,
    user: str,
    name: str,
    decision: Decision,
    comment: str,
    answers: Mapping[str, Any],
) -> dict[str, Any] | VoteResult:
    """Return what a vote says beside yes or no, as it is recorded; or why it can't count as it is.

    A rejection needs no more than somebody who is entitled. An approval is refused when it can count for no
    rule, and when it would help the gate on if only it said what a rule asks for.
    """
    where = f"gate {state.gate} of {state.release_id}"
    items = items_of(state)
    try:
        if items:
            return dict(checked(items, answers, decision))
        if decision is Decision.REJECT:
            return {}
        said = given(state.panel, answers)
    except ValueError as error:
        return refusal("unfit_answers", f"{where}: {error}", state)
    panel = state.panel.known_as(user, name)
    rules, mine = panel.open_to(user), ballot(panel, user, comment, said)
    if not rules:
        able = ", ".join(p.name or p.id for p in state.awaited if p.airflow != user)
        asked = f"ask one of: {able}" if able else "somebody else must start the release"
        if not panel.called_by(user):
            return refusal("not_entitled", f"{where} does not call on {user} now; {asked}", state)
        why = f"{user} {panel.own[user]}, and nobody approves their own release"
        return refusal("own_release", f"{where}: {why}; {asked}", state)
    whole = mine._replace(meets=frozenset(rule.id for rule in rules))
    ballots = state.ballots
    helps, would = panel.helps(mine, ballots), panel.helps(whole, ballots)
    if helps or (panel.able(mine) and not would):
        return said
    lacking = [rule for rule in rules if unmet(rule, comment, said)]
    told = " or ".join(f"for {rule.called}: {', '.join(unmet(rule, comment, said))}" for rule in lacking)
    only_comment = all(unmet(rule, comment, said) == ["a comment"] for rule in lacking)
    code: Code = "comment_required" if only_comment else "unfit_answers"
    return refusal(code, f"{where}: an approval must say more, {told}; approve again with it", state)


def items_of(state: GateState) -> list[Item]:
    """Return the items of a checklist's gate; none for others."""
    return [Item.model_validate(i) for i in state.subject.get("checklist") or ()]


def insert_vote(
    conn: Connection,
    state: GateState,
    actor: Actor,
    decision: Decision,
    comment: str,
    answers: Mapping[str, Any],
    now: datetime,
    not_before: datetime | None = None,
) -> None:
    """Record a vote, and the event that tells of it: the record that counts.

    The table has the first vote of each person in a round; one that follows a withdrawn one is an event only.
    """
    n = 1 + withdrawn(conn, state, actor.id)
    row = _insert_row(conn, state, actor, decision, comment, now) if n == 1 else None
    data = {
        "person": actor.id,
        "decision": decision.value,
        "comment": comment,
        "via": actor.via,
        "round": state.round,
        **({"answers": dict(answers)} if answers else {}),
        **({"not_before": not_before.isoformat()} if not_before else {}),
        **({"row_digest": row_digest(row)} if row else {"n": n}),
        **_then(state, [*state.votes, _vote(actor, decision, comment, answers, now)]),
    }
    key = f"voted:{state.gate}:{state.round}:{actor.id}" + (f":{n}" if n > 1 else "")
    _tell(conn, state, Kind.GATE_VOTED, key, actor, data, now)


def withdraw_vote(conn: Connection, state: GateState, actor: Actor, comment: str, now: datetime) -> None:
    """Record that a person takes back the vote that stands."""
    n = 1 + withdrawn(conn, state, actor.id)
    stood = next(v.decision.value for v in state.votes if v.person == actor.id)
    data = {
        "person": actor.id,
        "decision": stood,
        "comment": comment,
        "via": actor.via,
        "round": state.round,
        "n": n,
        **_then(state, [v for v in state.votes if v.person != actor.id]),
    }
    key = f"withdrawn:{state.gate}:{state.round}:{actor.id}:{n}"
    _tell(conn, state, Kind.GATE_VOTE_WITHDRAWN, key, actor, data, now)


def _vote(actor: Actor, decision: Decision, comment: str, answers: Mapping[str, Any], now: datetime) -> Vote:
    return Vote(
        person=actor.id,
        name=actor.name,
        decision=decision,
        comment=comment,
        via=actor.via,
        at=now,
        answers=dict(answers),
    )


def _then(state: GateState, votes: Sequence[Vote]) -> dict[str, Any]:
    """Return how an open gate stands with these votes, for those who are told of one."""
    if any(v.decision is Decision.REJECT for v in votes):
        return {}
    then = counted(state.model_copy(update={"votes": tuple(votes)}))
    return {"quorum": state.quorum, "missing": then.missing, "still": still(then)}


def withdrawn(conn: Connection, state: GateState, person: str) -> int:
    """Return how many votes a person has taken back in this round."""
    events = select_events(conn, state.release_id, kinds=[Kind.GATE_VOTE_WITHDRAWN])
    mine = (state.gate, state.round, person)
    return sum((e.step, e.data["round"], e.data["person"]) == mine for e in events)


def _insert_row(
    conn: Connection, state: GateState, actor: Actor, decision: Decision, comment: str, now: datetime
) -> dict[str, Any]:
    row = {
        "release_id": state.release_id,
        "gate": state.gate,
        "round": state.round,
        "person": actor.id,
        "name": clean_text(actor.name)[:200],
        "decision": decision.value,
        "digest": state.subject_digest,
        "comment": comment,
        "via": actor.via,
        "at": now,
    }
    row["id"] = conn.execute(insert(t.vote).values(row).returning(t.vote.c.id)).scalar_one()
    return row


def insert_refusal(
    conn: Connection, state: GateState, actor: Actor, decision: Decision, refused: VoteResult, now: datetime
) -> None:
    """Record that a vote did not count, once for each person, round and reason, however often they try."""
    data = {
        "person": clean_text(actor.id)[:200],
        "decision": decision.value,
        "via": actor.via,
        "round": state.round,
        "code": refused.code,
        "reason": refused.reason[:REASON_LIMIT],
    }
    # A user's name may be of any length, a key may not.
    who = digest_of({"person": actor.id, "code": refused.code}).removeprefix("sha256:")[:32]
    known = actor.model_copy(update={"id": data["person"], "name": clean_text(actor.name)[:200]})
    _tell(conn, state, Kind.VOTE_REFUSED, f"refused:{state.gate}:{state.round}:{who}", known, data, now)


def decide(
    conn: Connection,
    state: GateState,
    outcome: State,
    actor: Actor,
    by: str,
    comment: str,
    now: datetime,
    answers: Mapping[str, str] | None = None,
) -> GateState:
    """Record how a gate was decided and by whom; return it so."""
    data = {
        "state": outcome,
        "by": by,
        "digest": state.subject_digest,
        "round": state.round,
        "comment": comment,
        **({"answers": dict(answers)} if answers else {}),
        **({"effect_at": state.effect_at.isoformat()} if outcome == "approved" and state.effect_at else {}),
    }
    _tell(conn, state, Kind.GATE_DECIDED, f"decided:{state.gate}:{state.round}", actor, data, now)
    return require(conn, state.release_id, state.gate)


def _tell(
    conn: Connection,
    state: GateState,
    kind: Kind,
    key: str,
    actor: Actor,
    data: dict[str, Any],
    now: datetime,
) -> None:
    event = NewEvent(
        kind=kind,
        key=f"ledger:{key}:{state.release_id}",
        step=state.gate,
        environment=environment_of(conn, state.release_id, state.gate),
        actor=actor,
        data=data,
    )
    insert_event(conn, state.release_id, event, now)


def what_now(state: GateState) -> str:
    """Return what follows from a vote that counts, for the person who voted."""
    if state.state != "open":
        later = f", and takes effect at {_when(state.effect_at)}" if state.effect_at else ""
        return f"recorded; {state.gate} is {state.state}{later}"
    told = f"recorded; {state.missing} more of {state.quorum} approvals needed at {state.gate}"
    return f"{told}: {still(state)}"


def still(state: GateState) -> str:
    """Say what an open gate lacks, and who can give it: ``1 of board (Alice, Bob), with a comment``."""
    names = {p.id: p.name or p.id for p in state.people}
    return state.impossible or "; ".join(_lacks(one, names) for one in state.lacking)


def _lacks(lacking: Lacking, names: Mapping[str, str]) -> str:
    able = [names[id_] for id_ in lacking.people]
    able += [f"{names[id_]} by withdrawing and voting again" for id_ in lacking.again]
    listed = ", ".join(able) or "nobody is left"
    wanted = f", with {' and '.join(lacking.wants)}" if lacking.wants else ""
    return f"{lacking.missing} of {f'{lacking.group} ({listed})' if lacking.group else listed}{wanted}"


def _when(at: datetime | None) -> str:
    return at.isoformat(timespec="seconds") if at else "?"

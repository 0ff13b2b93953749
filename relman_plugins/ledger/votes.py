"""The vote service: the one place where a person's decision is checked and recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from relman_plugins.domain.approval import Rule
from relman_plugins.domain.base import digest_of
from relman_plugins.domain.condition import NotNeeded
from relman_plugins.domain.event import Event, Kind, NewEvent
from relman_plugins.domain.identity import Actor, Person
from relman_plugins.domain.status import Decision
from relman_plugins.errors import LedgerError, Superseded
from relman_plugins.ledger import effect, escalating, reminding, settling, superseding, waiving
from relman_plugins.ledger.asked import Gates
from relman_plugins.ledger.ballots import (
    COMMENT_LIMIT,
    Code,
    VoteResult,
    decide,
    environment_of,
    fitting,
    insert_refusal,
    insert_vote,
    items_of,
    refusal,
    refusal_of,
    require,
    what_now,
    withdraw_vote,
    withdrawal_refused,
)
from relman_plugins.ledger.gates import GateState, OnTimeout, State, gate_state
from relman_plugins.ledger.record import clean_json, clean_text, insert_event, release_name, select_events
from relman_plugins.ledger.releases import find_release
from relman_plugins.ledger.rules import recorded


class Votes(Gates):
    """Gates and votes of a ledger. Every call is one transaction, exclusive for its release."""

    def open_gate(
        self,
        release_id: str,
        gate: str,
        *,
        subject: dict[str, Any],
        people: Sequence[Person],
        quorum: int,
        timeout_s: float,
        on_timeout: OnTimeout,
        rules: Sequence[Rule] = (),
        own: Mapping[str, str] | None = None,
        not_needed: Sequence[NotNeeded] = (),
        remind_s: float | None = None,
        escalate: Mapping[str, Any] | None = None,
        valid_for_s: float | None = None,
        renews: int | None = None,
        asker: str | None = None,
        at: datetime | None = None,
    ) -> GateState:
        """Open a gate, or return it as it is when it was opened before: idempotent.

        ``gate`` is the id of the gate's step. Without ``rules`` any ``quorum`` of ``people`` approve; with
        them ``people`` is everybody whom one of them calls on, and ``quorum`` what they need together.
        ``own`` says whose own release it is, by Airflow user; ``not_needed`` are rules that are not among
        ``rules``, as the risk does not ask for them. ``timeout_s`` counts from ``at`` (aware; None
        means now). With ``remind_s``, ``remind`` reminds those who can still answer each time so many
        seconds have passed. With ``escalate`` (``{after_s, group, people: [ids]}``) those may answer too from
        then on. A new round begins only when ``subject`` is another one than before and nobody
        has said no: what was asked or approved is not what would ship any more; or when the last round is
        ``renews``, an approval that has run out (``valid_for_s`` after it was given). A rejected or expired
        gate stays so. ``asker`` is the step whose task asks, if it is not the gate's own. Raises LedgerError
        when there is no such release or the rules can't be met, and Superseded when a newer one was approved
        for the place.
        """
        asked = {
            "people": [p.model_dump(mode="json") for p in people],
            "quorum": quorum,
            **({"rules": [rule.model_dump(mode="json") for rule in rules]} if rules else {}),
            **({"own": dict(own)} if own else {}),
            **({"not_needed": [one.model_dump(mode="json") for one in not_needed]} if not_needed else {}),
        }
        _check_rules(f"gate {gate} of {release_id}", asked)
        subject = clean_json(subject)
        digest = digest_of(subject)
        with self._db.write() as conn:
            superseding.exclude(conn, release_id, gate)
            before = gate_state(conn, release_id, gate)
            again = before is not None and before.state == "approved" and before.round == renews
            if before and not again and before.stands_for(digest):
                return before
            now = self._db.now()
            gone = superseding.overtaken(conn, release_id, gate, now)
            if gone is None:
                opened_at = (at or now).astimezone(UTC)
                round_ = before.round + 1 if before else 1
                data = {
                    "subject": subject,
                    "subject_digest": digest,
                    **asked,
                    "on_timeout": on_timeout,
                    "expires_at": (opened_at + timedelta(seconds=timeout_s)).isoformat(),
                    "remind_s": remind_s,
                    "valid_for_s": valid_for_s,
                    **({"escalate": dict(escalate)} if escalate else {}),
                    "round": round_,
                    **({"renews": renews} if again else {}),
                    **({"asker": asker} if asker else {}),
                }
                event = NewEvent(
                    kind=Kind.GATE_OPENED,
                    key=f"ledger:gate:{release_id}:{gate}:{round_}",
                    step=gate,
                    environment=environment_of(conn, release_id, gate),
                    data=data,
                    at=opened_at,
                )
                insert_event(conn, release_id, event, now)
                return require(conn, release_id, gate)
        raise Superseded(f"gate {gate} of {release_id} is not opened: {gone.data['reason']}")

    def cast(
        self,
        release_id: str,
        gate: str,
        *,
        airflow_user: str,
        name: str = "",
        decision: Decision,
        digest: str | None = None,
        comment: str = "",
        answers: Mapping[str, Any] | None = None,
        not_before: datetime | None = None,
        round_: int | None = None,
        via: str,
    ) -> VoteResult:
        """Check and record one person's vote; decide the gate when it is the one that decides.

        ``airflow_user`` is whom the auth manager says the voter is, ``digest`` what was shown to them and
        ``round_`` the round they were asked in (None when the way in can't tell), ``via`` the way in:
        ``airflow`` (its Required Actions page), ``api``, ``cli``, ``page`` (relman's own) or ``slack``.
        One reject decides; approvals decide when all rules are met.
        ``answers`` are those to the items of a checklist, by id
        (:func:`relman_plugins.domain.checklist.checked` says which are taken), or to the fields that the
        rules ask for. An approval of one's own release is refused unless a rule allows it. With
        ``not_before`` (aware) an approval takes effect then; of several such times the latest counts. A
        refused vote decides nothing; that it was refused, and why, is recorded once for each person, gate,
        round and reason, and told to nobody. With the last approval that a release needs for an environment,
        the older ones of its pipeline that wait there are superseded, in the same transaction.
        """
        with self._db.write() as conn:
            older = superseding.exclude(conn, release_id, gate)
            state = gate_state(conn, release_id, gate)
            if state is None:
                return refusal(
                    "unknown_gate", f"release {release_id} has no open gate {gate}; see `relman status`", None
                )
            now = self._db.now()
            state = escalating.as_of(conn, state, now)
            person = next((p for p in state.people if p.airflow == airflow_user), None)
            actor = Actor(
                kind="person",
                id=person.id if person else airflow_user,
                name=name or (person.name if person else ""),
                via=via,
            )
            comment = clean_text(comment)[:COMMENT_LIMIT]
            said: dict[str, Any] = {}
            refused = refusal_of(conn, state, person, airflow_user, digest, now)
            if refused is None and round_ not in (None, state.round):
                refused = refusal(
                    "other_round",
                    f"{state.gate} of {release_id} is asked about anew since; look at the newest question",
                    state,
                )
            if refused is None:
                fits = fitting(state, airflow_user, actor.name, decision, comment, answers or {})
                said, refused = (fits, None) if isinstance(fits, dict) else ({}, fits)
                try:
                    not_before = effect.checked(state.subject, decision, not_before, now)
                except ValueError as error:
                    refused = refused or refusal("unfit_time", f"gate {gate} of {release_id}: {error}", state)
            if refused is not None or person is None:
                refused = refused or refusal("not_entitled", f"{airflow_user} may not answer", state)
                insert_refusal(conn, state, actor, decision, refused, now)
                return refused
            insert_vote(conn, state, actor, decision, comment, said, now, not_before)
            state = require(conn, release_id, gate)
            items = said if items_of(state) else {}
            if decision is Decision.REJECT:
                state = decide(conn, state, "rejected", actor, person.id, comment, now, items)
            elif not state.missing:
                state = decide(conn, state, "approved", actor, person.id, comment, now, items)
                if not state.debt:
                    superseding.supersede(conn, release_id, gate, older, actor, now)
            return VoteResult(accepted=True, code="accepted", reason=what_now(state), gate=state)

    def withdraw(
        self, release_id: str, gate: str, *, airflow_user: str, name: str = "", comment: str = "", via: str
    ) -> VoteResult:
        """Take back a person's vote while the gate is open; the same person may vote again.

        Both stay in the record. ``comment`` says why. A vote that has decided can't be taken back.
        """
        with self._db.write(release_name(release_id)) as conn:
            state = gate_state(conn, release_id, gate)
            if state is None:
                return refusal(
                    "unknown_gate", f"release {release_id} has no open gate {gate}; see `relman status`", None
                )
            now = self._db.now()
            person = next((p for p in state.people if p.airflow == airflow_user), None)
            refused = withdrawal_refused(conn, state, person, airflow_user, now)
            if refused is not None or person is None:
                return refused or refusal("not_entitled", f"{airflow_user} may not answer", state)
            actor = Actor(kind="person", id=person.id, name=name or person.name, via=via)
            withdraw_vote(conn, state, actor, clean_text(comment)[:COMMENT_LIMIT], now)
            state = require(conn, release_id, gate)
            reason = what_now(state).replace("recorded", "withdrawn", 1)
            return VoteResult(accepted=True, code="accepted", reason=reason, gate=state)

    def refuse(
        self, release_id: str, gate: str, *, actor: Actor, decision: Decision, code: Code, reason: str
    ) -> VoteResult:
        """Record that a vote was refused before it could be cast, as ``cast`` records its own refusals.

        Nothing is recorded at a gate that was never opened.
        """
        with self._db.write(release_name(release_id)) as conn:
            state = gate_state(conn, release_id, gate)
            refused = refusal(code, reason, state)
            if state is not None:
                insert_refusal(conn, state, actor, decision, refused, self._db.now())
            return refused

    def expire_gate(self, release_id: str, gate: str, *, now: datetime | None = None) -> GateState | None:
        """Decide an open gate whose time is over as its ``on_timeout`` says: rejected or expired.

        Idempotent; a gate that is decided or has time left is returned as it is. ``now`` is aware.
        """
        with self._db.write(release_name(release_id)) as conn:
            state = gate_state(conn, release_id, gate)
            now = now or self._db.now()
            if state is None or state.state != "open" or now < state.expires_at:
                return state
            outcome: State = "rejected" if state.on_timeout == "reject" else "expired"
            given = state.quorum - state.missing
            comment = f"{given} of {state.quorum} approvals when the time was over"
            return decide(conn, state, outcome, Actor(), "timeout", comment, now)

    def remind(self, release_id: str, gate: str, *, now: datetime | None = None) -> Event | None:
        """Record that those who can still answer are reminded, if that is due at ``now`` (aware); return it.

        The n-th reminder is due when n intervals have passed since the gate opened, and is recorded once;
        those that nobody was there to record are left out. None as soon as the gate is decided or its time is
        over, while the release is held, and when it was aborted or closed.
        """
        with self._db.write(release_name(release_id)) as conn:
            state, now = gate_state(conn, release_id, gate), now or self._db.now()
            if state is None or _is_stopped(conn, release_id):
                return None
            return reminding.remind(conn, state, now)

    def escalate(self, release_id: str, gate: str, *, now: datetime | None = None) -> Event | None:
        """Record that a second group may answer from now on, if that is due at ``now`` (aware); return it.

        None as soon as the gate is decided or its time is over, while the release is held, and when it was
        aborted or closed.
        """
        with self._db.write(release_name(release_id)) as conn:
            state, now = gate_state(conn, release_id, gate), now or self._db.now()
            if state is None or _is_stopped(conn, release_id):
                return None
            return escalating.escalate(conn, state, now)

    def waive(self, release_id: str, gate: str) -> waiving.Waiver:
        """Record which rules of a gate a release need not meet, as its stored plan says; return which.

        Those that an emergency skips, and those that its risk does not ask for. Idempotent. A gate for
        afterwards is opened in the same transaction, and when no rule is left, the older releases that wait
        there are superseded, as by an approval. Raises Superseded when a newer one was approved for the place
        and no emergency goes before it.
        """
        with self._db.write() as conn:
            older = superseding.exclude(conn, release_id, gate)
            now = self._db.now()
            found = waiving.waive(conn, release_id, gate, now)
            record = find_release(conn, release_id)
            gone = None
            if not found.left and not found.skipped:
                gone = superseding.overtaken(conn, release_id, gate, now)
            if record is not None and not found.left and gone is None:
                actor = record.started_by if found.skipped else Actor()
                superseding.supersede(conn, release_id, gate, older, actor, now)
        if gone is not None:
            raise Superseded(f"gate {gate} of {release_id} is not passed: {gone.data['reason']}")
        return found

    def settle(
        self, release_id: str, gate: str, *, airflow_user: str, name: str = "", reason: str, via: str
    ) -> VoteResult:
        """Record what was done about a rejection of what an emergency skipped; it is no debt any more.

        Whoever might have approved it may say so, once; the arguments are those of ``cast``.
        """
        with self._db.write(release_name(release_id)) as conn:
            state = gate_state(conn, release_id, gate)
            if state is None:
                return refusal(
                    "unknown_gate",
                    f"release {release_id} has no gate {gate}; see `relman status --debts`",
                    None,
                )
            return settling.settle(conn, state, airflow_user, name, reason, via, self._db.now())

    def settle_by_rollback(self, release_id: str, gate: str) -> Event | None:
        """Record that what an emergency brought was taken back after the rejection, once; return it."""
        with self._db.write(release_name(release_id)) as conn:
            state = gate_state(conn, release_id, gate)
            return settling.settle_by_rollback(conn, state, self._db.now()) if state else None

    def tell_overdue(self, release_id: str, gate: str, *, now: datetime | None = None) -> Event | None:
        """Record that nobody has decided in time about what was skipped in an emergency, once; return it."""
        with self._db.write(release_name(release_id)) as conn:
            state = gate_state(conn, release_id, gate)
            return waiving.tell_overdue(conn, state, now or self._db.now()) if state else None


def _check_rules(where: str, asked: dict[str, Any]) -> None:
    """Raise LedgerError for a gate that could not be met even if nobody's own release it were."""
    panel = recorded({**asked, "own": {}})
    voters, needed = len({p.airflow for p in panel.people}), asked["quorum"]
    if not 1 <= needed == panel.needed or panel.impossible():
        raise LedgerError(f"{where}: a quorum of {needed} can't be reached by {voters} people")


def _is_stopped(conn: Connection, release_id: str) -> bool:
    """Say whether a person or the end has stopped the release."""
    kinds = (Kind.RELEASE_CLOSED, Kind.ABORT_REQUESTED, Kind.RELEASE_HELD, Kind.RELEASE_RESUMED)
    events = select_events(conn, release_id, kinds=kinds)
    return bool(events) and (
        events[-1].kind is Kind.RELEASE_HELD
        or any(e.kind in (Kind.RELEASE_CLOSED, Kind.ABORT_REQUESTED) for e in events)
    )

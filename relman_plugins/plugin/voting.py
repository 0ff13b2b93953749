"""One way to the vote service, whichever door the answer came through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import HTTPException

from relman_plugins.domain.identity import Actor
from relman_plugins.plugin import access, lookup

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from relman_plugins.domain.status import Decision
    from relman_plugins.ledger.api import Ledger, VoteResult

_STATUS = {
    "not_entitled": 403,
    "not_yet": 403,
    "own_release": 403,
    "unknown_gate": 404,
    "not_asked": 404,
}


def cast_or_refuse(
    store: Ledger,
    release_id: str,
    gate: str,
    *,
    user: Any,
    decision: Decision,
    digest: str | None,
    comment: str,
    answers: Mapping[str, Any] | None = None,
    not_before: datetime | None = None,
    via: str,
    elsewhere: str = "",
) -> VoteResult:
    """Cast a vote and return the accepted result.

    ``elsewhere`` says where to answer when this way in shows something else than what the gate asks about.

    Raises:
        HTTPException: 403 when this person may not answer here, 404 for a gate that was never opened, 409
            for every other refusal. ``detail`` is the reason.
    """
    if access.all_admins():
        raise HTTPException(403, access.ALL_ADMINS)
    if reason := _withheld(store, release_id, user):
        state, who = store.votes.gate(release_id, gate), access.user_id(user)
        known = next((p.id for p in state.people if p.airflow == who), who) if state else who
        actor = Actor(kind="person", id=known, name=access.display_name(user), via=via)
        store.votes.refuse(
            release_id, gate, actor=actor, decision=decision, code="not_authorised", reason=reason
        )
        raise HTTPException(403, reason)
    result = store.votes.cast(
        release_id,
        gate,
        airflow_user=access.user_id(user),
        name=access.display_name(user),
        decision=decision,
        digest=digest,
        comment=comment,
        answers=answers,
        not_before=not_before,
        via=via,
    )
    if result.code == "other_digest" and elsewhere:
        raise HTTPException(409, f"{result.reason}. {elsewhere}")
    return _accepted(result)


def withdraw_or_refuse(
    store: Ledger, release_id: str, gate: str, *, user: Any, comment: str, via: str
) -> VoteResult:
    """Take back the user's vote and return the accepted result.

    Raises:
        HTTPException: 403 when this person may not answer here, 404 for a gate that was never opened, 409
            for a gate that is decided, and when there is no vote to take back. ``detail`` is the reason.
    """
    _must_be_a_person_who_may(store, release_id, user)
    return _accepted(
        store.votes.withdraw(
            release_id,
            gate,
            airflow_user=access.user_id(user),
            name=access.display_name(user),
            comment=comment,
            via=via,
        )
    )


def settle_or_refuse(
    store: Ledger, release_id: str, gate: str, *, user: Any, reason: str, via: str
) -> VoteResult:
    """Record what was done about a rejection afterwards, and return the accepted result.

    Raises:
        HTTPException: 403 when this person may not, 404 for a gate that was never opened, 409 where nothing
            is to be settled. ``detail`` is the reason.
    """
    _must_be_a_person_who_may(store, release_id, user)
    return _accepted(
        store.votes.settle(
            release_id,
            gate,
            airflow_user=access.user_id(user),
            name=access.display_name(user),
            reason=reason,
            via=via,
        )
    )


def _must_be_a_person_who_may(store: Ledger, release_id: str, user: Any) -> None:
    """Answer 403 where everybody is the same admin, and to whom Airflow would not let answer any more."""
    if access.all_admins():
        raise HTTPException(403, access.ALL_ADMINS)
    if reason := _withheld(store, release_id, user):
        raise HTTPException(403, reason)


def _withheld(store: Ledger, release_id: str, user: Any) -> str | None:
    """Return why Airflow would not let the user answer any more; None when nothing is against it.

    A token says what its user might do when it was issued, and the simple auth manager believes it until it
    expires. So whoever keeps the users is asked, as it is for a button in Slack.
    """
    record = store.release(release_id)
    return None if record is None else lookup.withheld(access.user_id(user), record.dag_id)


def _accepted(result: VoteResult) -> VoteResult:
    if not result.accepted:
        raise HTTPException(_STATUS.get(result.code, 409), result.reason)
    return result


def follow_up_or_refuse(
    store: Ledger, release_id: str, *, user: Any, chosen: Sequence[str], form: Mapping[str, Any]
) -> None:
    """Record the follow-ups of a release.

    Raises:
        HTTPException: 403 when this person is not asked, 404 when nobody is, 409 when somebody has answered
            or the time is over, and 409 too for what can't be read. ``detail`` is the reason.
    """
    _must_be_a_person_who_may(store, release_id, user)
    given = store.give_follow_ups(
        release_id,
        airflow_user=access.user_id(user),
        name=access.display_name(user),
        option=chosen[0] if len(chosen) == 1 else "",
        form=form,
        via="airflow",
    )
    if not given.accepted:
        raise HTTPException(_STATUS.get(given.code, 409), given.reason)

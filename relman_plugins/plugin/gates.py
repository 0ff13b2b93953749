"""Routes of the vote service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from fastapi import APIRouter, HTTPException, Request

from relman_plugins.domain.status import Decision
from relman_plugins.plugin import access, views, voting
from relman_plugins.plugin.deps import ledger, release_or_404
from relman_plugins.plugin.models import SettlementBody, VoteBody, WithdrawalBody

if TYPE_CHECKING:
    from relman_plugins.ledger.api import Ledger, VoteResult

router = APIRouter()


@router.get("/gates")
def list_gates(
    user: access.Reader,
    state: Literal["open", "approved", "rejected", "expired", "superseded"] | None = None,
    release: str | None = None,
    debts: bool = False,
) -> dict[str, Any]:
    """Return the gates that wait for people, oldest first; or all gates of one release.

    With ``debts`` those at which nobody has approved what an emergency skipped: open ones, each with whether
    it is ``overdue``, and rejected ones until it is on record what was done about it.
    """
    store = ledger()
    if release:
        release_or_404(store, release, user, DagAccessEntity.HITL_DETAIL)
        found = store.votes.gates(release)
    else:
        found = store.votes.debts() if debts else store.votes.open_gates()
        records = {g.release_id: store.release(g.release_id) for g in found}
        dags = {id_: record.dag_id for id_, record in records.items() if record is not None}
        allowed = {d: access.may(user, "GET", d, DagAccessEntity.HITL_DETAIL) for d in set(dags.values())}
        found = [g for g in found if g.release_id in dags and allowed[dags[g.release_id]]]
    now = store.now()
    return {
        "gates": [
            views.debt(g, now) if g.debt else views.gate(g)
            for g in found
            if state is None or g.state == state
        ]
    }


@router.get("/releases/{release_id}/gates/{gate}/votes")
def get_votes(release_id: str, gate: str, user: access.Reader) -> dict[str, Any]:
    """Return a gate: what is asked, of whom, who has answered and how many answers are missing."""
    store = ledger()
    release_or_404(store, release_id, user, DagAccessEntity.HITL_DETAIL)
    state = store.votes.gate(release_id, gate)
    if state is None:
        raise HTTPException(404, f"release {release_id!r} has not opened a gate {gate!r}")
    return views.gate(state)


@router.post("/releases/{release_id}/gates/{gate}/votes", status_code=201)
def post_vote(
    release_id: str,
    gate: str,
    body: VoteBody,
    request: Request,
    user: access.Writer,
) -> dict[str, Any]:
    """Cast the caller's vote. 201 when it counts; 403, 404 or 409 with the reason when it doesn't.

    An approval needs the digest of what was shown; a rejection counts without.
    """
    store = _answerable(release_id, user)
    if body.decision is Decision.APPROVE and body.digest is None:
        raise HTTPException(
            422,
            "digest: say what you were shown, by the gate's subject_digest: an approval is of exactly that",
        )
    result = voting.cast_or_refuse(
        store,
        release_id,
        gate,
        user=user,
        decision=body.decision,
        digest=body.digest,
        comment=body.comment,
        answers=body.answers,
        not_before=body.not_before,
        via=access.via_of(request),
    )
    return _answer(result, decision=body.decision.value)


@router.delete("/releases/{release_id}/gates/{gate}/votes")
def withdraw_vote(
    release_id: str,
    gate: str,
    body: WithdrawalBody,
    request: Request,
    user: access.Writer,
) -> dict[str, Any]:
    """Take back the caller's vote while the gate is open; 403, 404 or 409 with the reason when it stands."""
    store = _answerable(release_id, user)
    result = voting.withdraw_or_refuse(
        store, release_id, gate, user=user, comment=body.comment, via=access.via_of(request)
    )
    return _answer(result)


@router.post("/releases/{release_id}/gates/{gate}/settlement", status_code=201)
def post_settlement(
    release_id: str,
    gate: str,
    body: SettlementBody,
    request: Request,
    user: access.Writer,
) -> dict[str, Any]:
    """Record what was done about a rejection of what an emergency skipped; 403, 404 or 409 and why not."""
    store = _answerable(release_id, user)
    result = voting.settle_or_refuse(
        store, release_id, gate, user=user, reason=body.reason, via=access.via_of(request)
    )
    return _answer(result)


def _answerable(release_id: str, user: Any) -> Ledger:
    """Return the ledger to answer at; 404 for who may not see the release, 403 for who may change nothing."""
    store = ledger()
    record = release_or_404(store, release_id, user, DagAccessEntity.HITL_DETAIL)
    access.require(user, record.dag_id, DagAccessEntity.HITL_DETAIL)
    return store


def _answer(result: VoteResult, **more: Any) -> dict[str, Any]:
    gate = result.gate
    return {
        "accepted": True,
        **more,
        "message": result.reason,
        "missing": gate.missing if gate else 0,
        "lacking": [one.model_dump(mode="json") for one in gate.lacking] if gate else [],
        "gate": views.gate(gate) if gate else None,
    }

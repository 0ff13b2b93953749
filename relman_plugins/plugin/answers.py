"""What a native answer means, and what is replied to it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from fastapi import HTTPException

from relman_plugins.domain.status import Decision
from relman_plugins.plan.model import StepKind
from relman_plugins.plugin import access, required_action, voting
from relman_plugins.plugin.deps import ledger
from relman_plugins.steps.form import answers_of, comment_of

if TYPE_CHECKING:
    from starlette.requests import Request

    from relman_plugins.plugin.native import Target

_ASKING = (StepKind.APPROVAL, StepKind.CHECKLIST, StepKind.FOLLOW_UP)
_DECISIONS = {decision.value: decision for decision in Decision}


def is_gate(wanted: Target) -> bool:
    """Say whether the task asks people on behalf of a release that the ledger knows.

    Approval gates, checklists and the question for follow-ups do, and so does any step whose analysis was
    undecided, or that asks again since an approval has run out.

    Raises:
        LedgerError: nobody knows, so nothing may be forwarded.
    """
    book = ledger()
    record = book.release_of_run(wanted.dag_id, wanted.run_id)
    if record is None:
        return False
    asking = {s.id for s in record.plan.shape.steps if s.kind in _ASKING}
    return wanted.task_id in asking or book.votes.asked_by(record.release_id, wanted.task_id) is not None


def answer(request: Request, user: Any, wanted: Target, body: bytes) -> dict[str, Any]:
    """Cast the vote, or record the follow-ups, and return what Airflow's endpoint would have returned.

    Raises:
        HTTPException: 400 for an answer that is neither approve nor reject, 403 for somebody who may not
            answer, 409 for a gate that takes no answer any more, and for an approval where Airflow shows
            something else than what the gate asks about now.
    """
    if reason := access.foreign(request):
        raise HTTPException(403, reason)
    access.require(user, wanted.dag_id, DagAccessEntity.HITL_DETAIL)
    chosen, params = _parse(body)
    store = ledger()
    record = store.release_of_run(wanted.dag_id, wanted.run_id)
    if record is None:
        raise HTTPException(404, f"the release of run {wanted.run_id!r} is not in the ledger any more")
    if any(s.id == wanted.task_id and s.kind is StepKind.FOLLOW_UP for s in record.plan.shape.steps):
        voting.follow_up_or_refuse(store, record.release_id, user=user, chosen=chosen, form=params)
    else:
        asked = store.votes.asked_by(record.release_id, wanted.task_id)
        decision = _decision(chosen)
        voting.cast_or_refuse(
            store,
            record.release_id,
            asked.gate if asked else wanted.task_id,
            user=user,
            decision=decision,
            # A no is safe, whatever was read.
            digest=required_action.shown(wanted) if decision is Decision.APPROVE else None,
            comment=comment_of(params),
            answers=answers_of(params),
            via="airflow",
            elsewhere=required_action.elsewhere(record.release_id, asked.gate if asked else wanted.task_id),
        )
    return {
        "responded_by": {"id": access.user_id(user), "name": str(user.get_name() or "")},
        "responded_at": datetime.now(UTC).isoformat(),
        "chosen_options": chosen,
        "params_input": params,
    }


def _parse(body: bytes) -> tuple[list[str], dict[str, Any]]:
    try:
        value = json.loads(body)
        chosen, params = value["chosen_options"], value.get("params_input") or {}
        if not (
            isinstance(chosen, list) and all(isinstance(c, str) for c in chosen) and isinstance(params, dict)
        ):
            raise TypeError
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise HTTPException(
            422, 'expected a JSON object {"chosen_options": ["Approve" or "Reject"]}'
        ) from error
    return chosen, params


def _decision(chosen: list[str]) -> Decision:
    if len(chosen) == 1 and (decision := _DECISIONS.get(chosen[0].lower())):
        return decision
    raise HTTPException(400, f'expected exactly one of "Approve" and "Reject", found {chosen!r}'[:300])

"""Waiting for a gate's decision in the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from airflow.triggers.base import TriggerEvent

from relman_plugins import telemetry
from relman_plugins.domain.status import APPROVE, REJECT
from relman_plugins.hooks.ledger import flags_of
from relman_plugins.triggers.base import ReleaseTrigger, in_ledger_thread
from relman_plugins.triggers.feed import ledger_feed

if TYPE_CHECKING:
    from relman_plugins.ledger.api import Ledger

PAUSE_S = 60.0
LATE_PAUSE_S = 3.0


class ApprovalTrigger(ReleaseTrigger):
    """Wait until a gate is decided, its time is over, or somebody aborts the release.

    Before it yields it closes the gate's Required Action, so that nobody answers a question that is
    settled. The event is ``{"state": "approved" | "rejected" | "expired" | "aborted"}``; whoever gets it
    reads the ledger again.

    :param ti_id: the task instance whose Required Action is closed.
    :param expires_at: end of the gate's time, ISO 8601.
    """

    def __init__(self, *, release_id: str, gate: str, ti_id: str, expires_at: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.release_id = release_id
        self.gate = gate
        self.ti_id = ti_id
        self.expires_at = expires_at

    def arguments(self) -> dict[str, Any]:
        """Return which gate is waited for."""
        return {
            "release_id": self.release_id,
            "gate": self.gate,
            "ti_id": self.ti_id,
            "expires_at": self.expires_at,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait for the ledger."""
        feed = await ledger_feed()
        self._book = feed.source
        state: str | None = None
        with telemetry.span("gate", release_id=self.release_id, gate=self.gate):
            while state is None:
                left = (datetime.fromisoformat(self.expires_at) - datetime.now(UTC)).total_seconds()
                # Late already: the ledger does not answer, or has no such gate; no reason to ask in a spin.
                pause = left + 0.1 if left > 0 else LATE_PAUSE_S
                state = await feed.until(self._decided, min(PAUSE_S, pause), of=self.release_id)
            telemetry.note(state=state)
        await self._close_required_action(state)
        yield await self.event({"state": state})

    def _decided(self, ledger: Ledger) -> str | None:
        flags = flags_of(ledger, self.release_id)
        if flags.aborted_by or flags.closed:
            return "aborted"
        gate = ledger.votes.gate(self.release_id, self.gate)
        if gate is not None and gate.state == "open" and ledger.now() >= gate.expires_at:
            gate = ledger.votes.expire_gate(self.release_id, self.gate)
        return gate.state if gate is not None and gate.state != "open" else None

    async def _close_required_action(self, state: str) -> None:
        from airflow.sdk.execution_time.hitl import update_hitl_detail_response

        try:
            await asyncio.to_thread(
                update_hitl_detail_response,
                ti_id=UUID(self.ti_id),
                chosen_options=[self._option(state)],
                # Airflow's page can't name the person for an answer that it did not take itself.
                params_input=await in_ledger_thread(self._said, state),
            )
        except Exception as error:
            # It is closed already, or Airflow is slow: the decision stands in the ledger either way.
            self.log.info("the Required Action could not be closed: %s", error)

    def _option(self, state: str) -> str:
        return APPROVE if state == "approved" else REJECT

    def _said(self, state: str) -> dict[str, str]:
        gate = self._book().votes.gate(self.release_id, self.gate)
        votes = gate.votes if gate is not None else ()
        told = [f"{v.decision} by {v.name or v.person}{f': {v.comment}' if v.comment else ''}" for v in votes]
        comment = f"{state} ({'; '.join(told)})" if told else state
        return (gate.answers if gate is not None else {}) | {"comment": comment}

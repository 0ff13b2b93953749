"""Waiting for people's word on an undecided analysis, while the numbers are looked at on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import TriggerEvent

from relman_plugins.domain.status import TAKEN_BACK, Verdict
from relman_plugins.triggers.analysis import AnalysisTrigger, told
from relman_plugins.triggers.approval import ApprovalTrigger

WITHDRAWN = "rejected: the numbers are bad, and the traffic is taken back"


class GuardedApprovalTrigger(ApprovalTrigger):
    """Wait as ``ApprovalTrigger`` does; when the numbers are bad meanwhile, nobody's answer is waited for.

    The event is that of ``ApprovalTrigger``, or that of ``AnalysisTrigger`` with the verdict ``fail``: the
    traffic is back by then, or ``stuck`` says why not.

    :param watch: what is looked at; see ``AnalysisTrigger``.
    """

    def __init__(self, *, watch: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.watch = watch

    def arguments(self) -> dict[str, Any]:
        """Return what is waited for, and what is watched."""
        return super().arguments() | {"watch": self.watch}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait for the ledger or for bad numbers, whichever is first."""
        analysis = AnalysisTrigger(watch=self.watch, deferred_at=self.deferred_at, minimum_s=self.minimum_s)
        guard = asyncio.create_task(self._guard(analysis))
        answer = asyncio.create_task(self._answer())
        try:
            await asyncio.wait({guard, answer}, return_when=asyncio.FIRST_COMPLETED)
            if analysis.withdrawing.is_set():
                # An answer does not call off what has begun: half of it would be left, and nothing said.
                await asyncio.wait({guard})
            bad = guard.result() if guard.done() else None
            if bad is None:
                event = await answer
            else:
                await self._close_required_action(WITHDRAWN)
                event = await self.event(bad)
        finally:
            for task in (guard, answer):
                task.cancel()
            await asyncio.gather(guard, answer, return_exceptions=True)
        yield event

    async def _answer(self) -> TriggerEvent:
        return await anext(super().run())

    async def _guard(self, analysis: AnalysisTrigger) -> dict[str, Any] | None:
        while True:
            try:
                return await analysis.guard()
            except Exception:
                # Whatever is wrong with the looks, people's answer must still be heard.
                self.log.exception("the numbers could not be looked at while people are asked; trying again")
                if analysis.withdrawing.is_set():
                    return told(Verdict.FAIL, TAKEN_BACK)
                await asyncio.sleep(analysis.watch.interval_s)

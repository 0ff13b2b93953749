"""Watching the numbers of a candidate, and taking its traffic back the moment they are bad."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from airflow.triggers.base import TriggerEvent

from relman_plugins import settings
from relman_plugins.clients.prometheus import Prometheus, fill
from relman_plugins.domain.base import Frozen
from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.domain.state import DesiredState, ObservedState, Revision, served_since
from relman_plugins.domain.status import Verdict
from relman_plugins.errors import ClientError, LedgerError, RelmanError
from relman_plugins.hooks.change import Change, finish, started
from relman_plugins.hooks.ledger import Flags, async_ledger_source, flags_of
from relman_plugins.hooks.metrics import async_prometheus
from relman_plugins.hooks.platform import async_platform_of
from relman_plugins.hooks.recorder import Recorder
from relman_plugins.judge.threshold import Judgement, Measurement, State, step
from relman_plugins.plan.model import AnalysisPlan, EnvironmentPlan, MetricPlan
from relman_plugins.triggers.base import ReleaseTrigger, in_ledger_thread, in_platform_thread

WITHDRAW_TIMEOUT_S = 30.0
WITHDRAW_PAUSE_S = 1.0
HOLD_PAUSE_S = 1.0


class Watch(Frozen):
    """What is watched, and how its traffic is taken back."""

    release_id: str
    step: str
    attempt: str
    environment: EnvironmentPlan
    service: str
    analysis: AnalysisPlan
    candidate: Revision
    stable: Revision | None
    """What has the rest of the traffic, and gets all of it back; None on a first deploy."""
    weight: int
    interval_s: float
    count: int
    started_at: float
    """When the candidate got this weight, in seconds since the epoch."""
    withdraw: DesiredState
    """Where to converge when the numbers are bad: the candidate at 0 %."""
    token: int
    before: ObservedState
    """What the platform saw when the candidate came: what was served since then is the release's cost."""

    @property
    def prefix(self) -> str:
        """Return the start of the idempotency keys of this watch's events."""
        return f"{self.release_id}:{self.step}:{self.attempt}"


class AnalysisTrigger(ReleaseTrigger):
    """Look at a candidate's metrics ``count`` times, one ``interval_s`` apart, and yield the verdict.

    On ``fail``, and when a person aborts, the process that sees it converges to the state without the
    candidate before it does anything else. A look is recorded with the judge's state, so that another
    triggerer goes on where this one was killed. While a person holds the release, a good end waits for the
    resumption; a bad one does not.

    The event is ``{"verdict", "reason", "aborted": bool}``.
    """

    def __init__(self, *, watch: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.watch = Watch.model_validate(watch)

    def arguments(self) -> dict[str, Any]:
        """Return what is watched."""
        return {"watch": self.watch.model_dump(mode="json")}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until the judge has a verdict."""
        recorder = Recorder(
            self.watch.release_id,
            await async_ledger_source(),
            spool=settings.spool_folder(),
            warn=lambda text: self.log.warning("%s", text),
        )
        state = await in_ledger_thread(self._state_so_far, recorder)
        prometheus: Prometheus | None = None
        next_look = self.watch.started_at + self.watch.interval_s
        while state.verdict is None:
            await asyncio.sleep(max(0.0, next_look - time.time()))
            next_look = time.time() + self.watch.interval_s
            flags = await in_ledger_thread(self._flags, recorder)
            if flags.aborted_by:
                await self._withdraw(recorder, f"aborted by {flags.aborted_by}: {flags.abort_reason}")
                yield await self.event({"verdict": None, "reason": flags.abort_reason, "aborted": True})
                return
            measurements, prometheus = await self._measure_all(prometheus)
            judgement = step(state, measurements, rules=self.watch.analysis.metrics, count=self.watch.count)
            state = judgement.state
            if judgement.verdict is Verdict.FAIL:
                await self._withdraw(recorder, judgement.reason)
            await in_ledger_thread(self._record, recorder, judgement)
        if prometheus is not None:
            await prometheus.aclose()
        while state.verdict is not Verdict.FAIL and (await in_ledger_thread(self._flags, recorder)).held_by:
            await asyncio.sleep(HOLD_PAUSE_S)
        yield await self.event({"verdict": state.verdict.value, "reason": state.reason, "aborted": False})

    def _state_so_far(self, recorder: Recorder) -> State:
        """Return what an earlier process of this watch knew; a fresh start without the ledger."""
        ledger = recorder.ledger_or_none()
        if ledger is None:
            return State()
        looks = ledger.events(self.watch.release_id, kinds=[Kind.ANALYSIS_MEASURED])
        mine = [e for e in looks if e.key.startswith(self.watch.prefix + ":")]
        return State.model_validate(mine[-1].data["state"]) if mine else State()

    def _flags(self, recorder: Recorder) -> Flags:
        try:
            return flags_of(recorder.ledger(), self.watch.release_id)
        except LedgerError as error:
            self.log.warning("can't see whether somebody aborted or holds this release: %s", error)
            return Flags()

    async def _measure_all(self, client: Prometheus | None) -> tuple[list[Measurement], Prometheus | None]:
        metrics = self.watch.analysis.metrics
        try:
            client = client or await async_prometheus(self.watch.analysis.connection)
        except ClientError as error:
            return [Measurement(name=m.name, error=str(error)) for m in metrics], None
        return list(await asyncio.gather(*(self._measure(client, m) for m in metrics))), client

    async def _measure(self, client: Prometheus, metric: MetricPlan) -> Measurement:
        try:
            value = await client.async_query(self._filled(metric.query))
            samples = await client.async_query(self._filled(metric.samples)) if metric.samples else None
        except ClientError as error:
            return Measurement(name=metric.name, error=str(error))
        return Measurement(name=metric.name, value=value, samples=samples)

    def _filled(self, query: str) -> str:
        watch = self.watch
        return fill(
            query,
            service=watch.service,
            environment=watch.environment.name,
            version=watch.candidate.version,
            stable=watch.stable.version if watch.stable else None,
        )

    async def _withdraw(self, recorder: Recorder, reason: str) -> None:
        """Converge to the state without the candidate, until the platform has done it."""
        watch = self.watch
        began = time.monotonic()
        change = Change(
            environment=watch.environment.name,
            service=watch.service,
            step=watch.step,
            desired=watch.withdraw,
            token=watch.token,
            attempt=f"{watch.attempt}:withdraw",
            previous=watch.stable,
        )
        while True:
            try:
                platform = await async_platform_of(watch.environment)
                await in_platform_thread(self._withdraw_once, change, platform, recorder, reason, began)
            except RelmanError as error:
                self.log.error("could not take the traffic back, trying again: %s", error)
                await asyncio.sleep(WITHDRAW_PAUSE_S)
            else:
                return

    def _withdraw_once(
        self, change: Change, platform: Any, recorder: Recorder, reason: str, began: float
    ) -> None:
        # The traffic does not wait for the ledger: what is recorded before it is only recorded after it.
        begun = started(change, self.watch.release_id).model_copy(update={"at": datetime.now(UTC)})
        late: list[NewEvent] = [begun]
        now = finish(change, platform, late.append, self.watch.release_id, WITHDRAW_TIMEOUT_S)
        seconds = round(time.monotonic() - began, 3)
        self.log.warning("the candidate's traffic is withdrawn after %s s: %s", seconds, reason)
        late.append(
            NewEvent(
                kind=Kind.TRAFFIC_WITHDRAWN,
                key=f"{self.watch.prefix}:withdrawn",
                step=self.watch.step,
                environment=self.watch.environment.name,
                data={
                    "reason": reason,
                    "seconds": seconds,
                    "version": self.watch.candidate.version,
                    "served": served_since(self.watch.before, now, self.watch.candidate),
                },
                at=datetime.now(UTC),
            )
        )
        for event in late:
            recorder.record(event)

    def _record(self, recorder: Recorder, judgement: Judgement) -> None:
        watch, rounds = self.watch, judgement.state.rounds
        common = {"analysis": watch.analysis.name, "weight": watch.weight}
        measured = {
            "look": rounds,
            "metrics": [look.data() for look in judgement.looks],
            "state": judgement.state.model_dump(mode="json"),
        }
        recorder.record(self._event(Kind.ANALYSIS_MEASURED, f"look{rounds}", common | measured))
        if judgement.verdict is not None:
            ended = {"verdict": judgement.verdict.value, "reason": judgement.reason, "looks": rounds}
            recorder.record(self._event(Kind.ANALYSIS_FINISHED, "finished", common | ended))

    def _event(self, kind: Kind, suffix: str, data: dict[str, Any]) -> NewEvent:
        return NewEvent(
            kind=kind,
            key=f"{self.watch.prefix}:{suffix}",
            step=self.watch.step,
            environment=self.watch.environment.name,
            data=data,
            at=datetime.now(UTC),
        )

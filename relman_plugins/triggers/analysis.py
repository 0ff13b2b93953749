"""Watching the numbers of a candidate, and taking its traffic back the moment they are bad."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import TriggerEvent

from relman_plugins import settings, telemetry
from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.domain.status import TAKEN_BACK, Verdict
from relman_plugins.errors import LedgerError
from relman_plugins.hooks.change import serves
from relman_plugins.hooks.ledger import LedgerSource, async_ledger_source
from relman_plugins.hooks.platform import async_platform_of
from relman_plugins.hooks.recorder import Recorder
from relman_plugins.judge.comparing import UNDECIDED
from relman_plugins.triggers.base import ReleaseTrigger, in_ledger_thread, in_platform_thread
from relman_plugins.triggers.feed import ledger_feed
from relman_plugins.triggers.looking import Judgement, State, looking_of
from relman_plugins.triggers.numbers import Poller, numbers
from relman_plugins.triggers.watch import Known, Watch, known
from relman_plugins.triggers.withdrawal import Withdrawal

if TYPE_CHECKING:
    from relman_plugins.ledger.api import Ledger

__all__ = ["AnalysisTrigger", "Watch"]

HOLD_PAUSE_S = 1.0
LEDGER_PATIENCE_S = 2.0
"""How long a look waits for the ledger's word: bad numbers are acted on without it."""
SPOOL_PAUSE_S = 3.0
OFTEN, SELDOM_S = 100, 60.0
"""While people are waited for, so many looks beyond the planned ones are ``interval_s`` apart, later ones a
minute: a weekend at every 2 s would be 80,000 events, and who verifies the record judges each again."""


class AnalysisTrigger(ReleaseTrigger):
    """Look at a candidate's metrics ``count`` times, one ``interval_s`` apart, and yield the verdict.

    On ``fail``, and when a person aborts, the process that sees it converges to the state without the
    candidate before it does anything else; an abort does not wait for the next look. A look is recorded with
    the judge's state, so that another triggerer goes on where this one was killed. Two that have the same
    watch at once agree on what the ledger took first, as do two tries of one comparison, and one that
    outlived its watch does nothing. While a person holds the release, a good end waits for the resumption; a
    bad one does not. A watch in the background goes on to look meanwhile.

    The event is ``{"verdict", "reason", "aborted": bool, "stuck"}``; ``stuck`` says why the traffic could not
    be taken back, if so. It is yielded when the ledger has everything: a step that could not see there that
    the traffic was taken back would bring the candidate back.
    """

    _source: LedgerSource
    _numbers: Poller

    def __init__(self, *, watch: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.watch = Watch.model_validate(watch)
        self._looking = looking_of(self.watch)
        self._caught_up = False
        self._ending = "finished"
        self.withdrawing = asyncio.Event()
        """Set once the traffic is being taken back."""

    def arguments(self) -> dict[str, Any]:
        """Return what is watched."""
        return {"watch": self.watch.model_dump(mode="json")}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until the judge has a verdict."""
        recorder, analysis = await self._recorder(), self.watch.analysis
        async with numbers(analysis.source, analysis.connection) as self._numbers:
            with telemetry.span("analysis", **self._about()):
                end = await self._end(recorder)
                telemetry.note(verdict=end["verdict"], reason=end["reason"], aborted=end["aborted"])
        if not end["stuck"]:
            await self._until_recorded(recorder)
        yield await self.event(end)

    async def guard(self) -> dict[str, Any] | None:
        """Look on while people are asked what an undecided end means.

        Return what ``run`` would yield of bad numbers, when the traffic is back and it is on record; None
        when nobody waits for the watch any more.
        """
        recorder, analysis = await self._recorder(), self.watch.analysis
        self._ending = "guarded"
        async with numbers(analysis.source, analysis.connection) as self._numbers:
            state = await in_ledger_thread(self._state_so_far, recorder)
            end: dict[str, Any] | None = None
            if state.verdict is Verdict.FAIL:
                end = await self._failed(recorder, state, state.reason)
            elif await self._is_gone():
                end = await self._failed(recorder, state, TAKEN_BACK)
            while end is None:
                if await self._stopped_before(self._next_look(state, True)) is not None:
                    return None
                now, came = await asyncio.gather(self._known(recorder), self._looking.ask(self._numbers))
                if now.over or now.flags.aborted_by:
                    return None
                judgement = await asyncio.to_thread(self._looking.judge, state, came, True)
                state = judgement.state
                if judgement.verdict is Verdict.FAIL:
                    end = await self._failed(recorder, state, judgement.reason, judgement, came)
                else:
                    state = await self._kept(recorder, judgement)
        if not end["stuck"]:
            await self._until_recorded(recorder)
        return end

    def _next_look(self, state: State, waiting: bool) -> float:
        """Return when to look again: seldom where people have been waited for long, for each look is kept."""
        late = waiting and state.rounds >= self.watch.count + OFTEN
        return time.time() + max(self.watch.interval_s, SELDOM_S * late)

    async def _kept(self, recorder: Recorder, judgement: Judgement) -> State:
        """Record a look, and return the state to go on from.

        That is another one where another process with this watch was first, whose look counts, or where the
        looks before could not be read so far. It is never one further back: a ledger that can't be read would
        have it look for ever.
        """
        state: State = judgement.state
        caught_up = self._caught_up
        if await in_ledger_thread(self._record, recorder, judgement) and caught_up:
            return state
        taken = await in_ledger_thread(self._state_so_far, recorder)
        return taken if taken.rounds >= state.rounds else state

    async def _recorder(self) -> Recorder:
        self._source = await async_ledger_source()
        return Recorder(
            self.watch.release_id,
            lambda: self._source(),
            spool=settings.spool_folder(),
            warn=lambda text: self.log.warning("%s", text),
        )

    def _about(self) -> dict[str, Any]:
        watch = self.watch
        return {
            "release_id": watch.release_id,
            "step": watch.step,
            "environment": watch.environment.name,
            "version": watch.candidate.version,
            "analysis": watch.analysis.name,
            "weight": watch.weight,
        }

    async def _end(self, recorder: Recorder) -> dict[str, Any]:
        state = await in_ledger_thread(self._state_so_far, recorder)
        if state.verdict is None and await self._is_gone():
            return await self._failed(recorder, state, TAKEN_BACK)
        if state.verdict is Verdict.FAIL and not (await self._known(recorder)).over:
            # The process that saw it is lost, and whether the traffic is back is not known.
            return await self._failed(recorder, state, state.reason)
        next_look, held = self.watch.started_at + self.watch.interval_s, False
        while state.verdict is None:
            now, came = await self._stopped_before(next_look), []
            if now is None:
                next_look = self._next_look(state, held)
                with telemetry.span("look", release_id=self.watch.release_id, look=state.rounds + 1):
                    now, came = await asyncio.gather(self._known(recorder), self._looking.ask(self._numbers))
                    telemetry.note(**self._looking.note(came))
            if now.over:
                return told(None, now.over)
            if now.flags.aborted_by:
                return await self._aborted(recorder, now)
            if now.verdict is not None:
                state = state.model_copy(update={"verdict": now.verdict, "reason": now.reason})
                break
            held = self.watch.background and bool(now.flags.held_by)
            judgement = await asyncio.to_thread(self._looking.judge, state, came, held)
            state = judgement.state
            if judgement.verdict is Verdict.FAIL:
                return await self._failed(recorder, state, judgement.reason, judgement, came)
            caught_up = self._caught_up
            state = await self._kept(recorder, judgement)
            if state.verdict is Verdict.FAIL and not caught_up:
                return await self._failed(recorder, state, state.reason)
        await in_ledger_thread(self._record_end, recorder, state)
        while state.verdict is not Verdict.FAIL:
            now = await self._known(recorder)
            if now.flags.aborted_by and not now.over:
                return await self._aborted(recorder, now)
            if now.over or not now.flags.held_by:
                break
            await asyncio.sleep(HOLD_PAUSE_S)
        return told(state.verdict, state.reason)

    async def _failed(
        self,
        recorder: Recorder,
        state: State,
        reason: str,
        judgement: Judgement | None = None,
        came: Sequence[Any] = (),
    ) -> dict[str, Any]:
        """Take the traffic back first; then record the look that saw it, and the end."""
        self.withdrawing.set()
        stuck = await Withdrawal(self.watch, recorder, reason, self.log).run()
        why = reason
        if judgement is not None and not await in_ledger_thread(self._record, recorder, judgement):
            state, why = await self._seen_next(recorder, came)
        ended = state.model_copy(update={"verdict": Verdict.FAIL, "reason": why})
        await in_ledger_thread(self._record_end, recorder, ended)
        return told(Verdict.FAIL, reason, stuck=stuck)

    async def _seen_next(self, recorder: Recorder, came: Sequence[Any]) -> tuple[State, str]:
        """Record what was seen as the look after those that another process with this watch recorded first.

        Where it is no failure there, or can't be recorded either, the record says that the traffic was taken
        back, and no more: its looks don't tell why.
        """
        taken = await in_ledger_thread(self._state_so_far, recorder)
        if taken.verdict is None or taken.verdict in UNDECIDED:
            guarding = self._ending == "guarded"
            judged = await asyncio.to_thread(self._looking.judge, taken, [*came], guarding)
            if judged.verdict is Verdict.FAIL and await in_ledger_thread(self._record, recorder, judged):
                return judged.state, judged.reason
        return taken, TAKEN_BACK

    async def _aborted(self, recorder: Recorder, now: Known) -> dict[str, Any]:
        reason = f"aborted by {now.flags.aborted_by}: {now.flags.abort_reason}"
        stuck = await Withdrawal(self.watch, recorder, reason, self.log, aborted=True).run()
        return told(None, now.flags.abort_reason, aborted=True, stuck=stuck)

    def _state_so_far(self, recorder: Recorder) -> State:
        """Return what an earlier process of this watch knew; a fresh start without the ledger."""
        ledger = recorder.ledger_or_none()
        if ledger is None:
            return self._looking.resumed(())  # type: ignore[no-any-return]
        try:
            looks = ledger.events(self.watch.release_id, kinds=[Kind.ANALYSIS_MEASURED])
        except LedgerError as error:
            self.log.warning("the looks so far can't be read, beginning anew: %s", error)
            return self._looking.resumed(())  # type: ignore[no-any-return]
        self._caught_up = True
        return self._looking.resumed(looks)  # type: ignore[no-any-return]

    async def _is_gone(self) -> bool:
        """Say whether the candidate has no traffic any more: a process before this one took it back."""
        watch = self.watch
        try:
            platform = await async_platform_of(watch.environment)
            seen = await in_platform_thread(platform.observe, watch.environment.name, watch.service)
        except Exception as error:
            # Not knowing is no reason to do anything; the looks will tell.
            self.log.warning("can't see whether the candidate still has its traffic: %s", error)
            return False
        return not serves(seen, watch.candidate)

    async def _stopped_before(self, next_look: float) -> Known | None:
        """Wait for the next look; return what people record that ends the watch before it, at once."""
        feed, watch = await ledger_feed(), self.watch

        def stopped(ledger: Ledger) -> Known | None:
            now = known(ledger, watch)
            return now if now.over or now.flags.aborted_by else None

        try:
            # A ledger that hangs must not keep the look from coming.
            async with asyncio.timeout(max(0.0, next_look - time.time())):
                return await feed.until(stopped, of=watch.release_id)
        except TimeoutError:
            return None

    async def _known(self, recorder: Recorder) -> Known:
        try:
            reading = in_ledger_thread(lambda: known(recorder.ledger(), self.watch))
            return await asyncio.wait_for(reading, LEDGER_PATIENCE_S)
        except (LedgerError, TimeoutError) as error:
            self.log.warning(
                "can't see whether somebody aborted or holds this release: %s", error or "too slow"
            )
            self._source = await async_ledger_source()
            return Known()

    async def _until_recorded(self, recorder: Recorder) -> None:
        """Wait until nothing waits in the spool: no step can go forward without the ledger anyway."""
        from relman_plugins.ledger import spool

        while True:
            try:
                await in_ledger_thread(lambda: spool.replay(settings.spool_folder(), recorder.ledger()))
            except LedgerError as error:
                self.log.warning("the verdict waits for the ledger: %s", error)
                await asyncio.sleep(SPOOL_PAUSE_S)
                self._source = await async_ledger_source()
            except OSError as error:
                self.log.error("the spool can't be read: %s", error)
                return
            else:
                return

    def _record(self, recorder: Recorder, judgement: Judgement) -> bool:
        """Record a look; return False when one of that number is recorded already."""
        if not judgement.looks:
            return True
        key = f"{self.watch.course}:look{judgement.state.rounds}"
        return self._say(recorder, Kind.ANALYSIS_MEASURED, key, self._looking.data(judgement))

    def _record_end(self, recorder: Recorder, state: State) -> None:
        verdict = state.verdict.value if state.verdict else None
        ended = {"verdict": verdict, "reason": state.reason, "looks": state.rounds}
        self._say(recorder, Kind.ANALYSIS_FINISHED, f"{self.watch.prefix}:{self._ending}", ended)

    def _say(self, recorder: Recorder, kind: Kind, key: str, data: dict[str, Any]) -> bool:
        watch = self.watch
        return recorder.record(
            NewEvent(
                kind=kind,
                key=key,
                step=watch.step,
                environment=watch.environment.name,
                data={"analysis": watch.analysis.name, "weight": watch.weight} | data,
                at=datetime.now(UTC),
            )
        )


def told(verdict: Verdict | None, reason: str, *, aborted: bool = False, stuck: str = "") -> dict[str, Any]:
    """Return what the step is told of a watch's end: the event that :class:`AnalysisTrigger` describes."""
    said = verdict.value if verdict else None
    return {"verdict": said, "reason": reason, "aborted": aborted, "stuck": stuck}

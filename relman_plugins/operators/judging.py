"""What steps share that the numbers are judged after."""

from __future__ import annotations

import time
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, NoReturn

from relman_plugins import settings, telemetry
from relman_plugins.domain.event import Kind
from relman_plugins.domain.identity import Person
from relman_plugins.domain.state import Revision
from relman_plugins.domain.status import Verdict
from relman_plugins.errors import LedgerUnavailable
from relman_plugins.hooks.platform import platform_of
from relman_plugins.operators.changing import ChangingOperator, previous_of, seen_at_first
from relman_plugins.plan.model import AnalysisPlan, StepKind
from relman_plugins.steps.base import StepFailed
from relman_plugins.steps.run import StepRun
from relman_plugins.strategies.api import withdrawn

if TYPE_CHECKING:
    from airflow.sdk import Context

    from relman_plugins.ledger.api import GateState, Lock

ASK_TIMEOUT_S = 24 * 3600.0
"""How long people have to say what an undecided analysis means."""

ASK_REMIND_S = 1800.0
"""How often they are reminded: a part of the traffic is at the new version meanwhile."""


class JudgingOperator(ChangingOperator):
    """A step that changes an environment or lets it be, and goes on by a judgement of the numbers."""

    def watch(
        self,
        run: StepRun,
        lock: Lock,
        previous: Revision | None,
        *,
        weight: int,
        count: int,
        baseline: bool = False,
    ) -> None:
        """Wait for the judgement of the numbers, beside those of a fresh ``baseline`` if there is one."""
        from relman_plugins.triggers.analysis import AnalysisTrigger  # brings HTTP and the judge
        from relman_plugins.triggers.base import deferral

        watch = self._watched(run, lock, previous, weight=weight, count=count, baseline=baseline)
        self.defer(
            trigger=AnalysisTrigger(watch=watch, **deferral(settings.minimum_deferral())),
            method_name="judged",
        )

    def park(self, context: Context, run: StepRun, gate: GateState, resume: str = "answered") -> NoReturn:
        """Wait for people's word; where the analysis is in the background, it goes on to look meanwhile."""
        args = run.step.args
        previous = previous_of(run, platform_of(run.environment)) if args.get("background") else None
        if previous is None or nothing_to_compare(run, previous):
            super().park(context, run, gate, resume)
        from relman_plugins.triggers.guarding import GuardedApprovalTrigger

        counts = {"weight": int(args["weight"]), "count": int(args["count"])}
        watch = self._watched(
            run, self.take_lock(run), previous, **counts, baseline=bool(args.get("baseline"))
        )
        self.park_by(GuardedApprovalTrigger, context, run, gate, resume, watch=watch)

    def _answered(self, context: Context, run: StepRun, event: dict[str, Any]) -> str:
        self._raise_if_bad(event)
        return super()._answered(context, run, event)

    def _watched(
        self,
        run: StepRun,
        lock: Lock,
        previous: Revision | None,
        *,
        weight: int,
        count: int,
        baseline: bool,
    ) -> dict[str, Any]:
        from relman_plugins.triggers.watch import Watch

        args, environment = run.step.args, run.environment
        analysis = run.shape.analysis(args["analysis"])
        watch = Watch(
            release_id=run.release_id,
            step=run.step.id,
            attempt=run.attempt,
            environment=environment,
            service=run.service,
            analysis=analysis,
            candidate=run.artifact,
            stable=previous,
            weight=weight,
            baseline=baseline,
            interval_s=args["interval_s"],
            count=count,
            false_alarms=run.shape.false_alarms(run.step),
            before_at=_before(run, analysis, count),
            started_at=_began(run) if analysis.compares else time.time(),
            shared=analysis.compares,
            background=bool(args.get("background")),
            earlier=run.shape.carried_from(run.step),
            withdraw=withdrawn(previous, environment.replicas, environment.config),
            token=lock.token,
            before=seen_at_first(run),
        )
        return watch.model_dump(mode="json")

    def judged(self, context: Context, event: dict[str, Any]) -> Any:
        """Go on by the verdict that the ledger has."""

        def go_on(run: StepRun) -> Any:
            if run.mine(Kind.STEP_FINISHED):
                return None
            return self.finish(run, self._judged(context, run, event))

        return self._framed(context, go_on)

    @abstractmethod
    def passed(self, run: StepRun, reason: str) -> str:
        """Do what follows a good judgement; return what was done."""

    def decided(self, context: Context, run: StepRun, gate: GateState) -> str:
        """A person took the undecided analysis for good."""
        who = ", ".join(v.name or v.person for v in gate.votes)
        return self._go_on(run, f"undecided by the numbers, accepted by {who}")

    def _go_on(self, run: StepRun, reason: str) -> str:
        self.not_taken_back(run)
        self.still_serves(run, platform_of(run.environment))
        return self.passed(run, reason)

    def settled(self, context: Context, run: StepRun) -> str | None:
        """Return what was done when an earlier try already had a verdict; None when there is nothing yet.

        Raises:
            StepFailed: the numbers were bad, or the traffic was taken back for another reason.
        """
        self.not_taken_back(run)
        found = run.mine(Kind.ANALYSIS_FINISHED)
        if not found:
            return None
        verdict, reason = Verdict(found[-1].data["verdict"]), str(found[-1].data["reason"])
        telemetry.note(verdict=verdict.value)
        if verdict is Verdict.FAIL:
            raise StepFailed(f"the numbers are bad: {reason}")
        if verdict is Verdict.PASS:
            return self._go_on(run, reason)
        return self._ask_what_it_means(context, run, verdict, reason)

    def uncompared(self, context: Context, run: StepRun, why: str) -> str:
        """Ask people about a version that can be compared with nothing: that is no data, never a pass."""
        ended = {"verdict": Verdict.NO_DATA.value, "reason": why, "looks": 0}
        about = {"analysis": run.step.args["analysis"], "weight": run.step.args.get("weight", 100)}
        run.record(Kind.ANALYSIS_FINISHED, f"{run.attempt}:finished", about | ended)
        return self._ask_what_it_means(context, run, Verdict.NO_DATA, why)

    def _judged(self, context: Context, run: StepRun, event: dict[str, Any]) -> str:
        self._raise_if_bad(event)
        self._wait_if_held(run)
        self._check(run)
        done = self.settled(context, run)
        if done is None:
            # The trigger's record waits in a spool: the next try measures again rather than trust the event.
            raise LedgerUnavailable("the ledger has no verdict of this analysis yet")
        return done

    def _raise_if_bad(self, event: dict[str, Any]) -> None:
        """Raise StepFailed when a trigger took the traffic back, or tried to."""
        if event.get("aborted") or event.get("verdict") == Verdict.FAIL:
            stuck = event.get("stuck")
            where = f"NOT taken back: {stuck}" if stuck else "back at the old version"
            aborted = bool(event.get("aborted")) and not stuck
            raise StepFailed(f"{event.get('reason')}; the traffic is {where}", aborted=aborted)

    def _ask_what_it_means(self, context: Context, run: StepRun, verdict: Verdict, reason: str) -> str:
        people = all_approvers(run)
        if not people:
            raise StepFailed(
                f"the analysis is undecided ({verdict}: {reason}) and the pipeline names nobody to ask; "
                "add an approval gate so that its people can be asked"
            )
        from relman_plugins.steps.subjects import question_of

        subject, body = question_of(run, verdict, reason, people)
        gate = self.ask(
            context,
            run,
            subject=subject,
            people=people,
            quorum=1,
            timeout_s=ASK_TIMEOUT_S,
            on_timeout="reject",
            remind_s=ASK_REMIND_S,
            headline=f"{run.shape.pipeline} {run.plan.options.version}: the numbers say {verdict}. Go on?",
            body=body,
        )
        return self.settle(context, run, gate)


def _began(run: StepRun) -> float:
    """Return since when a comparison counts, in seconds since the epoch: the step's first try began then."""
    changed = run.mine(Kind.CHANGE_FINISHED)
    return changed[0].at.timestamp() if changed else time.time()


def _before(run: StepRun, analysis: AnalysisPlan, count: int) -> float:
    """Return when the old version's watch began, where an analysis compares with the time before the change.

    It ended when this stage began to change anything; in seconds since the epoch, the same for every try.
    """
    if analysis.sampled is None or analysis.sampled.against != "before":
        return 0.0
    stage = {s.id for s in run.shape.steps if s.stage == run.step.stage}
    began = min((e.at for e in run.events(Kind.CHANGE_STARTED) if e.step in stage), default=None)
    end = began.timestamp() if began else time.time()
    return end - count * float(run.step.args["interval_s"])


def nothing_to_compare(run: StepRun, previous: Revision | None) -> str:
    """Return why the step's analysis has nothing to compare with; empty when it has, or does not compare."""
    name = run.step.args.get("analysis")
    if not name or not run.shape.analysis(name).compares:
        return ""
    if previous is None:
        return f"no version served in {run.environment.name} before, so there is nothing to compare with"
    if previous.version == run.artifact.version:
        return (
            f"the version that serves in {run.environment.name} is called {previous.version} too, so their "
            "numbers can't be told apart"
        )
    return ""


def all_approvers(run: StepRun) -> tuple[Person, ...]:
    """Return everybody who may approve anything in this pipeline, each once."""
    gates = [s.id for s in run.shape.steps if s.kind is StepKind.APPROVAL]
    return tuple({p.id: p for g in gates for p in run.plan.people(g)}.values())

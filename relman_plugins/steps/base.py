"""The frame around every step: find the release, check that it may go on, act, record."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskDeferred

from relman_plugins import settings, telemetry
from relman_plugins.domain.event import Kind
from relman_plugins.errors import (
    Aborted,
    Held,
    LedgerError,
    PlatformRejected,
    Refused,
    RelmanError,
    Superseded,
    Unlooked,
    recordable,
)
from relman_plugins.plan.ends import ENDS, WATCHES, ended
from relman_plugins.plan.model import Shape, StepKind
from relman_plugins.steps.passing import bypass, is_bypassed
from relman_plugins.steps.promotions import tell_promotion
from relman_plugins.steps.run import StepRun

if TYPE_CHECKING:
    from airflow.sdk import Context

    from relman_plugins.hooks.ledger import Flags
    from relman_plugins.ledger.api import Ledger

LOCK_TTL_S = 24 * 3600.0


class _Converted:
    """An attribute whose value Airflow converts when it is set, kept where Airflow keeps it."""

    def __init__(self, name: str) -> None:
        self._name, self._converter = name, f"_convert_{name}"
        self._otherwise = getattr(BaseOperator, name, None)

    def __get__(self, task: BaseOperator | None, owner: type) -> Any:
        return self._otherwise if task is None else vars(task).get(self._name, self._otherwise)

    def __set__(self, task: BaseOperator, value: Any) -> None:
        vars(task)[self._name] = getattr(task, self._converter)(value)


class StepFailed(RelmanError):
    """The step did its work and the answer is no: red tests, bad numbers, a rejection. Not worth a retry.

    ``decided`` is the state of the gate that said so, ``aborted`` whether a person ended the release: neither
    is a defect that somebody has to look at.
    """

    def __init__(self, message: str, *, decided: str = "", aborted: bool = False) -> None:
        super().__init__(message)
        self.decided = decided
        self.aborted = aborted


class ReleaseStepOperator(BaseOperator):
    """A step of a release plan.

    Subclasses say in ``act`` what the step does. A forward step goes on only when the ledger says it may:
    the release is open, nobody aborted or holds it, the plan is the one it was opened with, every step
    before it has a recorded end, and every gate before it a recorded decision. The state of tasks in
    Airflow decides nothing.

    Safe to run again: a step with a recorded end returns at once.

    :param step_id: id of the step in the plan.
    :param shape: the plan's shape that the DAG was built from; kept out of the serialised DAG.
    """

    template_fields: Sequence[str] = ()
    forward = True
    """Whether the step moves the release on. Others (rollback, teardown, close) are never blocked."""

    step_id: str
    shape: Shape

    def _hook_apply_defaults(
        self, *, step_id: str, shape: Shape, **kwargs: Any
    ) -> tuple[tuple[()], dict[str, Any]]:
        """Take this class's own arguments out of those of ``BaseOperator``.

        Airflow wraps every ``__init__`` of an operator's classes, and does all of its work on defaults once
        more for each: a tenth of what a DAG costs to build. It asks this hook before the only one there is.
        """
        object.__setattr__(self, "step_id", step_id)
        object.__setattr__(self, "shape", shape)
        return (), kwargs

    __setattr__ = object.__setattr__  # type: ignore[assignment]
    """Airflow's own way looks at each of the sixty attributes of a task for a converter of that name, and for
    templates and mapped arguments, which steps don't have: a fifth of what a DAG costs to build."""

    def execute(self, context: Context) -> Any:
        """Run the step; called again after a wait, a retry or a clear."""
        return self._framed(context, lambda run: self._begin(context, run))

    def resume(self, context: Context, event: dict[str, Any] | None = None) -> Any:
        """Go on after a wait for a lock, a window or a hold: everything is checked again."""
        if event and event.get("state") == "expired":
            return self._framed(
                context, lambda run: self._fail(run, StepFailed("the time to wait for the window is over"))
            )
        return self.execute(context)

    @abstractmethod
    def act(self, context: Context, run: StepRun) -> str:
        """Do the step's work; return what was done, in one sentence.

        Raises:
            StepFailed: the answer is no.
            Refused: a rule says no.
            RelmanError: it could not be done; Airflow tries again.
        """

    def dry(self, run: StepRun) -> str:
        """Say what the step would do, for a dry run."""
        return f"dry run: {run.step.kind} {run.step.args or ''} would run here"

    def _begin(self, context: Context, run: StepRun) -> Any:
        if run.mine(Kind.STEP_FINISHED):
            self.log.info("%s has a recorded end; nothing to do", self.step_id)
            self._unlock(run)
            return None
        if self.forward:
            self._wait_if_held(run)
            if not self._watches(run):
                self._wait_if_frozen(run)
            self._check(run)
        run.record(
            Kind.STEP_STARTED, f"{run.attempt}:started", {"kind": run.step.kind.value, "try": run.attempt}
        )
        if run.plan.options.dry_run and run.step.kind not in (StepKind.OPEN, StepKind.CLOSE):
            return self.finish(run, self.dry(run))
        return self.finish(run, self.act(context, run))

    def finish(self, run: StepRun, message: str, **data: Any) -> dict[str, Any]:
        """Record the step's end and return what goes into XCom; only people read it there."""
        self.log.info("%s", message)
        telemetry.note(result=message)
        run.record(Kind.STEP_FINISHED, "finished", {"kind": run.step.kind.value, "message": message, **data})
        self._unlock(run)
        return {"release": run.release_id, "message": message, **data}

    def _framed(self, context: Context, work: Any) -> Any:
        """Run ``work`` and record how it did not end well."""
        kind = self.shape.step(self.step_id).kind.value
        with telemetry.span("step", (AirflowSkipException,), step=self.step_id, kind=kind):
            return self._recorded(context, work)

    def _recorded(self, context: Context, work: Any) -> Any:
        run = self.start(context)
        telemetry.note(
            release_id=run.release_id,
            pipeline=run.shape.pipeline,
            version=run.plan.options.version,
            stage=run.step.stage,
            environment=run.step.environment,
        )
        try:
            done = work(run)
        except (TaskDeferred, AirflowSkipException, AirflowFailException):
            raise
        except Held as error:
            # Somebody held the release between the look at it and the check.
            self._wait_while_held(run, str(error))
        except (StepFailed, Refused) as error:
            self._fail(run, error)
        except Exception as error:
            if self.forward and isinstance(error, PlatformRejected):
                # What a platform refuses now, it refuses again; meanwhile the lock would keep others waiting.
                self._fail(run, StepFailed(str(error)))
            # Recorded, so that the record says why a try ended, and raised, so that Airflow tries again.
            data = self._about(run, recordable(error), final=False)
            run.record(Kind.STEP_FAILED, f"{run.attempt}:failed", data)
            raise
        # What `finish` returned, or nothing where an earlier try had ended the step.
        tell_promotion(context, run, again=done is None)
        return done

    def _fail(self, run: StepRun, error: StepFailed | Refused) -> NoReturn:
        kind = Kind.STEP_REFUSED if isinstance(error, Refused) else Kind.STEP_FAILED
        data = self._about(run, str(error), final=True)
        if isinstance(error, Aborted) or (isinstance(error, StepFailed) and error.aborted):
            data["aborted"] = True
        if isinstance(error, StepFailed) and error.decided:
            data["decided"] = error.decided
        if isinstance(error, Superseded):
            data["decided"] = "superseded"
        run.record(kind, f"{run.attempt}:ended", data)
        raise AirflowFailException(str(error))

    @staticmethod
    def _about(run: StepRun, message: str, *, final: bool) -> dict[str, Any]:
        return {"kind": run.step.kind.value, "message": message, "try": run.attempt, "final": final}

    def start(self, context: Context) -> StepRun:
        """Find the release of this run, and the step in its stored plan.

        Raises:
            LedgerUnavailable: the ledger does not answer: a forward step stops, and Airflow tries again.
            AirflowFailException: the run has no release.
        """
        from relman_plugins.hooks.ledger import ledger
        from relman_plugins.hooks.recorder import Recorder

        ti, book = context["ti"], ledger()
        if self.forward:
            self._replay(book)
        release = book.release_of_run(ti.dag_id, ti.run_id)
        if release is None:
            raise AirflowFailException(
                f"run {ti.run_id!r} of {ti.dag_id} has no release in the ledger: its step open must run first"
            )
        recorder = Recorder(
            release.release_id,
            ledger,
            spool=None if self.forward else settings.spool_folder(),
            warn=lambda text: self.log.warning("%s", text),
        )
        try:
            step = release.plan.shape.step(self.step_id)
        except KeyError:
            raise AirflowFailException(
                f"the plan of release {release.release_id} has no step {self.step_id!r}: the spec changed "
                "under it; start another release"
            ) from None
        return StepRun(book, release, step, recorder, f"try{ti.try_number}")

    def _replay(self, book: Ledger) -> None:
        """Bring this machine's spool into the ledger: a withdrawal in it decides what is next."""
        from relman_plugins.ledger import spool

        try:
            spool.replay(settings.spool_folder(), book)
        except OSError as error:
            self.log.warning("the spool %s can't be read: %s", settings.spool_folder(), error)

    def _watches(self, run: StepRun) -> bool:
        """Say whether a version with traffic would be left alone if the step waited for a thaw.

        What is begun is brought to where it can be watched, and is watched. Before more follows from it, the
        freezes are asked.
        """
        return run.step.kind in WATCHES or bool(run.mine(Kind.CHANGE_STARTED))

    def _hold(self, run: StepRun) -> None:
        self._wait_if_held(run)
        self._wait_if_frozen(run)

    def _wait_if_held(self, run: StepRun) -> None:
        flags = self._flags(run)
        if flags.held_by and not flags.over:
            self._wait_while_held(run, f"held by {flags.held_by}: {flags.hold_reason}")

    def _flags(self, run: StepRun) -> Flags:
        from relman_plugins.hooks.ledger import flags_of

        return flags_of(run.ledger, run.release_id)

    def _wait_if_frozen(self, run: StepRun) -> None:
        if run.step.changes and not run.plan.options.dry_run and not self._flags(run).over:
            from relman_plugins.steps.freezes import wait_while_frozen

            wait_while_frozen(self, run)

    def _wait_while_held(self, run: StepRun, why: str) -> NoReturn:
        from relman_plugins.triggers.base import deferral
        from relman_plugins.triggers.waits import HoldTrigger

        self.log.info("%s", why)
        self.defer(
            trigger=HoldTrigger(release_id=run.release_id, **deferral(settings.minimum_deferral())),
            method_name="resume",
        )

    def _unlock(self, run: StepRun) -> None:
        """Give the environment's lock back when every step that ends its use has a recorded end.

        Looked at after this step's own end is recorded: of two that end at once, the later one sees both.
        """
        if not run.step.unlocks or run.step.environment is None:
            return
        last = {
            s.id
            for s in run.shape.steps
            if s.stage == run.step.stage and s.unlocks and s.kind is not StepKind.ROLLBACK
        }
        try:
            if last <= {e.step for e in run.events(Kind.STEP_FINISHED)}:
                run.ledger.locks.release(run.step.environment, run.service, run.release_id)
        except LedgerError as error:
            self.log.warning("the lock is kept until the release is closed: %s", error)

    def _check(self, run: StepRun, looked: frozenset[str] = frozenset()) -> None:
        """Raise Refused unless everything before this step has its record.

        A ticket's system is asked on the way; ``looked`` are the gates for which that was done just now.
        """
        from relman_plugins.ledger.api import check_forward
        from relman_plugins.steps.tickets import look_before

        finished = ended(run.shape, run.events(*ENDS))
        for needed in run.step.needs:
            if needed in finished:
                continue
            gate = run.ledger.votes.gate(run.release_id, needed)
            if is_bypassed(run.shape.step(needed), gate, ended=False):
                told = bypass(needed)
                run.record(Kind.GATE_BYPASSED, f"bypassed:{needed}", told)
                now = "Clear it, so that it runs"
                if gate is not None and gate.state == "open":
                    now = f"Approve it with `relman approve {run.release_id}`"
                raise Refused(f"{told['message']}; nothing goes past it. {now}")
            raise Refused(
                f"step {needed} has no recorded end: it was marked or skipped in Airflow, which does not "
                "count; clear it so that it runs"
            )
        at = run.ledger.now()
        try:
            check_forward(run.ledger, run.release_id, run.step, frame=self.shape.frame, now=at, looked=looked)
        except Unlooked as unlooked:
            if unlooked.gate in looked:
                raise
            look_before(self, run, run.shape.step(unlooked.gate))
            self._check(run, frozenset({unlooked.gate, *looked}))


for _name in dir(BaseOperator):
    if _name.startswith("_convert_"):
        _attribute = _name.removeprefix("_convert_")
        setattr(ReleaseStepOperator, _attribute, _Converted(_attribute))

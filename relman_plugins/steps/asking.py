"""Asking people: a gate in the ledger, a Required Action as its doorbell, a trigger that waits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn

from relman_plugins import settings
from relman_plugins.domain.event import Kind
from relman_plugins.domain.identity import Person
from relman_plugins.domain.status import APPROVE, OPTIONS, Decision
from relman_plugins.errors import Refused, Superseded
from relman_plugins.steps.base import ReleaseStepOperator, StepFailed
from relman_plugins.steps.ruled import listed, ruled
from relman_plugins.steps.run import StepRun

if TYPE_CHECKING:
    from airflow.sdk import Context

    from relman_plugins.domain.checklist import Item
    from relman_plugins.ledger.api import GateState
    from relman_plugins.steps.subjects import Body
    from relman_plugins.triggers.approval import ApprovalTrigger


REMIND_S = 4 * 3600.0
"""How often those who can still answer are reminded, where the spec does not say."""


class AskingOperator(ReleaseStepOperator):
    """A step that may have to ask people. Its gate has the step's own id.

    Votes count only in the ledger. An answer on Airflow's page that did not pass through relman's
    middleware arrives here as the resume event, which only the server can make, and is handed to the vote
    service.
    """

    def ask(
        self,
        context: Context,
        run: StepRun,
        *,
        subject: dict[str, Any],
        people: Sequence[Person],
        quorum: int,
        timeout_s: float,
        on_timeout: Any,
        remind_s: float | None = REMIND_S,
        headline: str,
        body: Body,
        listed: Sequence[Person] = (),
        resume: str = "answered",
        **more: Any,
    ) -> GateState:
        """Open the gate if it is not open yet; return it when it is decided, wait for that otherwise.

        ``body`` makes the text from the gate that is open then. ``resume`` names the method that goes on when
        it is decided; ``more`` is for ``open_gate``. ``listed`` are those whom Airflow's page lets answer, if
        they are more than ``people``.
        """
        gate = run.ledger.votes.open_gate(
            run.release_id,
            run.step.id,
            subject=subject,
            people=people,
            quorum=quorum,
            timeout_s=timeout_s,
            on_timeout=on_timeout,
            remind_s=remind_s,
            **more,
        )
        if gate.state != "open":
            return gate
        from airflow.sdk.execution_time.hitl import upsert_hitl_detail

        from relman_plugins.steps.form import form_of

        upsert_hitl_detail(
            ti_id=context["ti"].id,
            options=list(OPTIONS),
            subject=headline,
            body=body(gate),
            multiple=False,
            params=form_of(items_of(subject), gate.rules),
            assigned_users=_users(listed or people),
        )
        return self.park(context, run, gate, resume)

    def ask_as_planned(
        self, context: Context, run: StepRun, *, subject: dict[str, Any], **more: Any
    ) -> GateState:
        """Ask those, for as long and as often as the plan says of this step; otherwise as ``ask``."""
        args = run.step.args
        planned = {
            "people": run.plan.people(run.step.id),
            "quorum": args["quorum"],
            **ruled(run),
            "listed": listed(run),
            "timeout_s": args["timeout_s"],
            "on_timeout": args["on_timeout"],
            "remind_s": args.get("remind_s", REMIND_S),
            "escalate": args.get("escalate"),
            "valid_for_s": args.get("valid_for_s"),
        }
        return self.ask(context, run, subject=subject, **(planned | more))

    def park(self, context: Context, run: StepRun, gate: GateState, resume: str = "answered") -> NoReturn:
        """Wait for the gate's decision; its time has been running since it was opened."""
        from relman_plugins.triggers.approval import ApprovalTrigger

        self.park_by(ApprovalTrigger, context, run, gate, resume)

    def park_by(
        self,
        trigger: type[ApprovalTrigger],
        context: Context,
        run: StepRun,
        gate: GateState,
        resume: str,
        **more: Any,
    ) -> NoReturn:
        """Do as ``park``, by a trigger of this kind, which takes ``more``."""
        from relman_plugins.triggers.base import deferral

        self.log.info("waiting for %s of %s", gate.quorum, ", ".join(p.name or p.id for p in gate.people))
        self.defer(
            trigger=trigger(
                release_id=run.release_id,
                gate=run.step.id,
                ti_id=str(context["ti"].id),
                expires_at=gate.expires_at.isoformat(),
                **more,
                **deferral(settings.minimum_deferral()),
            ),
            method_name=resume,
        )

    def wait_until(self, run: StepRun, until: datetime, why: str) -> NoReturn:
        """Wait for a time that people have set, then begin anew with all checks."""
        from relman_plugins.triggers.base import deferral
        from relman_plugins.triggers.waits import SoakTrigger

        self.log.info("%s", why)
        self.defer(
            trigger=SoakTrigger(
                release_id=run.release_id,
                until=until.isoformat(),
                **deferral(settings.minimum_deferral()),
            ),
            method_name="resume",
        )

    def answered(self, context: Context, event: dict[str, Any]) -> Any:
        """Go on when the trigger saw a decision or Airflow took an answer: the ledger is read again."""
        return self._framed(context, lambda run: self.finish(run, self._answered(context, run, event)))

    def decided(self, context: Context, run: StepRun, gate: GateState) -> str:
        """Go on after an approval; return what was done: here, that it was given."""
        return f"approved by {', '.join(v.name or v.person for v in gate.votes)}"

    def _answered(self, context: Context, run: StepRun, event: dict[str, Any]) -> str:
        return self.settle(context, run, self.heard(context, run, event))

    def heard(
        self, context: Context, run: StepRun, event: dict[str, Any], resume: str = "answered"
    ) -> GateState:
        """Return the gate once it is decided, as the ledger has it; wait on while it is not.

        ``run`` is that of the gate's step, whichever task asks.
        """
        from relman_plugins.hooks.ledger import flags_of

        if event.get("chosen_options"):
            self._hand_over(context, run, event)
        gate = run.ledger.votes.expire_gate(run.release_id, run.step.id)
        flags = flags_of(run.ledger, run.release_id)
        if flags.aborted_by:
            raise StepFailed(f"aborted by {flags.aborted_by}: {flags.abort_reason}", aborted=True)
        if flags.closed:
            raise StepFailed("the release was closed while this gate waited")
        if gate is None:
            raise Refused(
                f"gate {run.step.id} is not in the ledger; clear the task so that it is opened again"
            )
        if gate.state == "open":
            self._reopen(context, gate)
            self.park(context, run, gate, resume)
        return gate

    def settle(self, context: Context, run: StepRun, gate: GateState) -> str:
        """Act on a decided gate."""
        if gate.state == "approved":
            self._hold(run)
            self._check(run)
            return self.decided(context, run, gate)
        raise self._no(gate)

    def _go_past(self, gate: GateState) -> None:
        """Raise what a decided gate means that was not approved."""
        if gate.state != "approved":
            raise self._no(gate)

    @staticmethod
    def _no(gate: GateState) -> StepFailed | Superseded:
        if gate.state == "superseded":
            return Superseded(gate.comment)
        if gate.state == "rejected" and gate.decided_by != "timeout":
            comment = f": {gate.comment}" if gate.comment else ""
            return StepFailed(f"rejected by {gate.decided_by}{comment}", decided=gate.state)
        return StepFailed(
            f"nobody decided in time ({gate.state} by {gate.decided_by}): {gate.comment}", decided=gate.state
        )

    def _hand_over(self, context: Context, run: StepRun, event: dict[str, Any]) -> None:
        """Give an answer that Airflow took itself to the vote service.

        Airflow keeps a task's first text, so an approval is one of what this task asked about first.
        """
        from relman_plugins.steps.form import answers_of, comment_of

        user = event.get("responded_by_user") or {}
        if not user.get("id"):
            return
        decision = Decision.APPROVE if event["chosen_options"] == [APPROVE] else Decision.REJECT
        task = str(context["ti"].task_id)
        opened = run.events(Kind.GATE_OPENED)
        first = next(
            (e.data["subject_digest"] for e in opened if task in (e.data.get("asker"), e.step)), "nothing"
        )
        result = run.ledger.votes.cast(
            run.release_id,
            run.step.id,
            airflow_user=str(user["id"]),
            name=str(user.get("name") or ""),
            decision=decision,
            digest=first if decision is Decision.APPROVE else None,
            comment=comment_of(event.get("params_input") or {}),
            answers=answers_of(event.get("params_input") or {}),
            via="airflow",
        )
        self.log.info("answer of %s on Airflow's page: %s", user["id"], result.reason)
        if not result.accepted:
            run.record(
                Kind.STEP_REFUSED,
                f"{run.attempt}:vote:{user['id']}",
                {"message": f"an answer did not count: {result.reason}", "final": False},
            )

    def _reopen(self, context: Context, gate: GateState) -> None:
        from airflow.sdk.execution_time.hitl import upsert_hitl_detail

        from relman_plugins.steps.form import form_of

        # The row exists: this clears its answer, and Airflow keeps subject and body as they were.
        upsert_hitl_detail(
            ti_id=context["ti"].id,
            options=list(OPTIONS),
            subject="",
            params=form_of(items_of(gate.subject), gate.rules),
            assigned_users=_users(gate.people),
        )


def _users(people: Sequence[Person]) -> list[Any]:
    """Return whom Airflow's page takes an answer of; an empty list would mean everybody."""
    from airflow.sdk.execution_time.hitl import HITLUser

    if not people:
        raise Refused("there is nobody who may answer, so nobody is asked; name people in the spec")
    return [HITLUser(id=p.airflow, name=p.name or p.airflow) for p in people]


def items_of(subject: dict[str, Any]) -> list[Item]:
    """Return the items that a gate asks about; none unless it is a checklist's."""
    from relman_plugins.domain.checklist import Item

    return [Item.model_validate(i) for i in subject.get("checklist") or ()]

"""Asking again when an approval has run out before the traffic that it was for was moved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from relman_plugins.domain.event import Kind
from relman_plugins.errors import Lapsed, Refused, TooEarly
from relman_plugins.plan.words import duration
from relman_plugins.steps.asking import REMIND_S, AskingOperator
from relman_plugins.steps.ruled import asked

if TYPE_CHECKING:
    from airflow.sdk import Context

    from relman_plugins.steps.run import StepRun

PATIENCE_S = 366 * 86_400.0
"""How long people have once a part of the change is made: nobody's silence may move traffic, so, for ever."""


class RenewingOperator(AskingOperator):
    """A step that asks again when an approval that it rests on no longer holds (``valid_for``).

    The question is a new round of that gate; the Required Action is this step's, whose task waits. Meanwhile
    everything stays as it is: no traffic moves forward, and none back. A yes lets the step begin anew, with
    all its checks. A no ends the release as at any gate. Nobody's answer ends it only while the stage has
    changed nothing.
    """

    def _recorded(self, context: Context, work: Callable[[StepRun], Any]) -> Any:
        def renewing(run: StepRun) -> Any:
            try:
                return work(run)
            except Lapsed as lapsed:
                self.log.info("%s", lapsed)
                return self._ask_again(context, run, lapsed)
            except TooEarly as early:
                self.wait_until(run, early.until, str(early))

        return super()._recorded(context, renewing)

    def renewed(self, context: Context, event: dict[str, Any]) -> Any:
        """Go on when people have answered again; the ledger is read, and the step begins anew."""

        def go_on(run: StepRun) -> Any:
            gate = run.ledger.votes.asked_by(run.release_id, run.step.id)
            if gate is None:
                raise Refused(f"nobody was asked on behalf of {run.step.id}; clear it, so that it asks")
            self._go_past(self.heard(context, _as_gate(run, gate.gate), event, "renewed"))
            return self._begin(context, run)

        return self._framed(context, go_on)

    def _ask_again(self, context: Context, run: StepRun, lapsed: Lapsed) -> Any:
        from relman_plugins.steps.beforehand import changes_in
        from relman_plugins.steps.subjects import body_of, subject_of

        at_gate = _as_gate(run, lapsed.gate)
        subject, args = subject_of(at_gate), at_gate.step.args
        stage = {s.id for s in run.shape.steps if s.stage == run.step.stage}
        changed = any(e.step in stage for e in run.events(Kind.CHANGE_STARTED))
        why = (
            f"**Asked again.** An approval holds for {duration(args['valid_for_s'])}; the last one was over "
            f"when `{run.step.id}` was to begin. It waits for you, and everything stays as it is.\n\n"
        )
        until = "the question stands until somebody answers" if changed else ""
        what = f"{run.shape.pipeline} {run.plan.options.version}"
        gate = self.ask_as_planned(
            context,
            at_gate,
            subject=subject,
            headline=f"{what} → {run.step.environment}: still approved?",
            body=lambda gate: why + body_of(at_gate, gate, *asked(at_gate), until) + changes_in(run),
            timeout_s=PATIENCE_S if changed else args["timeout_s"],
            remind_s=args.get("remind_s") or REMIND_S,
            renews=lapsed.round,
            asker=run.step.id,
            resume="renewed",
        )
        self._go_past(gate)
        # Approved meanwhile by somebody who was quicker than this try.
        return self._begin(context, run)


def _as_gate(run: StepRun, gate: str) -> StepRun:
    return replace(run, step=run.shape.step(gate))

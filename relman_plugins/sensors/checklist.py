"""A suite that people go through by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relman_plugins.domain.checklist import Answer, named
from relman_plugins.domain.event import Kind
from relman_plugins.hooks.platform import platform_of
from relman_plugins.steps.asking import AskingOperator, items_of
from relman_plugins.steps.base import StepFailed
from relman_plugins.steps.subjects import checklist_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from relman_plugins.ledger.api import GateState
    from relman_plugins.steps.run import StepRun


class ChecklistSensor(AskingOperator):
    """Wait until one of the plan's people has gone through the checklist, and record it as a suite.

    The answer is bound to the digest of its subject: release, version, artifact, plan, spec and the items.
    Green means: somebody approved, and said of every item that it passed. A rejection is red and names what
    failed; so is nobody's answer in time. Nothing but the ledger is believed.
    """

    ui_color = "#fdf1c7"

    def act(self, context: Context, run: StepRun) -> str:
        """Ask, or use the answer that is already there."""
        environment = run.environment
        what = f"{run.shape.pipeline} {run.plan.options.version}"
        url = platform_of(environment).observe(environment.name, run.service).url
        subject, body = checklist_of(run, url, run.plan.people(run.step.id))
        headline = f"{what} in {environment.name}: {run.step.args['suite']}"
        gate = self.ask_as_planned(context, run, subject=subject, headline=headline, body=body)
        return self.settle(context, run, gate)

    def settle(self, context: Context, run: StepRun, gate: GateState) -> str:
        """Record what was found, then act on it."""
        if gate.state == "approved":
            self._hold(run)
            self._check(run)
        data = _result(run, gate)
        run.record(Kind.SUITE_FINISHED, f"{gate.round}:suite", data)
        if not data["passed"]:
            raise StepFailed(f"suite {data['suite']}: {data['reason']}", decided=gate.state)
        return f"suite {data['suite']}: {data['reason']}"


def _result(run: StepRun, gate: GateState) -> dict[str, Any]:
    """Return a decided checklist as the result of a suite."""
    items = items_of(gate.subject)
    failed = [i for i in items if gate.answers.get(i.id) == Answer.FAILED]
    passed = gate.state == "approved"
    who = next((v.name or v.person for v in reversed(gate.votes)), "")
    untested = sum(gate.answers.get(i.id, Answer.NOT_TESTED) == Answer.NOT_TESTED for i in items)
    if passed:
        reason = f"{len(items)} of {len(items)} items passed, says {who}"
    elif gate.decided_by == "timeout":
        reason = f"nobody answered in time ({gate.state} after {run.step.args['timeout_s']:g} s)"
    elif failed:
        reason = f"{who} found failed: {named(items, gate.answers, Answer.FAILED)}"
    else:
        reason = f"rejected by {who}, no item named"
    if gate.comment and gate.decided_by != "timeout":
        reason += f": {gate.comment}"
    ended = gate.decided_at or gate.opened_at
    return {
        "suite": run.step.args["suite"],
        "passed": passed,
        "reason": reason,
        "tests": len(items),
        "failures": len(failed),
        "errors": 0,
        "skipped": untested,
        "seconds": (ended - gate.opened_at).total_seconds(),
        "failed": [{"name": i.item, "message": gate.comment} for i in failed],
        "by": who,
        "answers": gate.answers,
    }

"""Looking at what changed since the version that is live, before anybody is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relman_plugins.clients.git import Wanted, change_set
from relman_plugins.domain.change_set import ChangeSet
from relman_plugins.domain.event import Kind
from relman_plugins.domain.risk import Assessment, Circumstances, RiskPolicy, assess
from relman_plugins.errors import ClientError
from relman_plugins.plan.diff import diff, line_of
from relman_plugins.steps.base import ReleaseStepOperator
from relman_plugins.steps.paths import spec_path

if TYPE_CHECKING:
    from airflow.sdk import Context

    from relman_plugins.ledger.api import ReleaseRecord
    from relman_plugins.steps.run import StepRun

MOST_RELEASES = 200
"""Releases of the pipeline, newest first, among which that of the live version is looked for."""


class AssessChangeOperator(ReleaseStepOperator):
    """Compare what is to be released with what is live, weigh it by the spec's rules, and record both.

    Nothing is changed, and nothing that was found stops the release: who is asked sees it, and rules of gates
    may depend on it. What can't be found out is a risk of its own, with its points. Assessed once: a retry
    finds what was recorded.
    """

    ui_color = "#e4e0ef"

    def act(self, context: Context, run: StepRun) -> str:
        """Look, weigh, record."""
        return self._assess(run)

    def dry(self, run: StepRun) -> str:
        """Assess in a dry run too: looking changes nothing, and the answer is what a dry run is for."""
        return self._assess(run)

    def _assess(self, run: StepRun) -> str:
        done = run.mine(Kind.CHANGE_ASSESSED)
        if done:
            return f"assessed before: {done[-1].data['headline']}"
        found = self._found(run)
        data = found.model_dump(mode="json") | {
            "headline": found.headline(),
            "authors": [a.model_dump(mode="json") for a in found.changes.authors],
        }
        run.record(Kind.CHANGE_ASSESSED, "assessed", data)
        reasons = "; ".join(f"{c.reason} (+{c.points})" for c in found.contributions)
        return f"{found.headline()}: {reasons or 'nothing counts'}"

    def _found(self, run: StepRun) -> Assessment:
        args = run.step.args
        revision = run.ledger.live(args["environment"]).get(run.service)
        earlier = [
            r
            for r in run.ledger.releases(run.shape.pipeline, limit=MOST_RELEASES)
            if r.release_id != run.release_id and not r.plan.options.dry_run
        ]
        live = next((r for r in earlier if revision and r.version == revision.version), None)
        changes = self._changes(run, revision.version if revision else "", live)
        differences = diff(live.plan.shape, run.shape).differences if live else ()
        circumstances = Circumstances(
            live=revision.version if revision else "",
            changed=tuple(line_of(d) for d in differences),
            weaker=tuple(line_of(d) for d in differences if d.danger),
            last_outcome=self._last_outcome(run, earlier),
            emergency=run.plan.options.emergency,
        )
        return assess(changes, circumstances, RiskPolicy.model_validate(args["risk"]))

    def _changes(self, run: StepRun, version: str, live: ReleaseRecord | None) -> ChangeSet:
        args = run.step.args
        recorded = run.ledger.events(live.release_id, kinds=[Kind.CHANGE_ASSESSED]) if live else []
        commit = recorded[-1].data["changes"]["head"] if recorded else ""
        wanted = Wanted(
            version=run.plan.options.version,
            live=version,
            live_commit=commit,
            tag_prefix=args["tag_prefix"],
            paths=args["paths"],
            migrations=args["migrations"],
        )
        try:
            return change_set(spec_path(args["repository"], self.dag.fileloc), wanted)
        except ClientError as error:
            return ChangeSet(unknown=str(error))

    def _last_outcome(self, run: StepRun, earlier: list[ReleaseRecord]) -> str:
        for release in earlier:
            outcome = run.ledger.status(release.release_id).outcome
            if outcome is not None:
                return str(outcome)
        return ""

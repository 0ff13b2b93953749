"""Looking at what changed since the version that is live, before anybody is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from relman_plugins import settings
from relman_plugins.clients.git import Wanted, change_set
from relman_plugins.clients.git_remote import remote_change_set
from relman_plugins.domain.assessment import Assessment, Circumstances, assess
from relman_plugins.domain.change_set import ChangeSet
from relman_plugins.domain.defect import DefectSource
from relman_plugins.domain.event import Kind
from relman_plugins.domain.repository import is_address
from relman_plugins.domain.risk import RiskPolicy
from relman_plugins.errors import ClientError
from relman_plugins.hooks.git import sign_in
from relman_plugins.plan.diff import diff, line_of
from relman_plugins.steps.base import ReleaseStepOperator
from relman_plugins.steps.paths import spec_path

if TYPE_CHECKING:
    from airflow.sdk import Context

    from relman_plugins.ledger.api import ReleaseRecord
    from relman_plugins.plan.model import Shape, Weighing
    from relman_plugins.steps.run import StepRun


@dataclass(frozen=True)
class View:
    """How somebody looks at a change: the pipeline, or the owner of an environment."""

    environment: str
    """With whose live version it is compared."""
    place: str
    """A directory in the Git repository, relative to the spec folder, or the repository's address."""
    migrations: Sequence[str]
    risk: RiskPolicy
    tag_prefix: str = "v"
    paths: Sequence[str] = ()
    connection: str | None = None
    """What signs in to the server of an address."""
    defects: DefectSource | None = None
    is_owners: bool = False
    """Whether the owner of the environment looks, who leaves nothing of it to the pipeline."""


MOST_RELEASES = 200
"""Releases of the pipeline, newest first, among which the last one that has ended is looked for."""


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
        args = run.step.args
        found = self._found(
            run,
            View(
                environment=args["environment"],
                place=args["repository"],
                connection=args.get("connection"),
                tag_prefix=args["tag_prefix"],
                paths=args["paths"],
                migrations=args["migrations"],
                defects=DefectSource.model_validate(args["defects"]) if args.get("defects") else None,
                risk=RiskPolicy.model_validate(args["risk"]),
            ),
        )
        data = found.model_dump(mode="json") | {
            "headline": found.headline(),
            "authors": [a.model_dump(mode="json") for a in found.changes.authors],
        }
        owners = {view.environment: self._found(run, view) for view in _owners(run.shape)}
        if owners:
            data["environments"] = {name: _short(one) for name, one in owners.items()}
        if wrote := {view.environment: self._wrote(run, view) for view in _others(run.shape)}:
            data["looked_at_for"] = wrote
        run.record(Kind.CHANGE_ASSESSED, "assessed", data)
        reasons = "; ".join(f"{c.reason} (+{c.points})" for c in found.contributions)
        by_others = [f"by the weights of {name}: {one.headline()}" for name, one in owners.items()]
        return "; ".join([f"{found.headline()}: {reasons or 'nothing counts'}", *by_others])

    def _wrote(self, run: StepRun, view: View) -> dict[str, Any]:
        """Return who wrote what is new in an environment, and by which commit the next release knows it."""
        revision = run.ledger.live(view.environment).get(run.service)
        live = run.ledger.brought(view.environment, run.service, revision) if revision else None
        found = self._changes(run, view, revision.version if revision else "", live)
        return found.model_dump(mode="json", include={"head", "authors", "unknown"})

    def _found(self, run: StepRun, view: View) -> Assessment:
        revision = run.ledger.live(view.environment).get(run.service)
        earlier = [
            r
            for r in run.ledger.releases(run.shape.pipeline, limit=MOST_RELEASES)
            if r.release_id != run.release_id and not r.plan.options.dry_run
        ]
        live = run.ledger.brought(view.environment, run.service, revision) if revision else None
        changes = self._changes(run, view, revision.version if revision else "", live)
        differences = diff(live.plan.shape, run.shape).differences if live else ()
        defects, unknown = _defects(view.defects, changes)
        circumstances = Circumstances(
            live=revision.version if revision else "",
            live_digest=revision.digest if revision else "",
            changed=tuple(line_of(d) for d in differences),
            weaker=tuple(line_of(d) for d in differences if d.danger),
            last_outcome=self._last_outcome(run, earlier),
            emergency=run.plan.options.emergency,
            defects=defects,
            defects_unknown=unknown,
        )
        return assess(changes, circumstances, view.risk)

    def _changes(self, run: StepRun, view: View, version: str, live: ReleaseRecord | None) -> ChangeSet:
        recorded = run.ledger.events(live.release_id, kinds=[Kind.CHANGE_ASSESSED]) if live else []
        wanted = Wanted(
            version=run.plan.options.version,
            live=version,
            live_commit=_commit(recorded[-1].data, view) if recorded else "",
            checkout=view.is_owners and not is_address(view.place),
            tag_prefix=view.tag_prefix,
            paths=view.paths,
            migrations=view.migrations,
        )
        try:
            if not is_address(view.place):
                return change_set(spec_path(view.place, self.dag.fileloc), wanted)
            headers = sign_in(view.connection, view.place) if view.connection else {}
            return remote_change_set(view.place, wanted, settings.mirrors_folder(), headers)
        except ClientError as error:
            return ChangeSet(unknown=str(error))

    def _last_outcome(self, run: StepRun, earlier: list[ReleaseRecord]) -> str:
        for release in earlier:
            outcome = run.ledger.status(release.release_id).outcome
            if outcome is not None:
                return str(outcome)
        return ""


def _defects(source: DefectSource | None, changes: ChangeSet) -> tuple[tuple[str, ...], str]:
    """Return the open defects that commits name, each in a line, and why these may not be all."""
    if source is None or not changes.issues:
        return (), ""
    from relman_plugins.hooks.defects import defects

    try:
        client = defects(source)
    except ClientError as error:
        return (), str(error)
    try:
        found, unknown = client.open_among(changes.issues)
    finally:
        client.close()
    more = changes.issue_count - len(changes.issues)
    if more > 0 and not unknown:
        unknown = f"{changes.issue_count} issues are named; {more} of them were not looked at"
    return tuple(defect.line() for defect in found), unknown


def _owners(shape: Shape) -> list[View]:
    """Return how the owners of environments look at a change, where a rule of theirs depends on the risk.

    They look at what is built, all of it: where a pipeline looks, at which paths and tags, is not for them;
    unless it is a repository that the owner believes.
    """
    looks = shape.step("assess").args
    return [
        View(
            environment=place.name,
            place=looks["repository"] if believed else shape.step("build").args["source"],
            connection=looks.get("connection") if believed else None,
            migrations=place.weighing.migrations,
            defects=place.weighing.defects,
            risk=place.weighing.risk,
            is_owners=True,
        )
        for place in shape.environments
        if place.weighing is not None
        for believed in [_is_believed(looks["repository"], place.weighing)]
    ]


def _others(shape: Shape) -> list[View]:
    """Return how those environments look that weigh nothing, and at whose gates no author approves."""
    asking = {step.environment for step in shape.steps if step.args.get("emails")}
    asking |= {e.name for e in shape.environments if e.exceptions and e.exceptions.get("emails")}
    asking |= {e.name for e in shape.environments if e.break_glass and e.break_glass.emails}
    return [
        View(
            environment=place.name,
            place=shape.step("build").args["source"],
            migrations=(),
            risk=RiskPolicy(),
            is_owners=True,
        )
        for place in shape.environments
        if place.weighing is None and place.name in asking
    ]


def _is_believed(repository: str, weighing: Weighing) -> bool:
    return is_address(repository) and any(fnmatchcase(repository, p) for p in weighing.repositories)


def _commit(recorded: dict[str, Any], view: View) -> str:
    """Return the commit that the live version is on record with, as the view sees it."""
    if not view.is_owners:
        return str(recorded.get("changes", {}).get("head", ""))
    weighed = recorded.get("environments", {}).get(view.environment, {}).get("changes", {})
    looked = recorded.get("looked_at_for", {}).get(view.environment, {})
    return str(weighed.get("head") or looked.get("head") or "")


def _short(found: Assessment) -> dict[str, Any]:
    """Return an owner's assessment without what the pipeline's has already, or what nothing is weighed by."""
    changes = found.changes.model_copy(update={"commits": (), "files": (), "issues": ()})
    short = found.model_copy(update={"changes": changes})
    return short.model_dump(mode="json") | {"headline": found.headline()}

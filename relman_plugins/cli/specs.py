"""``relman validate`` and ``relman plan``: the spec folder, without any server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relman_plugins.cli.complete import pipelines, specs_folder
from relman_plugins.cli.exits import Exit, Stop
from relman_plugins.cli.options import PlanFormat, ValidateFormat, must_be_file, pipeline_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relman_plugins.domain.assessment import Assessment
    from relman_plugins.plan.model import ReleasePlan
    from relman_plugins.spec.diagnostic import Diagnostic


def validate(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Pipeline files, or folders of them. [default: $RELMAN_SPECS, or release_specs]",
            show_default=False,
        ),
    ] = None,
    form: Annotated[
        ValidateFormat, typer.Option("--format", help="How findings are printed.")
    ] = ValidateFormat.TEXT,
) -> None:
    """Check specs and everything they refer to; show all findings at once."""
    from relman_plugins.spec.api import check, pipeline_files

    if not paths:
        paths = [specs_folder()]
    for path in paths:
        if not path.exists():
            raise Stop(Exit.USAGE, f"{path}: no such file or folder; give pipeline files, or their folder")
    files = [file for path in paths for file in (pipeline_files(path) if path.is_dir() else [path])]
    if not files:
        raise Stop(Exit.USAGE, f"{', '.join(map(str, paths))}: no pipeline (*.yaml) in there")
    checked = check(files)
    _print(checked.diagnostics, checked.sources, form)
    if _has_errors(checked.diagnostics):
        raise typer.Exit(Exit.FINDINGS)
    if form is ValidateFormat.TEXT:
        typer.echo(f"{len(files)} pipeline{'s' if len(files) != 1 else ''} checked, no errors")


def plan(
    file: Annotated[
        Path,
        typer.Argument(
            help="Pipeline file, or the name of one in $RELMAN_SPECS (release_specs).",
            autocompletion=pipelines,
            show_default=False,
        ),
    ],
    version: Annotated[str, typer.Option("--version", help="Version to plan for.")] = "VERSION",
    since: Annotated[
        str,
        typer.Option("--since", help="Live version: show what changed since, and how risky that is."),
    ] = "",
    live: Annotated[
        Path | None,
        typer.Option("--live", help="Kubeconfig: show what changes in its cluster, by a dry run."),
    ] = None,
    form: Annotated[PlanFormat, typer.Option("--format", help="How the plan is printed.")] = PlanFormat.TEXT,
) -> None:
    """Show what a release of this pipeline will do, step by step."""
    from relman_plugins.cli.screen import echo_json, shown
    from relman_plugins.domain.identity import is_version
    from relman_plugins.plan.compile import compile_shape
    from relman_plugins.plan.model import Options
    from relman_plugins.plan.options import plan_release
    from relman_plugins.plan.text import render_mermaid, render_text
    from relman_plugins.plan.times import minimum_time, rollback_time
    from relman_plugins.spec.api import load_pipeline

    file = pipeline_file(file)
    for option, value in (("--version", version), ("--since", since or version)):
        if not is_version(value):
            raise Stop(Exit.USAGE, f"{option} {value!r}: expected letters, digits and . _ + -, at most 64")
    loaded = load_pipeline(file)
    if loaded.documents is None or _has_errors(loaded.diagnostics):
        _print(loaded.diagnostics, loaded.sources, ValidateFormat.TEXT, err=True)
        raise typer.Exit(Exit.FINDINGS)
    release = plan_release(compile_shape(loaded.documents), Options(version=version))
    found = _assessed(release, file, since) if since else None
    there = None
    if live is not None:
        from relman_plugins.cli.live import changes

        must_be_file(live, "a kubeconfig")
        there = changes(release.shape, live)
    if form is PlanFormat.JSON:
        hashes = {"plan_hash": release.hash, "shape_hash": release.shape.hash}
        waits: dict[str, float | None] = {
            "minimum_time_s": minimum_time(release.shape),
            "rollback_time_s": rollback_time(release.shape),
        }
        more: dict[str, object] = {"assessment": found.model_dump(mode="json")} if found else {}
        more |= {} if there is None else {"live": there}
        echo_json({**hashes, **release.model_dump(mode="json"), **waits, **more})
        return
    text = render_text(release) if form is PlanFormat.TEXT else render_mermaid(release)
    typer.echo(shown(text), nl=False)
    if found and form is PlanFormat.TEXT:
        lines = [*_risk(found), *_by_owners(release, file, str(since))]
        typer.echo(shown("\n" + "\n".join(lines) + "\n"), nl=False)
    if there is not None and form is PlanFormat.TEXT:
        from relman_plugins.cli.live import lines as told

        typer.echo(shown("\n" + "\n".join(told(there)) + "\n"), nl=False)


def _assessed(release: ReleasePlan, file: Path, since: str) -> Assessment:
    from relman_plugins import settings
    from relman_plugins.clients.git import Wanted, change_set
    from relman_plugins.clients.git_remote import remote_change_set
    from relman_plugins.domain.assessment import Circumstances, assess
    from relman_plugins.domain.repository import is_address
    from relman_plugins.domain.risk import RiskPolicy
    from relman_plugins.errors import ClientError

    step = next((s for s in release.shape.steps if s.id == "assess"), None)
    if step is None:
        raise Stop(Exit.USAGE, f"--since: {file} assesses nothing; add `assess: {{}}` to it")
    wanted = Wanted(
        version=release.options.version,
        live=since,
        tag_prefix=step.args["tag_prefix"],
        paths=step.args["paths"],
        migrations=step.args["migrations"],
    )
    try:
        place = step.args["repository"]
        if is_address(place):
            # Without the login that Airflow's connection has, which is not at hand here.
            changes = remote_change_set(place, wanted, settings.mirrors_folder())
        else:
            changes = change_set((file.parent / place).resolve(), wanted)
    except ClientError as error:
        raise Stop(Exit.USAGE, f"--since: {error}") from error
    return assess(changes, Circumstances(live=since), RiskPolicy.model_validate(step.args["risk"]))


def _by_owners(release: ReleasePlan, file: Path, since: str) -> Iterator[str]:
    """Yield what the owners of environments make of what is checked out, where their rules depend on it."""
    from relman_plugins.clients.git import Wanted, change_set
    from relman_plugins.domain.assessment import Circumstances, assess
    from relman_plugins.domain.change_set import ChangeSet
    from relman_plugins.errors import ClientError

    source = (file.parent / release.shape.step("build").args["source"]).resolve()
    for place in release.shape.environments:
        if place.weighing is None:
            continue
        migrations = place.weighing.migrations
        wanted = Wanted(release.options.version, since, checkout=True, migrations=migrations)
        try:
            changes = change_set(source, wanted)
        except ClientError as error:
            changes = ChangeSet(unknown=str(error))
        found = assess(changes, Circumstances(live=since), place.weighing.risk)
        yield f"by the weights of {place.name}, of what is checked out: {found.headline()}"
        for one in found.contributions:
            yield f"  +{one.points:<3} {one.reason}"


def _risk(found: Assessment) -> Iterator[str]:
    changes = found.changes
    yield f"since {found.circumstances.live}: {found.headline()}"
    for one in found.contributions:
        yield f"  +{one.points:<3} {one.reason}"
    authors = ", ".join(a.name or a.email for a in changes.authors)
    by = f"{changes.commit_count} commits by {authors or 'nobody'}"
    yield f"{by}, {changes.file_count} files, {changes.lines} lines"
    for commit in changes.commits:
        yield f"  {commit.id[:9]} {commit.subject}"
    for moved in changes.dependencies:
        yield f"  {moved.line()}"


def schema() -> None:
    """Print the JSON Schema of specs, for editors that complete and check while one writes."""
    from relman_plugins.spec.schema import schema_text

    typer.echo(schema_text(), nl=False)


def _has_errors(findings: tuple[Diagnostic, ...]) -> bool:
    return any(finding.severity == "error" for finding in findings)


def _print(
    findings: tuple[Diagnostic, ...], sources: dict[str, str], form: ValidateFormat, *, err: bool = False
) -> None:
    from relman_plugins.cli.screen import shown
    from relman_plugins.spec import render

    if form is ValidateFormat.JSON:
        typer.echo(render.render_json(findings), nl=False)
    elif form is ValidateFormat.GITHUB:
        typer.echo(render.render_github(findings), nl=False)
    elif form is ValidateFormat.SARIF:
        from relman_plugins.spec.sarif import render_sarif

        typer.echo(render_sarif(findings), nl=False)
    elif findings:
        typer.echo(shown(render.render_text(findings, sources)), err=err)

"""``relman diff``: what differs between two specs, or two versions of a plan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relman_plugins.cli.exits import Exit, Stop
from relman_plugins.cli.options import AnyFormat, Format, must_be_file

if TYPE_CHECKING:
    from relman_plugins.plan.model import ReleasePlan

ENVIRONMENTS = "environments"
"""The folder beside pipelines that all of them need."""

_NO_PLAN = "not a plan as `relman plan FILE --format json` prints it"

VERSION = "VERSION"
"""Stands for the version when two specs are compared: it is not what differs."""


def diff(
    before: Annotated[Path, typer.Argument(help="Pipeline file, or a plan as JSON.")],
    after: Annotated[Path, typer.Argument(help="Pipeline file, or a plan as JSON.")],
    folder: Annotated[
        Path | None,
        typer.Option(
            "--folder",
            envvar="RELMAN_SPECS",
            help="Where environments and people are of a copy that has none beside it. [default: where the "
            "other file is]",
            show_default=False,
        ),
    ] = None,
    form: AnyFormat = Format.TEXT,
) -> None:
    """Show what differs between two specs or plans; exit 1 when a release became less safe."""
    from relman_plugins.cli.screen import echo_json, shown
    from relman_plugins.plan.diff import diff as compare
    from relman_plugins.plan.diff import render_text

    for file in (before, after):
        must_be_file(file, "a pipeline file, or a plan as JSON")
    plans = [_plan(one, _home(one, other, folder)) for one, other in ((before, after), (after, before))]
    # A spec has no options: what a plan was started with is no difference to it.
    shapes = [p.shape for p in plans]
    sides = plans if all(p.options.version != VERSION for p in plans) else shapes
    found = compare(*sides)
    if form is Format.JSON:
        echo_json({**found.model_dump(mode="json"), "dangerous": bool(found.dangers)})
    else:
        typer.echo(shown(render_text(found)), nl=False)
    if found.dangers:
        raise typer.Exit(Exit.FINDINGS)


def _home(file: Path, other: Path, folder: Path | None) -> Path:
    """Return the folder of what a pipeline refers to: its own, or that of which it is a copy."""
    from relman_plugins.cli.screen import shown

    if file.suffix == ".json" or (file.parent / ENVIRONMENTS).is_dir():
        return file.parent
    for home in (folder, other.parent):
        if home is not None and (home / ENVIRONMENTS).is_dir():
            typer.echo(
                shown(f"{file} is read with the environments, people and policies of {home}"), err=True
            )
            return home
    return file.parent


def _plan(file: Path, home: Path) -> ReleasePlan:
    from relman_plugins.cli.screen import shown
    from relman_plugins.plan.compile import compile_shape
    from relman_plugins.plan.model import Options
    from relman_plugins.plan.options import plan_release
    from relman_plugins.spec.api import load_pipeline
    from relman_plugins.spec.render import render_text

    if file.suffix == ".json":
        return _stored(file)
    loaded = load_pipeline(file, folder=home)
    if loaded.documents is None or any(d.is_error for d in loaded.diagnostics):
        typer.echo(shown(render_text(loaded.diagnostics, loaded.sources)), err=True)
        if not (home / ENVIRONMENTS).is_dir():
            raise Stop(
                Exit.FINDINGS,
                f"there are no environments beside {file}; if it is a copy of a pipeline, --folder names the "
                "folder of specs that it is from",
            )
        raise typer.Exit(Exit.FINDINGS)
    return plan_release(compile_shape(loaded.documents), Options(version=VERSION))


def _stored(file: Path) -> ReleasePlan:
    import json

    from pydantic import ValidationError

    from relman_plugins.plan.model import ReleasePlan

    try:
        found = json.loads(file.read_bytes())
    except ValueError as error:
        raise Stop(Exit.USAGE, f"{file}: {_NO_PLAN}: it is no JSON ({error})") from None
    if not isinstance(found, dict):
        raise Stop(Exit.USAGE, f"{file}: {_NO_PLAN}: expected an object, got {type(found).__name__}")
    if lacking := [key for key in ("shape", "options") if key not in found]:
        raise Stop(Exit.USAGE, f"{file}: {_NO_PLAN}: it has no {' and no '.join(lacking)}")
    try:
        return ReleasePlan.model_validate({key: found[key] for key in ("shape", "options")})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise Stop(Exit.USAGE, f"{file}: {_NO_PLAN}: {where}: {first['msg']}") from None

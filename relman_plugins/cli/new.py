"""``relman new``: a pipeline that validates, to begin from."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from relman_plugins.cli import complete
from relman_plugins.cli.exits import Exit, Stop
from relman_plugins.cli.options import AnyFormat, Format
from relman_plugins.cli.screen import echo_json, interruptible, shown

DEFAULT_POLICY = "agile"


def new(
    name: Annotated[str, typer.Argument(help="Name of the pipeline and its service.", show_default=False)],
    policy: Annotated[
        str,
        typer.Option(
            "--policy",
            "--profile",
            help=f"Way of working that it extends: a policy, or none. [default: {DEFAULT_POLICY}]",
            autocompletion=complete.policies,
            show_default=False,
        ),
    ] = "",
    source: Annotated[
        Path | None,
        typer.Option(
            "--source", help="Folder with the source. [default: the present one]", show_default=False
        ),
    ] = None,
    environments: Annotated[
        str, typer.Option("--environments", help="In order, separated by commas.")
    ] = "staging,production",
    approvers: Annotated[
        str,
        typer.Option(
            "--approvers",
            help="Airflow users who may approve, separated by commas; or one group of people.yaml.",
            autocompletion=complete.groups,
            show_default=False,
        ),
    ] = "",
    owner: Annotated[
        str,
        typer.Option("--owner", help="Team that answers for it. [default: team-NAME]", show_default=False),
    ] = "",
    folder: Annotated[
        Path, typer.Option("--folder", envvar="RELMAN_SPECS", help="Folder of the specs.")
    ] = Path("release_specs"),
    form: AnyFormat = Format.TEXT,
) -> None:
    """Write a pipeline, and what it refers to and is not there yet; nothing is overwritten."""
    from relman_plugins.cli.scaffold import NO_POLICY, Wanted, files, policies
    from relman_plugins.spec.api import NOT_PIPELINES

    _check_name("NAME", name)
    target = folder / f"{name}.yaml"
    if target.name in NOT_PIPELINES:
        raise Stop(
            Exit.USAGE, f"{name!r} can't be a pipeline: {target} is another document; take another name"
        )
    if target.exists() or target.is_symlink():
        raise Stop(Exit.FINDINGS, f"{target} is there already, and nothing is overwritten")
    known = policies(folder)
    policy = policy or _asked("Way of working", DEFAULT_POLICY, [*known, NO_POLICY], form)
    if policy != NO_POLICY and policy not in known:
        raise Stop(Exit.USAGE, f"--policy {policy!r}: expected one of {', '.join([*known, NO_POLICY])}")
    users, group = _approvers(approvers, folder)
    wanted = Wanted(
        name=name,
        owner=owner or f"team-{name}",
        policy=policy,
        source=_relative(source or Path.cwd(), folder),
        environments=_names("--environments", environments),
        approvers=users,
        group=group,
    )
    written, kept = _write(list(files(folder, wanted)))
    _check(target, written)
    if form is Format.JSON:
        echo_json({"pipeline": name, "written": [str(w) for w in written], "kept": [str(k) for k in kept]})
        return
    for verb, paths in (("wrote", written), ("kept ", kept)):
        for path in paths:
            typer.echo(shown(f"{verb} {path}"))
    typer.echo(shown(_next(wanted, target, folder, written)))


def _approvers(text: str, folder: Path) -> tuple[list[str], str]:
    """Return the users who may approve, or the group of ``folder`` that may."""
    from relman_plugins.cli.scaffold import groups_in

    names = [name.strip() for name in text.split(",") if name.strip()]
    groups = [name for name in names if name in groups_in(folder)]
    if groups and len(names) > 1:
        raise Stop(
            Exit.USAGE,
            f"--approvers {text!r}: {groups[0]} is a group of {folder / 'people.yaml'}, and a group is given "
            "alone; name one group, or users, who get a group of their own where there is no people.yaml yet",
        )
    people = folder / "people.yaml"
    if names and not groups and people.exists():
        raise Stop(
            Exit.USAGE,
            f"--approvers {text!r}: {people} is there and is kept; give one of its groups "
            f"({', '.join(groups_in(folder)) or 'it has none yet'}). Nothing was written",
        )
    return ([], groups[0]) if groups else (names, "")


def _next(wanted: Any, target: Path, folder: Path, written: list[Path]) -> str:
    people, environment = folder / "people.yaml", folder / "environments" / f"{wanted.environments[0]}.yaml"
    steps = [f"{target}: say how it is built and tested"]
    if environment in written:
        steps.append(f"{environment.parent}: say where each environment is (platform, connection)")
    if people in written and not wanted.approvers:
        steps.append(
            f"{people}: put the Airflow users of your approvers in the place of approver-1 and so on"
        )
    steps += [
        f"relman plan {target}",
        f"relman release {wanted.name} 1.0.0, once Airflow has read the folder",
    ]
    return "\n".join(["it is valid. Next:", *(f"  {n}. {step}" for n, step in enumerate(steps, 1))])


def _write(wanted: list[tuple[Path, str]]) -> tuple[list[Path], list[Path]]:
    """Write what isn't there; return what was written and what was kept. Takes all back when it can't."""
    written: list[Path] = []
    kept: list[Path] = []
    try:
        for path, text in wanted:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with path.open("x", encoding="utf-8") as file:
                    written.append(path)
                    file.write(text)
            except FileExistsError:
                kept.append(path)
    except (OSError, ValueError) as error:
        _take_back(written)
        raise Stop(Exit.ENVIRONMENT, f"nothing was written: {error}") from error
    return written, kept


def _check(target: Path, written: list[Path]) -> None:
    """Take everything back and show why, unless the pipeline is valid with what was there before."""
    from relman_plugins.errors import PlanError
    from relman_plugins.plan.compile import compile_shape
    from relman_plugins.spec.api import load_pipeline
    from relman_plugins.spec.render import render_text

    loaded = load_pipeline(target)
    said = ""
    if loaded.documents is None or any(d.is_error for d in loaded.diagnostics):
        said = render_text(loaded.diagnostics, loaded.sources)
    else:
        try:
            compile_shape(loaded.documents)
        except PlanError as error:
            said = str(error)
    if said:
        _take_back(written)
        typer.echo(shown(said), err=True)
        raise Stop(
            Exit.FINDINGS,
            "nothing was written: with what is there already the new pipeline would not be valid (see above)",
        )


def _take_back(written: list[Path]) -> None:
    for path in written:
        path.unlink(missing_ok=True)


def _asked(question: str, default: str, choices: list[str], form: Format) -> str:
    """Ask a person at a terminal; without one, or for a program, the default is the answer."""
    if form is Format.JSON or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return default
    value: Callable[[str], str] = lambda text: _one_of(text, choices)  # noqa: E731 - Typer asks for a function
    with interruptible():
        return str(typer.prompt(f"{question} ({', '.join(choices)})", default=default, value_proc=value))


def _one_of(text: str, choices: list[str]) -> str:
    if text not in choices:
        raise typer.BadParameter(f"expected one of {', '.join(choices)}")
    return text


def _names(option: str, text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise Stop(Exit.USAGE, f"{option}: name at least one")
    if len(set(names)) < len(names):
        raise Stop(Exit.USAGE, f"{option} {text!r}: each may stand there once")
    for name in names:
        _check_name(option, name)
    return names


def _check_name(what: str, name: str) -> None:
    from relman_plugins.domain.identity import NAME_PATTERN

    if not re.fullmatch(NAME_PATTERN, name):
        raise Stop(
            Exit.USAGE,
            f"{what} {name!r}: expected lower-case letters, digits and dashes, a letter first, at most 63",
        )


def _relative(source: Path, folder: Path) -> str:
    if not source.is_dir():
        raise Stop(Exit.USAGE, f"--source {source}: no such folder; it is looked for from here, {Path.cwd()}")
    return Path(os.path.relpath(source.resolve(), folder.resolve())).as_posix()

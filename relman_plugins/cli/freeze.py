"""``relman freeze``, ``relman thaw`` and ``relman freezes``: stopping the line, and starting it again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relman_plugins.cli import complete
from relman_plugins.cli.connect import connected
from relman_plugins.cli.exits import Exit, Stop
from relman_plugins.cli.options import AnyFormat, Format, Reason
from relman_plugins.cli.screen import echo_json, shown
from relman_plugins.cli.times import moment_of

if TYPE_CHECKING:
    from relman_plugins.cli.api import Api

Environment = Annotated[
    str,
    typer.Option(
        "--environment",
        help="Only in this environment.",
        autocompletion=complete.environments,
        show_default=False,
    ),
]
Pipeline = Annotated[
    str,
    typer.Option(
        "--pipeline",
        help="Only this pipeline's releases.",
        autocompletion=complete.pipelines,
        show_default=False,
    ),
]


Labels = Annotated[
    list[str] | None,
    typer.Option("--label", help="KEY=VALUE: only pipelines with this label. Repeat.", show_default=False),
]


@connected
def freeze(
    api: Api,
    reason: Reason,
    environment: Environment = "",
    pipeline: Pipeline = "",
    label: Labels = None,
    until: Annotated[
        str,
        typer.Option(
            "--until", help="When it ends by itself: 22:00, or 2026-11-25T22:00+01:00.", show_default=False
        ),
    ] = "",
    unless_approved: Annotated[
        bool,
        typer.Option(
            "--unless-approved",
            help="A release goes past it once those have approved whom its environment names for exceptions.",
        ),
    ] = False,
    form: AnyFormat = Format.TEXT,
) -> None:
    """Stop the line: no step begins to change what is frozen. Rollback and abort go on."""
    _said(reason)
    end = moment_of(until, "--until") if until else None
    if end is not None and end <= datetime.now(UTC):
        raise Stop(Exit.USAGE, f"--until {until}: that is over; give a time to come")
    body = _scope(environment, pipeline, label) | {"reason": reason, "until": end and end.isoformat()}
    body |= {"unless": "approved"} if unless_approved else {}
    _print(api.relman("POST", "/freezes", json=body), form)


@connected
def thaw(
    api: Api,
    reason: Reason,
    environment: Environment = "",
    pipeline: Pipeline = "",
    label: Labels = None,
    form: AnyFormat = Format.TEXT,
) -> None:
    """Lift the freeze of just this scope: what waited for it goes on."""
    _said(reason)
    body = _scope(environment, pipeline, label) | {"reason": reason}
    _print(api.relman("POST", "/freezes/thaw", json=body), form)


@connected
def freezes(api: Api, form: AnyFormat = Format.TEXT) -> None:
    """Show what is frozen, since when, by whom and why."""
    from relman_plugins.cli.words import frozen

    found = api.relman("GET", "/freezes")["freezes"]
    if form is Format.JSON:
        echo_json(found)
        return
    for one in found:
        typer.echo(shown(frozen(one)))
    if not found:
        typer.echo("nothing is frozen")


def _scope(environment: str, pipeline: str, labels: list[str] | None) -> dict[str, Any]:
    return {"environment": environment, "pipeline": pipeline, "labels": _labelled(labels or [])}


def _labelled(texts: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in map(_label, texts):
        if key in found:
            raise Stop(
                Exit.USAGE,
                f"--label: {key} is given twice, {found[key]!r} and {value!r}; type a freeze for each",
            )
        found[key] = value
    return found


def _label(text: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not (key and sign and value):
        raise Stop(Exit.USAGE, f"--label: expected KEY=VALUE, such as tier=critical, got {text!r}")
    return key, value


def _said(reason: str) -> None:
    if not reason.strip():
        raise Stop(Exit.USAGE, "--reason: say why")


def _print(answer: dict[str, Any], form: Format) -> None:
    if form is Format.JSON:
        echo_json(answer)
    else:
        typer.echo(shown(answer["message"]))

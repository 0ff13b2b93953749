"""``relman train``: when releases depart by themselves, and what people do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from relman_plugins.cli import complete
from relman_plugins.cli.connect import connected
from relman_plugins.cli.exits import Exit, Stop
from relman_plugins.cli.options import AnyFormat, Format, Reason
from relman_plugins.cli.screen import echo_json, shown

if TYPE_CHECKING:
    from relman_plugins.cli.api import Api

app = typer.Typer(help="Trains: releases that depart by themselves, at their times.", no_args_is_help=True)

Name = Annotated[
    str,
    typer.Argument(
        help="The train: its pipeline's name.", autocompletion=complete.pipelines, show_default=False
    ),
]
Train = Annotated[
    str,
    typer.Option(
        "--train",
        help="The train: its pipeline's name.",
        autocompletion=complete.pipelines,
        show_default=False,
    ),
]


@app.command("list")
@connected
def list_(api: Api, form: AnyFormat = Format.TEXT) -> None:
    """Show all trains: when each departs next, with what, and what is in its way."""
    trains = api.relman("GET", "/trains")["trains"]
    if form is Format.JSON:
        echo_json(trains)
        return
    for train in trains:
        typer.echo(shown(f"{train['name']:<24}  {_standing(train)}"))
    if not trains:
        typer.echo("no pipeline has a schedule")


@app.command()
@connected
def show(api: Api, train: Name, form: AnyFormat = Format.TEXT) -> None:
    """Show one train: its next departures, and what became of the last ones."""
    found = api.relman("GET", _path(train))
    if form is Format.JSON:
        echo_json(found)
        return
    for line in _lines(found):
        typer.echo(shown(line))


@app.command()
@connected
def hold(api: Api, train: Name, reason: Reason, form: AnyFormat = Format.TEXT) -> None:
    """Let nothing depart until it is resumed. Releases that are under way go on."""
    _act(api, train, "hold", reason, form)


@app.command()
@connected
def resume(api: Api, train: Name, reason: Reason, form: AnyFormat = Format.TEXT) -> None:
    """Let a train depart again that was held, and at the departures that were skipped."""
    _act(api, train, "resume", reason, form)


@app.command()
@connected
def skip(api: Api, train: Name, reason: Reason, form: AnyFormat = Format.TEXT) -> None:
    """Let the next departure be left out; what was added waits for the one after it."""
    _act(api, train, "skip", reason, form)


@app.command()
@connected
def add(
    api: Api,
    version: Annotated[str, typer.Argument(help="The version, as in 1.4.0.", show_default=False)],
    train: Train,
    reason: Reason,
    form: AnyFormat = Format.TEXT,
) -> None:
    """Let a version go with the next departure, instead of what the schedule would take."""
    _act(api, train, "add", reason, form, version)


@app.command()
@connected
def remove(api: Api, train: Name, reason: Reason, form: AnyFormat = Format.TEXT) -> None:
    """Take off what was added."""
    _act(api, train, "remove", reason, form)


def _path(train: str, action: str = "") -> str:
    from relman_plugins.cli.api import part

    return f"/trains/{part(train)}" + (f"/{action}" if action else "")


def _act(api: Api, train: str, action: str, reason: str, form: Format, version: str = "") -> None:
    if not reason.strip():
        raise Stop(Exit.USAGE, "--reason: say why")
    body = {"reason": reason} | ({"version": version} if version else {})
    answer = api.relman("POST", _path(train, action), json=body)
    if form is Format.JSON:
        echo_json(answer)
    else:
        typer.echo(shown(answer["message"]))


def _standing(train: dict[str, Any]) -> str:
    from relman_plugins.cli.words import moment

    if train["trouble"]:
        return f"can't be followed: {train['trouble']}"
    ahead = [d for d in train["departures"] if not d["skipped"]]
    when = f"departs {moment(ahead[0]['at'])}" if ahead else "no departure in sight"
    if train["assets"]:
        when = f"departs with each event of {', '.join(train['assets'])}"
    return "; ".join([f"{when}{_load(train)}", *_obstacles(train)])


def _load(train: dict[str, Any]) -> str:
    if train["settled"]:
        return f" with {train['settled']['version'] or 'nothing'}"
    return f" with {train['added']['version']}" if train["added"] else ""


def _obstacles(train: dict[str, Any]) -> list[str]:
    found = [f"held by {_who(train['held'])}: {train['held']['reason']}"] if train["held"] else []
    return found + (["paused in Airflow"] if train["paused"] else [])


def _lines(train: dict[str, Any]) -> list[str]:
    from relman_plugins.cli.words import moment

    lines = [f"{train['name']} {train['description']}", train["url"]]
    lines += [f"! {obstacle}" for obstacle in _obstacles(train)]
    if train["trouble"]:
        lines.append(f"! its departures can't be told: {train['trouble']}")
    for n, departs in enumerate(train["departures"]):
        load = _load(train) if n == 0 else ""
        cutoff = f", settled {moment(departs['closes'])}" if departs["closes"] != departs["at"] else ""
        skipped = departs["skipped"]
        why = f"  skipped by {_who(skipped)}: {skipped['reason']}" if skipped else ""
        lines.append(f"departs {moment(departs['at'])}{load}{cutoff}{why}")
    for name, what in (("added", "on it"), ("later", "for the one after")):
        if added := train[name]:
            lines.append(f"{what}: {added['version']}, added by {_who(added)}: {added['reason']}")
    lines += ["", *(_entry(entry) for entry in train["journal"])] if train["journal"] else []
    return lines


def _entry(entry: dict[str, Any]) -> str:
    from relman_plugins.cli.words import moment

    about = f" of {moment(entry['departs'])}" if entry["departs"] else ""
    release = f" as {entry['release_id']}" if entry["release_id"] else ""
    who = f" by {_who(entry)}" if entry["actor"]["kind"] == "person" else ""
    version = f" {entry['version']}" if entry["version"] else ""
    return f"{moment(entry['at'])}  {entry['action']:<9}{version}{release}{about}{who}: {entry['reason']}"


def _who(entry: dict[str, Any]) -> str:
    actor = entry["actor"]
    return str(actor.get("name") or actor.get("id"))

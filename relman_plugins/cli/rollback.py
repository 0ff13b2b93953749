"""``relman rollback``: take back a release that has ended."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relman_plugins.cli import complete, words
from relman_plugins.cli.connect import connected
from relman_plugins.cli.exits import Exit, Stop
from relman_plugins.cli.options import AnyFormat, Format, Interval, Reason, Release, Yes
from relman_plugins.cli.screen import confirmed, echo_json, echo_line, shown

if TYPE_CHECKING:
    from relman_plugins.cli.api import Api

TRIES = 5
"""How many looks in a row may find no server before the watch gives up."""

_ENDS = ("rollback.finished", "rollback.refused", "rollback.failed")


@connected
def rollback(
    api: Api,
    release: Release,
    reason: Reason = "",
    environment: Annotated[
        str,
        typer.Option(
            "--environment",
            help="Which one, when the release changed several; the last of its plan if none is named.",
            autocompletion=complete.environments,
            show_default=False,
        ),
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Follow it to its end; exit 1 unless it is done.")
    ] = False,
    yes: Yes = False,
    form: AnyFormat = Format.TEXT,
    interval: Interval = 1.0,
) -> None:
    """Take an environment back to what was there before a release that has ended."""
    from relman_plugins.cli.api import part

    if not dry_run and not reason.strip():
        raise Stop(Exit.USAGE, "--reason: say why the release is rolled back")
    path = f"/releases/{part(release)}/rollback"
    way = api.relman("GET", path, params={"environment": environment} if environment else {})
    if form is Format.TEXT:
        typer.echo(shown("\n".join(_told(way))))
    if dry_run:
        typer.echo("dry run: nothing was asked for") if form is Format.TEXT else echo_json(way)
        return
    confirmed(f"roll {way['environment']} back to {way['to']['version']}?", yes=yes)
    body = {"reason": reason, "environment": way["environment"], "digest": way["to"]["digest"]}
    asked = api.relman("POST", path, json=body)
    if form is Format.TEXT:
        typer.echo(shown(f"{release}: {asked['message']}: {asked['url']}"))
    elif watch:
        echo_line(asked=asked)
    else:
        echo_json(asked)
    if asked["note"]:
        typer.echo(shown(asked["note"]), err=True)
    if watch:
        _follow(api, release, asked, interval, form)


def _told(way: dict[str, Any]) -> list[str]:
    """Say what is to be done, a fact a line."""
    old, new = way["from"], way["to"]
    origin = "built by relman" if way["on_record"] else "there before relman; no build of it is on record"
    lines = [
        f"environment  {way['environment']} ({way['service']})",
        f"now          {old['version']} {words.short(old['digest'])}",
        f"back to      {new['version']} {words.short(new['digest'])} ({origin})",
        f"replicas     {way['replicas']}",
    ]
    if way["others"]:
        lines.append(f"not touched  {', '.join(way['others'])}; --environment names another one")
    if (asked := way["asked"]) and asked["state"] == "asked":
        who = asked["actor"].get("name") or asked["actor"].get("id")
        lines.append(f"asked for    by {who}, {words.moment(asked['at'])}: {asked['reason']}")
    return lines


def _follow(api: Api, release: str, asked: dict[str, Any], interval: float, form: Format) -> None:
    """Show what is recorded until the request has its end. A short absence of the server is bridged."""
    from relman_plugins.cli.api import part

    after, missed, key = 0, 0, asked["request"]
    path = f"/releases/{part(release)}/events"
    while True:
        try:
            params = {"after": after, "since": asked["asked"]["at"]}
            events = api.relman("GET", path, params=params)["events"]
        except Stop as stop:
            missed += 1
            if stop.code is not Exit.ENVIRONMENT or missed >= TRIES:
                raise
            events = []
        else:
            missed = 0
        for event in events:
            after = event["id"]
            echo_line(event=event) if form is Format.JSON else typer.echo(words.event_line(event))
            data = event["data"]
            if data.get("request") == key and event["kind"] in _ENDS and data.get("final", True):
                if event["kind"] != "rollback.finished":
                    raise Stop(Exit.FINDINGS, f"{release} was not rolled back: {data.get('message')}")
                return
        time.sleep(interval)

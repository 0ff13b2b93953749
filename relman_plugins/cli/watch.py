"""Following one release to its end: a live panel at a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import typer

from relman_plugins.cli import words
from relman_plugins.cli.api import part
from relman_plugins.cli.exits import Exit, Stop
from relman_plugins.cli.options import Format
from relman_plugins.cli.screen import echo_line, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relman_plugins.cli.api import Api

TRIES = 5
"""How many looks in a row may find no server before the watch gives up."""


def find_by_run(
    api: Api, pipeline: str, run_id: str, interval: float, within_s: float | None = None
) -> str | None:
    """Return the id of the release that a DAG run opens; waits until it has, or until the run has ended.

    None when it has not within ``within_s`` seconds; without that, it is waited for as long as it takes.
    """
    until = None if within_s is None else time.monotonic() + within_s
    path = f"/dags/{part(f'release__{pipeline}')}/dagRuns/{part(run_id)}"
    while True:
        found = api.relman("GET", "/releases", params={"pipeline": pipeline, "run_id": run_id})["releases"]
        if found:
            return str(found[0]["release_id"])
        state = api.airflow("GET", path).get("state")
        if state in {"success", "failed"}:
            raise Stop(
                Exit.FINDINGS, f"run {run_id} ended ({state}) without opening a release; see its `open` task"
            )
        if until is not None and time.monotonic() >= until:
            return None
        time.sleep(interval)


def follow(api: Api, release_id: str, interval: float, form: Format) -> None:
    """Show a release until it is closed. Ends with code 1 unless it succeeded.

    As JSON: one object a line, ``{"event": …}`` for each event and ``{"release": …}`` at the end.
    """
    show = _objects if form is Format.JSON else _live if sys.stdout.isatty() else _lines
    outcome = show(api, release_id, interval)
    if outcome != "succeeded":
        raise typer.Exit(Exit.FINDINGS)


def _looks(
    api: Api, release_id: str, interval: float
) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Yield the release and its new events, until it is closed. A short absence of the server is bridged."""
    after, missed = 0, 0
    while True:
        try:
            release = api.relman("GET", f"/releases/{part(release_id)}")
            events = api.relman("GET", f"/releases/{part(release_id)}/events", params={"after": after})[
                "events"
            ]
        except Stop as stop:
            missed += 1
            if stop.code is not Exit.ENVIRONMENT or after == 0 or missed >= TRIES:
                raise
        else:
            missed = 0
            after = max([after, *(event["id"] for event in events)])
            yield release, events
            if release["status"]["outcome"]:
                return
        time.sleep(interval)


def _objects(api: Api, release_id: str, interval: float) -> str:
    last: dict[str, Any] = {}
    for release, events in _looks(api, release_id, interval):
        for event in events:
            echo_line(event=event)
        last = release
    echo_line(release=last)
    return str(last["status"]["outcome"])


def _lines(api: Api, release_id: str, interval: float) -> str:
    from relman_plugins.cli.show import waits_for

    outcome, waited, dry = "", list[str](), ""
    for release, events in _looks(api, release_id, interval):
        for event in events:
            typer.echo(words.event_line(event))
        waiting = [waits_for(lock) for lock in release.get("waits_for") or ()]
        for line in waiting:
            if line not in waited:
                typer.echo(shown(f"waits for {line}"))
        waited = waiting
        outcome = release["status"]["outcome"] or ""
        dry = " (dry run: nothing was changed)" if release["options"].get("dry_run") else ""
        sys.stdout.flush()
    typer.echo(shown(f"{release_id}: {words.outcome(outcome)}{dry}"))
    return outcome


def _live(api: Api, release_id: str, interval: float) -> str:
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    from relman_plugins.cli.show import release_table

    outcome = ""
    with Live(refresh_per_second=8) as live:
        for release, events in _looks(api, release_id, interval):
            for event in events:
                live.console.print(Text(words.event_line(event)))
            live.update(Group(Text(""), release_table(release)))
            outcome = release["status"]["outcome"] or ""
    return outcome

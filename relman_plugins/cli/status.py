"""``relman status``: all releases, or one."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from relman_plugins.cli import complete
from relman_plugins.cli.connect import connected
from relman_plugins.cli.exits import Exit, Stop
from relman_plugins.cli.options import AnyFormat, Format, Interval
from relman_plugins.cli.screen import echo_json

if TYPE_CHECKING:
    from relman_plugins.cli.api import Api


@connected
def status(
    api: Api,
    release: Annotated[
        str | None,
        typer.Argument(help="Release id; without it, the newest releases.", autocompletion=complete.releases),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Follow it to its end; exit 1 unless it succeeds.")
    ] = False,
    pipeline: Annotated[
        str | None,
        typer.Option("--pipeline", help="Only this pipeline's releases.", autocompletion=complete.pipelines),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, help="How many releases.")] = 20,
    debts: Annotated[
        bool,
        typer.Option(
            "--debts",
            help="What emergencies skipped and is still owed: open, overdue, or rejected and not settled.",
        ),
    ] = False,
    form: AnyFormat = Format.TEXT,
    interval: Interval = 1.0,
) -> None:
    """Show how releases stand."""
    from relman_plugins.cli import show
    from relman_plugins.cli.api import Refusal, part
    from relman_plugins.cli.release import dag_of
    from relman_plugins.cli.watch import follow

    if debts:
        waiting = api.relman("GET", "/gates", params={"debts": True})["gates"]
        echo_json(waiting) if form is Format.JSON else show.print_debts(waiting)
        return
    params = {"limit": 1 if watch else limit} | ({"pipeline": pipeline} if pipeline else {})
    if release is None:
        found = api.relman("GET", "/releases", params=params)["releases"]
        if not found and pipeline:
            with suppress(Refusal):  # who may not see DAGs sees that there are no releases
                dag_of(api, pipeline)
        if not watch:
            echo_json(found) if form is Format.JSON else show.print_releases(found)
            return
        if not found:
            raise Stop(Exit.FINDINGS, "there is no release to watch; `relman release` starts one")
        release = str(found[0]["release_id"])
    if watch:
        follow(api, release, interval, form)
        return
    one = api.relman("GET", f"/releases/{part(release)}")
    one["expected"] = api.relman("GET", f"/releases/{part(release)}/forecast")
    echo_json(one) if form is Format.JSON else show.print_release(one)

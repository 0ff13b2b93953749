"""``relman metrics``: how often releases reach users, how fast, and how often they fail."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from relman_plugins.cli import complete
from relman_plugins.cli.connect import connected
from relman_plugins.cli.exits import Exit, Stop
from relman_plugins.cli.options import AnyFormat, Format
from relman_plugins.cli.screen import echo_json

if TYPE_CHECKING:
    from relman_plugins.cli.api import Api
    from relman_plugins.reports.dora import Dora

_TITLES = (
    "pipeline", "environment", "deployments", "per week", "lead time", "change failure rate",
    "time to restore",
)  # fmt: skip


@connected
def metrics(
    api: Api,
    pipeline: Annotated[
        str | None, typer.Option("--pipeline", help="Only this one.", autocompletion=complete.pipelines)
    ] = None,
    environment: Annotated[
        str | None, typer.Option("--environment", help="Where; without it, where each pipeline ends.")
    ] = None,
    begin: Annotated[
        datetime | None,
        typer.Option("--from", formats=["%Y-%m-%d"], help="First day, UTC; without it, 90 days back."),
    ] = None,
    end: Annotated[
        datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day, UTC; without it, today.")
    ] = None,
    form: AnyFormat = Format.TEXT,
) -> None:
    """Show DORA's figures: deployment frequency, lead time, change failure rate, time to restore."""
    from relman_plugins.reports.dora import Dora

    if begin and end and begin > end:
        raise Stop(Exit.USAGE, f"--from {begin:%Y-%m-%d} is after --to {end:%Y-%m-%d}")
    asked = {
        "pipeline": pipeline,
        "environment": environment,
        "from": f"{begin:%Y-%m-%d}" if begin else None,
        "to": f"{end:%Y-%m-%d}" if end else None,
    }
    data = api.relman("GET", "/metrics", params={name: value for name, value in asked.items() if value})
    if form is Format.JSON:
        echo_json(data)
        return
    for line in lines(Dora.model_validate(data)):
        typer.echo(line)


def lines(found: Dora) -> Iterator[str]:
    """Yield the figures as a table, and what they mean."""
    from relman_plugins.cli.screen import shown
    from relman_plugins.reports.dora import cells

    yield f"{found.since:%Y-%m-%d} to {found.until:%Y-%m-%d %H:%M} UTC"
    yield ""
    rows = [_TITLES, *((f.pipeline, f.environment, *cells(f)) for f in found.pipelines)]
    if len(found.pipelines) > 1:
        rows.append(("all together", found.together.environment, *cells(found.together)))
    widths = [max(len(shown(row[n])) for row in rows) for n in range(len(_TITLES))]
    for row in rows:
        yield "  ".join(f"{shown(cell):<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
    if not found.pipelines:
        yield "no releases yet"
    yield ""
    for name, meaning in found.definitions.items():
        yield f"{name}: {meaning}"
    yield f"source: {found.source}"

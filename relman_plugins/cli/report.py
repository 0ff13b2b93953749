"""``relman report``: what became of a release, written up."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relman_plugins.cli.connect import connected
from relman_plugins.cli.exits import Exit, Stop
from relman_plugins.cli.options import Release
from relman_plugins.cli.screen import echo_json

if TYPE_CHECKING:
    from relman_plugins.cli.api import Api


class ReportFormat(StrEnum):
    """How a report is written."""

    MARKDOWN = "md"
    HTML = "html"
    JSON = "json"


@connected
def report(
    api: Api,
    release: Release,
    form: Annotated[
        ReportFormat, typer.Option("--format", help="How it is written.")
    ] = ReportFormat.MARKDOWN,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file, instead of here.")] = None,
) -> None:
    """Write up a release: time, approvals, tests, analysis, timeline, a draft of the retrospective."""
    import json

    from relman_plugins.cli.api import part
    from relman_plugins.reports.html import html
    from relman_plugins.reports.markdown import markdown
    from relman_plugins.reports.model import ReleaseReport

    data = api.relman("GET", f"/releases/{part(release)}/report", params={"format": "json"})
    if form is ReportFormat.JSON and output is None:
        echo_json(data)
        return
    if form is ReportFormat.JSON:
        text = json.dumps(data, indent=2, ensure_ascii=False) + "\n"
    else:
        facts = ReleaseReport.model_validate(data)
        text = html(facts) if form is ReportFormat.HTML else markdown(facts)
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.write_text(text, "utf-8")
    except OSError as error:
        raise Stop(Exit.ENVIRONMENT, f"{output} can't be written: {error.strerror}") from error
    typer.echo(f"wrote {output}")

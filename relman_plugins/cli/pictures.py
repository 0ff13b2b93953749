"""``relman judge show``: the numbers of a release's analyses, and their pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relman_plugins.cli.connect import connected
from relman_plugins.cli.exits import Exit, Stop
from relman_plugins.cli.options import AnyFormat, Format, Release
from relman_plugins.cli.screen import echo_json

if TYPE_CHECKING:
    from relman_plugins.cli.api import Api


@connected
def show(
    api: Api,
    release: Release,
    form: AnyFormat = Format.TEXT,
    svg: Annotated[
        Path | None,
        typer.Option("--svg", help="Write each picture into this folder: STEP.svg.", show_default=False),
    ] = None,
) -> None:
    """Show what a release's analyses saw of both versions, the bounds, and what was decided."""
    from relman_plugins.cli.api import part
    from relman_plugins.reports.picture import Picture
    from relman_plugins.reports.svg import svg as drawn
    from relman_plugins.reports.table import table

    data = api.relman("GET", f"/releases/{part(release)}/pictures")
    pictures = [Picture.model_validate(one) for one in data["pictures"]]
    written = []
    for picture in pictures if svg is not None else ():
        assert svg is not None  # noqa: S101 - for the type checker
        # A step's name is a path's part by the rules of specs; a server may say anything.
        target = svg / f"{Path(picture.step).name}.svg"
        try:
            svg.mkdir(parents=True, exist_ok=True)
            target.write_text(drawn(picture), "utf-8")
        except OSError as error:
            raise Stop(Exit.ENVIRONMENT, f"{target} can't be written: {error.strerror}") from error
        written.append(target)
    if form is Format.JSON:
        echo_json(data)
        return
    if not pictures:
        typer.echo(f"{release}: nothing was measured")
    for n, picture in enumerate(pictures):
        typer.echo("\n".join([*([""] if n else []), *table(picture)]))
    for target in written:
        typer.echo(f"wrote {target}")

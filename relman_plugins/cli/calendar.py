"""``relman calendar``: when changes are allowed, and why; and what is in a calendar's file."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated, Any

import typer

from relman_plugins.cli.exits import Exit, Stop
from relman_plugins.cli.options import AnyFormat, Format
from relman_plugins.cli.screen import echo_json, shown

app = typer.Typer(help="When changes are allowed, and why.", no_args_is_help=True)

From = Annotated[
    str,
    typer.Option("--from", help="From this day or time on, 2026-01-31 or 2026-01-31T14:00+01:00 (else UTC)."),
]
To = Annotated[str, typer.Option("--to", help="Up to this day or time, without it.")]


@app.command()
def expand(
    file: Annotated[Path, typer.Argument(help="An iCalendar file (.ics).")],
    since: From,
    until: To,
    zone: Annotated[
        str,
        typer.Option(
            "--zone",
            help="IANA zone of times that name none, and of days; default: the file's own, else UTC.",
            show_default=False,
        ),
    ] = "",
    transparent: Annotated[
        bool, typer.Option("--transparent", help="Events that block no time count, too.")
    ] = False,
    form: AnyFormat = Format.JSON,
) -> None:
    """List what happens in a calendar's file, in UTC and in order. Cancelled events don't."""
    from relman_plugins.calendars import ics
    from relman_plugins.calendars.work import Work
    from relman_plugins.errors import CalendarError

    begin, end = moment(since, "--from"), moment(until, "--to")
    if begin >= end:
        raise Stop(Exit.USAGE, f"--from {since} is not before --to {until}")
    try:
        feed = ics.read(_text(file, ics.LARGEST), zone, transparent=transparent)
        work = Work()
        found = sorted(span for series in feed.series for span in series.spans(begin, end, work))
    except CalendarError as error:
        raise Stop(Exit.FINDINGS, f"{file}: {error}") from error
    if form is Format.JSON:
        echo_json([{"start": _iso(s.start), "end": _iso(s.end), "summary": s.summary} for s in found])
    else:
        for span in found:
            typer.echo(
                shown(f"{span.start:%a %Y-%m-%d %H:%M} – {span.end:%a %Y-%m-%d %H:%M} UTC  {span.summary}")
            )
        if not found:
            typer.echo("nothing happens in this time")
    if feed.transparent and not transparent:
        typer.echo(f"left out: {feed.transparent} that block no time; --transparent counts them", err=True)


def _text(file: Path, most: int) -> str:
    try:
        with file.open("rb") as opened:
            return opened.read(most + 1).decode("utf-8-sig")
    except OSError as error:
        raise Stop(Exit.USAGE, f"{file}: {(error.strerror or 'cannot be read').lower()}") from error
    except UnicodeDecodeError as error:
        raise Stop(Exit.FINDINGS, f"{file}: not UTF-8 at byte {error.start}") from error


def moment(text: str, option: str) -> datetime:
    """Read a day or a time; without a zone it is UTC, so that the answer is the same on every machine."""
    try:
        if len(text.strip()) == 10:
            return datetime.combine(date.fromisoformat(text.strip()), time(), UTC)
        found = datetime.fromisoformat(text.strip())
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Stop(
            Exit.USAGE,
            f"{option}: {text[:60]!r} is no day and no time; expected 2026-01-31 or 2026-01-31T14:00+01:00",
        ) from None


def _iso(at: datetime | None) -> Any:
    return f"{at.astimezone(UTC).replace(tzinfo=None).isoformat()}Z" if at is not None else None

"""``relman calendar``: when changes are allowed, and why; and what is in a calendar's file."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, tzinfo
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from relman_plugins.cli import complete
from relman_plugins.cli.exits import Exit, Stop
from relman_plugins.cli.options import AnyFormat, Format
from relman_plugins.cli.screen import echo_json, shown

app = typer.Typer(help="When changes are allowed, and why.", no_args_is_help=True)

FIRST_YEAR, LAST_YEAR = 1900, 9900
_DATE = "%a %Y-%m-%d %H:%M"


class Act(StrEnum):
    """What somebody wants to do."""

    DEPLOY = "deploy"
    PROMOTE = "promote"
    APPROVE = "approve"
    ROLLBACK = "rollback"
    ABORT = "abort"


class Starter(StrEnum):
    """Who starts a release."""

    PERSON = "person"
    SCHEDULE = "schedule"


class ShowFormat(StrEnum):
    """How a time is shown."""

    TEXT = "text"
    JSON = "json"
    ICS = "ics"


From = Annotated[
    str, typer.Option("--from", help="From this day or time on: 2026-01-31T14:00+01:00, or in UTC.")
]
To = Annotated[str, typer.Option("--to", help="Up to this day or time, without it.")]
Environment = Annotated[
    str,
    typer.Option("--environment", help="Where.", autocompletion=complete.environments, show_default=False),
]
Pipeline = Annotated[
    str,
    typer.Option(
        "--pipeline",
        help="Whose release; without it, windows that are for certain pipelines are left out.",
        autocompletion=complete.pipelines,
        show_default=False,
    ),
]
Specs = Annotated[Path, typer.Option("--folder", envvar="RELMAN_SPECS", help="Folder of the specs.")]


@app.command()
def check(
    environment: Environment,
    pipeline: Pipeline = "",
    action: Annotated[
        Act | None,
        typer.Option(
            "--action", help="What is to be done; else what the pipeline's release does, or deploy."
        ),
    ] = None,
    started_by: Annotated[
        Starter, typer.Option("--started-by", help="Who starts the release.")
    ] = Starter.PERSON,
    at: Annotated[
        str,
        typer.Option("--at", help="When: 2026-01-31T14:00+01:00, or in UTC; now.", show_default=False),
    ] = "",
    folder: Specs = Path("release_specs"),
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="End with code 1 while it is closed.")
    ] = False,
    form: AnyFormat = Format.TEXT,
) -> None:
    """Say whether changes are allowed in an environment, why, and when that changes."""
    from relman_plugins.cli.calendars import gate_of
    from relman_plugins.errors import CalendarError

    when = moment(at, "--at") if at else datetime.now(UTC)
    gate = gate_of(folder, environment, pipeline)
    if action is not None:
        # A promotion is a deployment too.
        asked = ("deploy", "promote") if action is Act.PROMOTE else (action.value,)
        gate = gate.model_copy(update={"actions": asked})
    try:
        said = gate.answer(when, started_by.value)
    except CalendarError as error:
        raise Stop(Exit.FINDINGS, f"{environment}: {error}") from error
    if form is Format.JSON:
        times = {"next_open": iso(said.next_open), "next_close": iso(said.next_close)}
        echo_json({"open": said.open, "reasons": list(said.reasons), **times})
    else:
        state = "open" if said.open else "closed"
        typer.echo(shown(f"{environment} is {state} at {when:{_DATE}} UTC: {'; '.join(said.reasons)}"))
    if exit_code and not said.open:
        raise typer.Exit(Exit.FINDINGS)


@app.command()
def show(
    environment: Environment,
    since: From,
    until: To,
    pipeline: Pipeline = "",
    zone: Annotated[
        str, typer.Option("--zone", help="IANA zone of days and times, of --from and --to too.")
    ] = "UTC",
    folder: Specs = Path("release_specs"),
    form: Annotated[
        ShowFormat, typer.Option("--format", help="How it is shown; ics is for other calendars.")
    ] = ShowFormat.TEXT,
) -> None:
    """Show windows, freezes and planned releases of an environment, month by month."""
    from relman_plugins.calendars.zones import zone_of
    from relman_plugins.cli import calendars, month
    from relman_plugins.errors import CalendarError

    try:
        begin, end = _between(since, until, zone_of(zone))
    except CalendarError as error:
        raise Stop(Exit.USAGE, f"--zone: {error}") from error
    gate = calendars.gate_of(folder, environment, pipeline)
    try:
        view = calendars.view(gate, calendars.planned(folder, environment, pipeline, begin, end), begin, end)
    except CalendarError as error:
        raise Stop(Exit.FINDINGS, f"{environment}: {error}") from error
    if form is ShowFormat.JSON:
        echo_json({"environment": environment, "from": iso(begin), "to": iso(end), **view.as_json(iso)})
    elif form is ShowFormat.ICS:
        typer.echo(view.as_ics(environment), nl=False)
    else:
        typer.echo(shown("\n".join(month.lines(view, zone_of(zone)))))


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

    begin, end = _between(since, until)
    try:
        feed = ics.read(_text(file, ics.LARGEST), zone, transparent=transparent)
        work = Work()
        found = sorted(span for series in feed.series for span in series.spans(begin, end, work))
    except CalendarError as error:
        raise Stop(Exit.FINDINGS, f"{file}: {error}") from error
    if form is Format.JSON:
        echo_json([{"start": iso(s.start), "end": iso(s.end), "summary": s.summary} for s in found])
    else:
        for span in found:
            typer.echo(shown(f"{span.start:{_DATE}} – {span.end:{_DATE}} UTC  {span.summary}"))
        if not found:
            typer.echo("nothing happens in this time")
    if feed.transparent and not transparent:
        typer.echo(f"left out: {feed.transparent} that block no time; --transparent counts them", err=True)


def _between(since: str, until: str, zone: tzinfo = UTC) -> tuple[datetime, datetime]:
    begin, end = moment(since, "--from", zone), moment(until, "--to", zone)
    if begin >= end:
        raise Stop(Exit.USAGE, f"--from {since} is not before --to {until}")
    return begin, end


def _text(file: Path, most: int) -> str:
    try:
        with file.open("rb") as opened:
            return opened.read(most + 1).decode("utf-8-sig")
    except OSError as error:
        raise Stop(Exit.USAGE, f"{file}: {(error.strerror or 'cannot be read').lower()}") from error
    except UnicodeDecodeError as error:
        raise Stop(Exit.FINDINGS, f"{file}: not UTF-8 at byte {error.start}") from error


def moment(text: str, option: str, zone: tzinfo = UTC) -> datetime:
    """Read a day or a time, never in the machine's zone: the answer is the same on every machine."""
    try:
        if len(text.strip()) == 10:
            found = datetime.combine(date.fromisoformat(text.strip()), time(), zone)
        else:
            found = datetime.fromisoformat(text.strip())
        found = (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Stop(
            Exit.USAGE,
            f"{option}: {text[:60]!r} is no day and no time; expected 2026-01-31 or 2026-01-31T14:00+01:00",
        ) from None
    if not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise Stop(
            Exit.USAGE, f"{option}: expected a year from {FIRST_YEAR} to {LAST_YEAR}, got {found.year}"
        )
    return found


def iso(at: datetime | None) -> Any:
    """Write a moment for programs, in UTC; None stays None."""
    return f"{at.astimezone(UTC).replace(tzinfo=None).isoformat()}Z" if at is not None else None

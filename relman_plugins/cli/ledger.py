"""``relman ledger``: what is recorded of a release; and on the server, the database itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relman_plugins.cli import complete
from relman_plugins.cli.connect import connected
from relman_plugins.cli.exits import Exit, Stop
from relman_plugins.cli.options import AnyFormat, Format, Release
from relman_plugins.cli.screen import echo_json, shown

if TYPE_CHECKING:
    from relman_plugins.cli.api import Api

app = typer.Typer(
    help="Read the record of a release; look after the ledger's database where it can be opened.",
    no_args_is_help=True,
)

LedgerUrl = Annotated[
    str,
    typer.Option(
        "--ledger-url",
        envvar="RELMAN_LEDGER_URL",
        help="SQLAlchemy address; default: as Airflow's settings say.",
        show_default=False,
    ),
]


@app.command()
@connected
def show(
    api: Api,
    release: Release,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            "--kind",
            help="Only this kind of event, or all that begin so (lock); may be repeated.",
            autocompletion=complete.kinds,
            show_default=False,
        ),
    ] = None,
    since: Annotated[
        str,
        typer.Option(
            "--since",
            help="Only what happened since: 30m, 2h, or a time as 2026-01-31T14:00 (local).",
            show_default=False,
        ),
    ] = "",
    form: AnyFormat = Format.TEXT,
) -> None:
    """Show what is recorded of a release, in its order."""
    from relman_plugins.cli import words
    from relman_plugins.cli.api import part

    params: dict[str, object] = {}
    if kind:
        params["kind"] = _kinds(kind)
    if since:
        params["since"] = _moment(since, datetime.now(UTC)).isoformat()
    events = api.relman("GET", f"/releases/{part(release)}/events", params=params)["events"]
    if form is Format.JSON:
        echo_json(events)
        return
    for event in events:
        typer.echo(words.record_line(event))
    if not events:
        typer.echo("no such event", err=True)


@app.command()
def migrate(ledger_url: LedgerUrl = "", form: AnyFormat = Format.TEXT) -> None:
    """Bring the ledger's schema up to date. Harmless when it is."""
    from relman_plugins.ledger.engine import Ledger

    where = ledger_url or _configured()
    Ledger(where).migrate()
    if form is Format.JSON:
        echo_json({"ledger": _shown(where), "current": True})
    else:
        typer.echo(f"ledger at {_shown(where)}: schema is current")


@app.command()
def verify(
    ledger_url: LedgerUrl = "",
    head: Annotated[
        str,
        typer.Option(
            "--head",
            help="ID:HASH where the record ended once, as an earlier check printed it.",
            show_default=False,
        ),
    ] = "",
    archives: Annotated[
        Path | None,
        typer.Option("--archives", help="Folder with the files of `relman ledger archive`; check them too."),
    ] = None,
    key: Annotated[
        list[Path] | None,
        typer.Option(
            "--key",
            help="Public key in PEM for the record's signatures; may be repeated.",
            show_default=False,
        ),
    ] = None,
    file: Annotated[
        list[Path] | None,
        typer.Option(
            "--archive", help="Check only this file, without a ledger; may be repeated.", show_default=False
        ),
    ] = None,
    form: AnyFormat = Format.TEXT,
) -> None:
    """Check the ledger by its database alone: schema, protection, hash chain, and whether all fits together.

    Names the first event that was changed, removed, put in or moved. Reads every row and changes nothing.
    """
    from relman_plugins.cli import record
    from relman_plugins.ledger.engine import Ledger

    if file:
        record.show_checks([record.file_checked(path) for path in file], form)
        return
    if archives is not None and not archives.is_dir():
        raise Stop(Exit.USAGE, f"--archives {archives}: no such folder")
    anchor = record.anchor_of(head) if head else None
    where = ledger_url or _configured()
    ledger = Ledger(where)
    found = ledger.verify(anchor=anchor, signed=record.judge_of(key) if key else None)
    if archives is not None:
        found.append(record.archives_checked(ledger.archives(), archives))
    if form is Format.TEXT:
        typer.echo(f"ledger at {_shown(where)}: reachable, schema is current")
    record.show_checks(found, form)


@app.command()
def archive(
    to: Annotated[
        Path,
        typer.Option("--to", help="Folder for the files, to be kept with the record.", show_default=False),
    ],
    older_than: Annotated[
        str, typer.Option("--older-than", help="How long ago a release must have ended: 365d. At least 90d.")
    ] = "365d",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go, and stay.")] = False,
    ledger_url: LedgerUrl = "",
    form: AnyFormat = Format.TEXT,
) -> None:
    """Move releases that ended long ago from the ledger to files, names of people included.

    What environments run or would go back to stays, and so does what later releases are compared with. The
    ledger keeps the hashes, so that the rest of it can be verified, and no release id comes again. To be run
    by the owner of the database's tables.
    """
    from relman_plugins.cli import record
    from relman_plugins.ledger.engine import Ledger

    ledger, before = Ledger(ledger_url or _configured()), record.limit(older_than)
    record.archive(ledger, to, before, form, dry_run=dry_run)


def _kinds(wanted: list[str]) -> list[str]:
    from relman_plugins.domain.event import Kind
    from relman_plugins.spec.words import suggestion

    known = [kind.value for kind in Kind]
    found: list[str] = []
    for name in wanted:
        fitting = [k for k in known if k == name or k.startswith(f"{name.rstrip('.')}.")]
        if not fitting:
            hint = suggestion(name, known) or "docs/reference/events.md lists them"
            raise Stop(Exit.USAGE, f"--kind {name!r}: there is no such kind of event; {hint}")
        found += fitting
    return found


def _moment(text: str, now: datetime) -> datetime:
    from relman_plugins.spec.models.duration import Duration

    try:
        return now - timedelta(seconds=Duration.parse(text).seconds)
    except ValueError:
        pass
    try:
        # Without an offset it is the clock on the wall here.
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise Stop(
            Exit.USAGE, f"--since {text!r}: expected a duration as 30m or 2h, or a time as 2026-01-31T14:00"
        ) from None


def _configured() -> str:
    from relman_plugins.hooks.ledger import ledger_url

    return ledger_url()


def _shown(url: str) -> str:
    from sqlalchemy import make_url

    return shown(make_url(url).render_as_string(hide_password=True))

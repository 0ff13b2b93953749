"""The ``relman`` command: subcommands, and the one place that turns errors into exit codes."""

from __future__ import annotations

import os
import sys

import typer

from relman_plugins.cli import (
    calendar,
    decide,
    diff,
    doctor,
    evidence,
    freeze,
    judge,
    ledger,
    locks,
    metrics,
    new,
    release,
    render,
    report,
    rollback,
    specs,
    status,
    train,
)
from relman_plugins.cli.exits import Exit, Stop, code_of
from relman_plugins.errors import RelmanError

app = typer.Typer(
    name="relman",
    help="Release management on Apache Airflow.",
    epilog="Exit codes: 0 clean, 1 findings or refused, 2 usage, 3 environment.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        from relman_plugins import __version__

        typer.echo(f"relman {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version."
    ),
) -> None:
    """Release management on Apache Airflow."""


app.command()(new.new)
app.command()(specs.validate)
app.command()(render.render)
app.command()(specs.plan)
app.command()(diff.diff)
app.command()(specs.schema)
app.command()(release.release)
app.command()(status.status)
app.command()(report.report)
app.command()(metrics.metrics)
app.command()(decide.approve)
app.command()(decide.reject)
app.command()(decide.withdraw)
app.command()(decide.settle)
app.command()(decide.abort)
app.command()(rollback.rollback)
app.command()(decide.hold)
app.command()(decide.resume)
app.command()(freeze.freeze)
app.command()(freeze.thaw)
app.command()(freeze.freezes)
app.command()(locks.locks)
app.command()(locks.unlock)
app.command()(doctor.doctor)
app.add_typer(train.app, name="train")
app.add_typer(judge.app, name="judge")
app.add_typer(calendar.app, name="calendar")
app.add_typer(ledger.app, name="ledger")
app.add_typer(evidence.app, name="evidence")


def main() -> None:
    """Run the command and exit. Never shows a traceback, unless RELMAN_DEBUG is set."""
    try:
        app(prog_name="relman")
    except Stop as stop:
        _end(stop.code, str(stop))
    except RelmanError as error:
        _end(code_of(error), str(error))
    except Exception as error:
        if os.environ.get("RELMAN_DEBUG"):
            raise
        _end(Exit.ENVIRONMENT, f"unexpected {type(error).__name__}: {error}; RELMAN_DEBUG=1 shows where")


def _end(code: int, message: str) -> None:
    if message:
        from relman_plugins.cli.screen import shown

        print(f"relman: {shown(message)}", file=sys.stderr)  # noqa: T201 - the command line's own error output
    sys.exit(int(code))

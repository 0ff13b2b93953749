"""``relman ledger``: the database itself, on the server."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(
    help="Look after the ledger's database, on a machine that can open it.", no_args_is_help=True
)

LedgerUrl = Annotated[
    str,
    typer.Option(
        "--ledger-url",
        envvar="RELMAN_LEDGER_URL",
        help="SQLAlchemy address; default: as Airflow's settings say.",
    ),
]


@app.command()
def migrate(ledger_url: LedgerUrl = "") -> None:
    """Bring the ledger's schema up to date. Harmless when it is."""
    from relman_plugins.ledger.engine import Ledger

    where = ledger_url or _configured()
    Ledger(where).migrate()
    typer.echo(f"ledger at {_shown(where)}: schema is current")


@app.command()
def verify(ledger_url: LedgerUrl = "") -> None:
    """Check that the ledger answers and that its schema is the one this version needs."""
    from relman_plugins.ledger.engine import Ledger

    where = ledger_url or _configured()
    Ledger(where).check()
    typer.echo(f"ledger at {_shown(where)}: reachable, schema is current")


def _configured() -> str:
    from relman_plugins.hooks.ledger import ledger_url

    return ledger_url()


def _shown(url: str) -> str:
    from sqlalchemy import make_url

    return make_url(url).render_as_string(hide_password=True)

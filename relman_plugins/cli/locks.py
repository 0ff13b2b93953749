"""``relman locks`` and ``relman unlock``: who may change which environment, and taking that away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from relman_plugins.cli import complete
from relman_plugins.cli.connect import connected
from relman_plugins.cli.exits import Exit, Stop
from relman_plugins.cli.options import AnyFormat, Format, Reason, Yes
from relman_plugins.cli.screen import confirmed, echo_json, shown

if TYPE_CHECKING:
    from relman_plugins.cli.api import Api


@connected
def locks(api: Api, form: AnyFormat = Format.TEXT) -> None:
    """Show which release holds which environment."""
    from relman_plugins.cli.show import print_locks

    held = api.relman("GET", "/locks")["locks"]
    if form is Format.JSON:
        echo_json(held)
    else:
        print_locks(held)


@connected
def unlock(
    api: Api,
    environment: Annotated[
        str, typer.Argument(help="The environment.", autocompletion=complete.environments, show_default=False)
    ],
    service: Annotated[
        str, typer.Argument(help="The service.", autocompletion=complete.services, show_default=False)
    ],
    reason: Reason,
    yes: Yes = False,
    form: AnyFormat = Format.TEXT,
) -> None:
    """Break the lock that a release holds: it goes no further in the environment."""
    from relman_plugins.cli.api import part
    from relman_plugins.cli.show import console, lock_table

    if not reason.strip():
        raise Stop(Exit.USAGE, "--reason: say why the lock is broken")
    held = api.relman("GET", "/locks")["locks"]
    found = next((x for x in held if (x["environment"], x["service"]) == (environment, service)), None)
    if found is None:
        others = ", ".join(f"{x['environment']} {x['service']}" for x in held) or "none"
        raise Stop(Exit.FINDINGS, f"nobody holds the lock of {service!r} in {environment!r}; held: {others}")
    console(error=form is Format.JSON).print(lock_table(found))
    confirmed(f"break it? `relman abort {found['release_id']}` would also take the traffic back", yes=yes)
    answer = api.relman(
        "POST",
        f"/locks/{part(environment)}/{part(service)}/break",
        json={"reason": reason, "token": found["token"]},
    )
    if form is Format.JSON:
        echo_json(answer)
    else:
        typer.echo(shown(answer["message"]))

"""``relman status``: all releases, or one."""

from __future__ import annotations

from typing import Annotated

import typer

from relman_plugins.cli.exits import Exit, Stop
from relman_plugins.cli.options import DEFAULT_URL, AnyFormat, Format, Interval, Password, Token, Url, User


def status(
    release: Annotated[
        str | None, typer.Argument(help="Release id; without it, the newest releases.")
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Follow it to its end; exit 1 unless it succeeds.")
    ] = False,
    pipeline: Annotated[str | None, typer.Option("--pipeline", help="Only this pipeline's releases.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, help="How many releases.")] = 20,
    form: AnyFormat = Format.TEXT,
    interval: Interval = 1.0,
    url: Url = DEFAULT_URL,
    user: User = "",
    password: Password = "",
    token: Token = "",
) -> None:
    """Show how releases stand."""
    from relman_plugins.cli.api import Api, part
    from relman_plugins.cli.specs import echo_json

    if watch and form is Format.JSON:
        raise Stop(Exit.USAGE, "--watch prints lines for people; without it --format json gives one look")
    with Api(url, user, password, token) as api:
        if release is None:
            params = {"limit": limit} | ({"pipeline": pipeline} if pipeline else {})
            if watch:
                newest = api.relman("GET", "/releases", params=params | {"limit": 1})["releases"]
                if not newest:
                    raise Stop(Exit.FINDINGS, "there is no release to watch; `relman release` starts one")
                release = str(newest[0]["release_id"])
            else:
                found = api.relman("GET", "/releases", params=params)["releases"]
                if form is Format.JSON:
                    echo_json(found)
                else:
                    from relman_plugins.cli.show import print_releases

                    print_releases(found)
                return
        if watch:
            from relman_plugins.cli.watch import follow

            follow(api, release, interval)
            return
        one = api.relman("GET", f"/releases/{part(release)}")
        if form is Format.JSON:
            echo_json(one)
        else:
            from relman_plugins.cli.show import print_release

            print_release(one)

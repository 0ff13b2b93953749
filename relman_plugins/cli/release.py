"""``relman release``: start a release."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from relman_plugins.cli.exits import Exit, Stop
from relman_plugins.cli.options import DEFAULT_URL, Interval, Password, Token, Url, User


def release(
    pipeline: Annotated[str, typer.Argument(help="Name of the pipeline.")],
    version: Annotated[str, typer.Argument(help="Version to release.")],
    changes: Annotated[str, typer.Option("--changes", help="What changed, in words.")] = "",
    ticket: Annotated[str, typer.Option("--ticket", help="Link to the ticket or change.")] = "",
    own: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Fill in one of the pipeline's own fields."),
    ] = None,
    emergency: Annotated[
        str, typer.Option("--emergency", metavar="REASON", help="Don't wait for release windows, and why.")
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Go through the plan without changing anything.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Follow it to its end; exit 1 unless it succeeds.")
    ] = False,
    interval: Interval = 1.0,
    url: Url = DEFAULT_URL,
    user: User = "",
    password: Password = "",
    token: Token = "",
) -> None:
    """Start a release of one version."""
    from relman_plugins.cli.api import Api, Refusal, part
    from relman_plugins.cli.fields import filled_in
    from relman_plugins.domain.identity import NAME_PATTERN, dag_id_of, is_ticket, is_version

    if not re.match(NAME_PATTERN, pipeline):
        raise Stop(Exit.USAGE, f"{pipeline!r} is no pipeline name: lower-case letters, digits and dashes")
    if not is_version(version):
        raise Stop(Exit.USAGE, f"{version!r} is no version: letters, digits and . _ + -, at most 64")
    if ticket and not is_ticket(ticket):
        raise Stop(Exit.USAGE, f"--ticket {ticket!r}: expected a link as in https://tracker.example/CHG-42")
    dag_id = dag_id_of(pipeline)
    conf: dict[str, Any] = {
        "version": version,
        "changes": changes,
        "emergency": bool(emergency),
        "dry_run": dry_run,
    }
    conf |= {k: v for k, v in (("ticket", ticket), ("emergency_reason", emergency)) if v}
    with Api(url, user, password, token) as api:
        try:
            dag = api.airflow("GET", f"/dags/{part(dag_id)}/details")
        except Refusal as refusal:
            if refusal.status != 404:
                raise
            raise Stop(Exit.FINDINGS, _no_pipeline(api, pipeline)) from refusal
        conf |= filled_in(own or (), dag.get("params") or {})
        run = api.airflow("POST", f"/dags/{part(dag_id)}/dagRuns", json={"logical_date": None, "conf": conf})
        run_id = str(run["dag_run_id"])
        typer.echo(f"started {pipeline} {version}: {api.url}/dags/{part(dag_id)}/runs/{part(run_id)}")
        if dag.get("is_paused"):
            typer.echo(
                f"{dag_id} is paused in Airflow: the release waits until somebody unpauses it", err=True
            )
        if watch:
            from relman_plugins.cli.watch import find_by_run, follow

            follow(api, find_by_run(api, pipeline, run_id, interval), interval)


def _no_pipeline(api: Any, pipeline: str) -> str:
    import difflib

    found = api.airflow("GET", "/dags", params={"dag_id_pattern": "release__", "limit": 100}).get("dags", [])
    names = [d["dag_id"].removeprefix("release__") for d in found if d["dag_id"].startswith("release__")]
    close = difflib.get_close_matches(pipeline, names, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(sorted(names)) or 'none'}"
    return f"no pipeline {pipeline!r} at {api.url} ({hint}); `relman validate` finds a broken spec"

"""``relman release``: start a release."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relman_plugins.cli import complete
from relman_plugins.cli.connect import connected
from relman_plugins.cli.exits import Exit, Stop
from relman_plugins.cli.options import AnyFormat, Format, Interval
from relman_plugins.cli.screen import echo_json, echo_line, shown

if TYPE_CHECKING:
    from relman_plugins.cli.api import Api


OPENING_S = 30.0
"""How long the command waits for the release to get its id: Airflow starts a run within seconds."""


@connected
def release(
    api: Api,
    pipeline: Annotated[
        str,
        typer.Argument(help="Name of the pipeline.", autocompletion=complete.pipelines, show_default=False),
    ],
    version: Annotated[str, typer.Argument(help="Version to release.", show_default=False)],
    changes: Annotated[
        str, typer.Option("--changes", help="What changed, in words.", show_default=False)
    ] = "",
    ticket: Annotated[
        str,
        typer.Option("--ticket", help="Number of the ticket or change, or a link to it.", show_default=False),
    ] = "",
    own: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Fill in one of the pipeline's own fields.",
            show_default=False,
        ),
    ] = None,
    emergency: Annotated[
        str | None,
        typer.Option(
            "--emergency",
            metavar="REASON",
            help="Don't wait for release windows, and why.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Go through the plan without changing anything.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Follow it to its end; exit 1 unless it succeeds.")
    ] = False,
    form: AnyFormat = Format.TEXT,
    interval: Interval = 1.0,
) -> None:
    """Start a release of one version."""
    from relman_plugins.cli.api import part
    from relman_plugins.cli.fields import check, filled_in
    from relman_plugins.cli.watch import find_by_run, follow
    from relman_plugins.domain.identity import NAME_PATTERN, dag_id_of, is_ticket, is_version
    from relman_plugins.domain.parameter import LONGEST_TEXT
    from relman_plugins.plan.model import INVALID_TAG

    if not re.fullmatch(NAME_PATTERN, pipeline):
        raise Stop(Exit.USAGE, f"{pipeline!r} is no pipeline name: lower-case letters, digits and dashes")
    if not is_version(version):
        raise Stop(Exit.USAGE, f"{version!r} is no version: letters, digits and . _ + -, at most 64")
    if ticket and not is_ticket(ticket):
        raise Stop(Exit.USAGE, f"--ticket {ticket!r}: expected CHG0030001, OPS-42, or a link to it")
    if emergency is not None and not emergency.strip():
        raise Stop(Exit.USAGE, "--emergency: say why it is one; nothing was started")
    emergency = emergency or ""
    for option, text in (("--changes", changes), ("--emergency", emergency)):
        if len(text) > LONGEST_TEXT:
            raise Stop(
                Exit.USAGE,
                f"{option} has {len(text)} characters; expected at most {LONGEST_TEXT}",
            )
    check(own or ())
    dag_id = dag_id_of(pipeline)
    conf: dict[str, Any] = {
        "version": version,
        "changes": changes,
        "emergency": bool(emergency),
        "dry_run": dry_run,
    }
    conf |= {k: v for k, v in (("ticket", ticket), ("emergency_reason", emergency)) if v}
    dag = dag_of(api, pipeline)
    if INVALID_TAG in {tag["name"] for tag in dag.get("tags") or ()}:
        raise Stop(
            Exit.FINDINGS,
            f"the spec of {pipeline} is broken or gone: only releases in flight go on. Correct the file "
            "(`relman validate` shows what is wrong), then start the release again",
        )
    conf |= filled_in(own or (), dag.get("params") or {})
    run = api.airflow("POST", f"/dags/{part(dag_id)}/dagRuns", json={"logical_date": None, "conf": conf})
    run_id = str(run["dag_run_id"])
    started = {
        "pipeline": pipeline,
        "version": version,
        "dag_id": dag_id,
        "run_id": run_id,
        "url": f"{api.url}/dags/{part(dag_id)}/runs/{part(run_id)}",
        "paused": bool(dag.get("is_paused")),
    }
    if form is Format.TEXT:
        typer.echo(shown(f"started {pipeline} {version}: {started['url']}"))
    elif watch:
        echo_line(started=started)
    if started["paused"]:
        typer.echo(f"{dag_id} is paused in Airflow: the release waits until somebody unpauses it", err=True)
    patience = None if watch else 0.0 if started["paused"] else OPENING_S
    try:
        release_id = find_by_run(api, pipeline, run_id, interval, patience)
    except Stop:
        if form is Format.JSON and not watch:
            echo_json(started | {"release_id": None})  # the run is there, whatever became of it
        raise
    if watch and release_id:
        follow(api, release_id, interval, form)
    elif form is Format.JSON:
        echo_json(started | {"release_id": release_id})
    elif release_id:
        typer.echo(shown(f"opened {release_id}; follow it with `relman status {release_id} --watch`"))
    elif not started["paused"]:
        typer.echo(
            f"not opened within {OPENING_S:.0f} s: Airflow is busy; `relman status --pipeline {pipeline}` "
            "shows it once it is",
            err=True,
        )


def dag_of(api: Api, pipeline: str) -> dict[str, Any]:
    """Return what Airflow says of a pipeline's DAG; Stop when it has none."""
    from relman_plugins.cli.api import Refusal, part
    from relman_plugins.domain.identity import dag_id_of

    try:
        return dict(api.airflow("GET", f"/dags/{part(dag_id_of(pipeline))}/details"))
    except Refusal as refusal:
        if refusal.status != 404:
            raise
        raise Stop(Exit.FINDINGS, _no_pipeline(api, pipeline)) from refusal


def _no_pipeline(api: Api, pipeline: str) -> str:
    import difflib

    found = api.airflow("GET", "/dags", params={"dag_id_pattern": "release__", "limit": 100}).get("dags", [])
    names = [d["dag_id"].removeprefix("release__") for d in found if d["dag_id"].startswith("release__")]
    close = difflib.get_close_matches(pipeline, names, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(sorted(names)) or 'none'}"
    return f"no pipeline {pipeline!r} at {api.url} ({hint}); `relman validate` finds a broken spec"

"""What a shell offers when somebody presses Tab: from files first, else from the server, quickly.

Nothing here fails: who can't be asked, or takes longer than a blink, offers nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from relman_plugins.cli.api import Api

_PLAIN = re.compile(r"[\w.+-]+", re.ASCII)
"""What names of relman are made of."""

ASK_S = 1.0
"""How long the server may take, in seconds: nobody waits longer for a completion."""


def pipelines(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the names of pipelines: those in the folder of the specs, else those that Airflow has."""
    from relman_plugins.spec.api import pipeline_files

    here = [file.stem for file in pipeline_files(specs_folder())]
    return _starting(here or _asked(ctx, _dags), incomplete)


def environments(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the names of environments: those in the folder of the specs, else those that are locked."""
    here = sorted(file.stem for file in (specs_folder() / "environments").glob("*.yaml"))
    return _starting(here or _asked(ctx, lambda api: [x["environment"] for x in _locks(api)]), incomplete)


def services(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the services whose lock is held in the environment typed before."""
    where = ctx.params.get("environment")
    return _starting(
        _asked(ctx, lambda api: [x["service"] for x in _locks(api) if x["environment"] == where]), incomplete
    )


def releases(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the ids of the newest releases."""
    return _starting(_asked(ctx, _releases), incomplete)


def open_releases(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the ids of releases that have not ended."""
    return _starting(_asked(ctx, lambda api: _releases(api, active=True)), incomplete)


def gates(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the gates that the release typed before has opened, or that are open at all."""
    release = ctx.params.get("release")
    params = {"release": release} if release else {"state": "open"}
    return _starting(
        _asked(ctx, lambda api: [g["gate"] for g in api.relman("GET", "/gates", params=params)["gates"]]),
        incomplete,
    )


def policies(incomplete: str) -> list[str]:
    """Return the policies that a new pipeline may be built on."""
    from relman_plugins.cli import scaffold

    return _starting([*scaffold.policies(specs_folder()), scaffold.NO_POLICY], incomplete)


def groups(incomplete: str) -> list[str]:
    """Return the groups of the people there are."""
    from relman_plugins.cli import scaffold

    return _starting(scaffold.groups_in(specs_folder()), incomplete)


def kinds(incomplete: str) -> list[str]:
    """Return the kinds of events."""
    from relman_plugins.domain.event import Kind

    return _starting((kind.value for kind in Kind), incomplete)


def specs_folder() -> Path:
    """Return the folder of the specs, as commands that take ``--folder`` have it."""
    return Path(os.environ.get("RELMAN_SPECS") or "release_specs")


def _dags(api: Api) -> list[str]:
    found = api.airflow("GET", "/dags", params={"dag_id_pattern": "release__", "limit": 100})["dags"]
    return [d["dag_id"].removeprefix("release__") for d in found if d["dag_id"].startswith("release__")]


def _locks(api: Api) -> list[dict[str, Any]]:
    return list(api.relman("GET", "/locks")["locks"])


def _releases(api: Api, **params: Any) -> list[str]:
    found = api.relman("GET", "/releases", params={"limit": 50, **params})["releases"]
    return [r["release_id"] for r in found]


def _asked(ctx: typer.Context, question: Callable[[Api], list[str]]) -> list[str]:
    from relman_plugins.cli.connect import while_typing

    try:
        with while_typing(ctx).open(timeout_s=ASK_S) as api:
            return question(api)
    except Exception:
        # Whatever it is, a half-typed command line is no place to say it.
        return []


def _starting(names: Iterable[str], incomplete: str) -> list[str]:
    # A shell puts what is offered into the line as it is, where $(…) and ; would mean something.
    return [n for n in dict.fromkeys(names) if n.startswith(incomplete) and _PLAIN.fullmatch(n)]

"""Pools that pipelines take slots of, against those that Airflow has: a missing one holds a task for ever."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from relman_plugins.cli.exits import Stop

if TYPE_CHECKING:
    from relman_plugins.cli.api import Api

DEFAULT = "default_pool"
PIPELINES = "release__"
_PAGE = 100


def pool_problems(api: Api) -> tuple[list[str], list[str]] | None:
    """Return what keeps tasks of pipelines from running, and the pools that are as they should be.

    A problem is a sentence that ends with the command which solves it. None when this user may not see DAGs
    or pools.
    """
    try:
        wanted = _wanted(api)
        there = {p["name"]: p for p in _all(api, "/pools", "pools", order_by="name")} if wanted else {}
    except Stop:
        return None
    problems, good = [], []
    for name, (slots, dag_id) in sorted(wanted.items()):
        found = there.get(name)
        if found is None:
            problems.append(
                f"{dag_id} takes slots of pool {name!r}, which does not exist: its tasks would never run; "
                f"{_command(name, slots)}"
            )
        elif 0 <= found["slots"] < slots:
            problems.append(
                f"a step of {dag_id} takes {slots} slots of pool {name!r}, which has {found['slots']}: "
                f"it would never run; {_command(name, slots)}"
            )
        elif found["include_deferred"]:
            problems.append(
                f"pool {name!r} counts deferred tasks: a release that only waits for the environment's lock "
                f"keeps the slot that the lock's holder needs, and both wait for ever; "
                f"{_command(name, found['slots'])} (without --include-deferred)"
            )
        else:
            good.append(name)
    return problems, good


def _command(name: str, slots: int) -> str:
    return f"airflow pools set {shlex.quote(name)} {slots} 'relman'"


def _wanted(api: Api) -> dict[str, tuple[int, str]]:
    """Return for each pool the most slots that one task takes, and the DAG of that task."""
    found: dict[str, tuple[int, str]] = {}
    for dag in _all(api, "/dags", "dags", dag_id_pattern=f"{PIPELINES}%", order_by="dag_id"):
        # An underscore of the pattern stands for any character.
        if not dag["dag_id"].startswith(PIPELINES):
            continue
        for task in api.airflow("GET", f"/dags/{dag['dag_id']}/tasks")["tasks"]:
            name, slots = task["pool"], int(task["pool_slots"])
            if name != DEFAULT and slots > found.get(name, (0, ""))[0]:
                found[name] = (slots, dag["dag_id"])
    return found


def _all(api: Api, path: str, key: str, **params: Any) -> list[dict[str, Any]]:
    """Return a whole collection; Airflow gives at most ``_PAGE`` of it at once."""
    found: list[dict[str, Any]] = []
    while True:
        page = api.airflow("GET", path, params={**params, "limit": _PAGE, "offset": len(found)})
        found += page[key]
        if not page[key] or len(found) >= page["total_entries"]:
            return found

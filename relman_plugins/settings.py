"""relman's own settings: section ``[relman]`` of Airflow's configuration, read when asked.

========================= ==============================================================================
``home``                  Folder for what relman keeps on this machine: the embedded ledger, artifacts,
                          the spool. Default ``$AIRFLOW_HOME/relman``.
``ledger_conn_id``        Airflow connection of the ledger's PostgreSQL database. Empty (the default): the
                          embedded SQLite ledger ``<home>/ledger.db``. There is no fallback from one to
                          the other: a connection that cannot be read means no ledger, and no ledger means
                          that forward steps stop.
``signing_conn_id``       Airflow connection with the Ed25519 private key that the record is signed with.
                          Empty (the default): it is not signed.
``base_url``              Public address of Airflow for links; default ``[api] base_url``.
``trace_url``             Address of a trace in your tracing tool, for links, with ``{trace_id}`` in it. None
                          by default.
``specs_folder``          Folder of the release specs; default ``release_specs`` beside the DAG folder.
``notifiers``             JSON: names that routes may use in ``to``, each
                          ``{"class": dotted path of an Airflow notifier, "arguments": {…}}``.
``spec_cache``            ``off``: what a spec was compiled to is not kept in ``home`` for the next parse.
``minimum_deferral``      Seconds between the deferral of a task and the earliest event of its trigger:
                          Airflow 3.3.2 can fail a task that is resumed sooner. Default 8.
``window_spread``         Seconds over which the releases are spread that wait for one opening. Default 60.
``rehearsal_clock``       For rehearsals only: a file with the seconds by which the ledger's clock is ahead of
                          this machine's. None by default.
========================= ==============================================================================
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

SECTION = "relman"


def _get(key: str, fallback: str = "") -> str:
    from airflow.sdk.configuration import conf

    return conf.get(SECTION, key, fallback=fallback) or fallback


def home() -> Path:
    """Return the folder for what relman keeps on this machine; not created here."""
    airflow_home = os.environ.get("AIRFLOW_HOME", "~/airflow")
    return Path(_get("home") or Path(airflow_home) / "relman").expanduser()


def artifact_store() -> Path:
    """Return the content-addressed artifact folder."""
    return home() / "artifacts"


def mirrors_folder() -> Path:
    """Return this user's folder for mirrors of Git repositories."""
    return home() / f"git-{os.geteuid()}"


def spool_folder() -> Path:
    """Return the folder for events that wait for the ledger to come back."""
    return home() / "spool"


def shapes_folder() -> Path:
    """Return the folder for the shapes of pipelines with releases in flight."""
    return home() / "shapes"


def compiled_folder() -> Path | None:
    """Return this user's folder for what specs were compiled to; None when nothing is to be kept."""
    off = _get("spec_cache", "on").lower() in ("off", "false", "no", "0")
    return None if off else home() / f"compiled-{os.geteuid()}"


def specs_base() -> Path | None:
    """Return the configured folder of the release specs, or None for the default."""
    folder = _get("specs_folder") or os.environ.get("RELMAN_SPECS", "")
    return Path(folder).expanduser() if folder else None


def minimum_deferral() -> float:
    """Return how long a trigger waits, from deferral, before it may yield its event, in seconds."""
    return float(_get("minimum_deferral", "8"))


def window_spread() -> float:
    """Return over how many seconds the releases are spread that wait for one opening of a window."""
    return float(_get("window_spread", "60"))


def rehearsal_clock() -> Path | None:
    """Return the file that says by how many seconds the ledger's clock is ahead; None outside rehearsals."""
    file = _get("rehearsal_clock")
    return Path(file).expanduser() if file else None


def base_url() -> str:
    """Return the public address of Airflow, without a trailing slash."""
    from airflow.sdk.configuration import conf

    configured = _get("base_url") or conf.get("api", "base_url", fallback="") or "http://localhost:8080"
    return configured.rstrip("/")


def all_admins() -> bool:
    """Say whether Airflow's simple auth manager takes everybody for the same anonymous admin."""
    from airflow.sdk.configuration import conf

    return bool(conf.getboolean("core", "simple_auth_manager_all_admins", fallback=False))


def trace_url(trace_id: str) -> str:
    """Return where a trace can be looked at, or "" when there is no trace or no place is configured."""
    template = _get("trace_url")
    return template.replace("{trace_id}", trace_id) if trace_id else ""


def notifiers() -> dict[str, Any]:
    """Return the Airflow notifiers that routes may name; none of them is imported here.

    Raises:
        ClientUnavailable: The setting is not a JSON object; what is to be told that way waits.
    """
    import json

    from relman_plugins.errors import ClientUnavailable

    text = _get("notifiers")
    try:
        found = json.loads(text) if text else {}
    except ValueError as error:
        raise ClientUnavailable(f"[relman] notifiers is not valid JSON: {error}") from error
    if not isinstance(found, dict):
        raise ClientUnavailable("[relman] notifiers must be a JSON object: name → class and arguments")
    return found


def ledger_conn_id() -> str:
    """Return the connection id of the ledger's database, or an empty string for the embedded one."""
    return _get("ledger_conn_id")


def signing_conn_id() -> str:
    """Return the connection id of the key that the record is signed with, or an empty string for none."""
    return _get("signing_conn_id")

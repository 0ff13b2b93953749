"""What the stack tells Airflow: folders, ports, users, connections. Data in, environment variables out."""

from __future__ import annotations

import base64
import json
import os
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

USERS: Mapping[str, str] = {
    "admin": "admin",
    "alice": "user",
    "bob": "user",
    "carol": "user",
    "olaf": "op",
    "vera": "viewer",
}
"""User → role of Airflow's simple auth manager. Everybody's password is the user name."""

SQLITE_S = 20
"""How long a writer waits for another one before Airflow calls its database locked, in seconds.

Airflow's API server writes its log of actions in its event loop, and there waits for a request that needs the
loop to end: nothing else is answered until one of them gives up. So it is shorter than a task's heartbeat may
be missing.
"""

SLACK_TOKEN = "xoxb-relman-demo"  # noqa: S105 - the token of the embedded server, which listens on loopback only
SLACK_PATH = "/relman/slack/interactivity"
"""Where Airflow takes presses of buttons, as ``plugin.slack_app`` says; that module needs all of Airflow."""

SLACK_SECRET = "relman-demo-signing-secret"  # noqa: S105 - with it that server signs what its members press


@dataclass(frozen=True)
class Folders:
    """Where one stack keeps what it writes."""

    home: Path

    @property
    def airflow(self) -> Path:
        """``AIRFLOW_HOME``: database, task logs."""
        return self.home / "airflow"

    @property
    def relman(self) -> Path:
        """What relman keeps: ledger, artifacts, spool."""
        return self.home / "relman"

    @property
    def ledger(self) -> Path:
        """The embedded ledger."""
        return self.relman / "ledger.db"

    @property
    def artifacts(self) -> Path:
        """The artifact store."""
        return self.relman / "artifacts"

    @property
    def sandbox(self) -> Path:
        """The sandbox daemon's state and the replicas' data."""
        return self.home / "sandbox"

    @property
    def logs(self) -> Path:
        """One log for each process of the stack."""
        return self.home / "logs"

    @property
    def passwords(self) -> Path:
        """What the simple auth manager reads."""
        return self.airflow / "passwords.json"


@dataclass(frozen=True)
class Addresses:
    """Where the parts of a running stack answer; all on loopback."""

    airflow: str
    sandbox: str
    front: str
    metrics: str
    slack: str

    def production(self, service: str) -> str:
        """Return the address at which users reach a service in production."""
        return f"{self.front}/production/{service}"


def free_port(preferred: int = 0) -> int:
    """Return a free port on loopback: the preferred one if it is free, else any."""
    for port in dict.fromkeys((preferred, 0)):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no free port on loopback")


def write_passwords(folders: Folders, users: Mapping[str, str] = USERS) -> None:
    """Write the simple auth manager's password file, so that it makes up and prints none."""
    folders.airflow.mkdir(parents=True, exist_ok=True)
    folders.passwords.touch(mode=0o600)
    folders.passwords.write_text(json.dumps({user: user for user in users}))


def environment(
    folders: Folders,
    addresses: Addresses,
    repo: Path,
    *,
    reparse_s: int,
    users: Mapping[str, str] = USERS,
    source: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the environment of every Airflow process of the stack.

    Args:
        folders: Where things are written.
        addresses: Where the other parts answer.
        repo: Checkout with ``dags/`` and ``release_specs/``.
        reparse_s: Seconds after which a DAG file is read again, so that an edited spec is seen.
        users: Who can log in, and in which role.
        source: Environment to start from, without its Airflow settings; this process's own by default.
    """
    inherited = os.environ if source is None else source
    env = {key: value for key, value in inherited.items() if not key.startswith(("AIRFLOW_", "_AIRFLOW"))}
    for name in ("NO_PROXY", "no_proxy"):
        env[name] = ",".join(filter(None, [env.get(name, ""), "127.0.0.1", "localhost"]))
    keys = _secrets(folders)
    settings = {
        ("core", "dags_folder"): repo / "dags",
        ("core", "load_examples"): False,
        ("core", "executor"): "LocalExecutor",
        # More writers than this at once, and SQLite has the API server answer 500 ("database is locked").
        ("core", "parallelism"): 4,
        ("core", "fernet_key"): keys["fernet"],
        # Looking up the machine's full name may ask a name server that is not there.
        ("core", "hostname_callable"): "socket.gethostname",
        ("core", "execution_api_server_url"): f"{addresses.airflow}/execution/",
        ("core", "simple_auth_manager_users"): ",".join(f"{u}:{role}" for u, role in users.items()),
        ("core", "simple_auth_manager_passwords_file"): folders.passwords,
        # SQLite has one writer. Who comes second waits for five seconds, on a busy machine too short a time,
        # and then the API server answers 500.
        ("database", "sql_alchemy_conn"): f"sqlite:///{folders.airflow / 'airflow.db'}?timeout={SQLITE_S}",
        ("api", "base_url"): addresses.airflow,
        ("api", "secret_key"): keys["api"],
        ("api_auth", "jwt_secret"): keys["jwt"],
        ("logging", "base_log_folder"): folders.airflow / "logs",
        ("dag_processor", "dag_bundle_storage_path"): folders.airflow / "bundles",
        ("dag_processor", "refresh_interval"): reparse_s,
        ("dag_processor", "min_file_process_interval"): reparse_s,
        ("dag_processor", "parsing_processes"): 1,
        ("scheduler", "scheduler_idle_sleep_time"): 0.1,
        # A killed worker is noticed within half a minute instead of five.
        ("scheduler", "task_instance_heartbeat_timeout"): 30,
        ("scheduler", "task_instance_heartbeat_timeout_detection_interval"): 5,
        ("scheduler", "orphaned_tasks_check_interval"): 20,
        ("workers", "min_heartbeat_interval"): 1,
        ("relman", "home"): folders.relman,
        ("relman", "specs_folder"): repo / "release_specs",
    }
    env |= {
        f"AIRFLOW__{section.upper()}__{key.upper()}": str(value) for (section, key), value in settings.items()
    }
    env["AIRFLOW_HOME"] = str(folders.airflow)
    env |= {
        f"AIRFLOW_CONN_{name.upper()}": json.dumps(value) for name, value in _connections(addresses).items()
    }
    return env


def _connections(addresses: Addresses) -> dict[str, dict[str, object]]:
    sandbox_host, sandbox_port = _host_port(addresses.sandbox)
    metrics_host, metrics_port = _host_port(addresses.metrics)
    return {
        "relman_sandbox": {"conn_type": "relman_sandbox", "host": sandbox_host, "port": sandbox_port},
        "relman_metrics": {"conn_type": "relman_prometheus", "host": f"http://{metrics_host}:{metrics_port}"},
        "relman_slack": {
            "conn_type": "slack",
            "password": SLACK_TOKEN,
            "extra": json.dumps({"base_url": f"{addresses.slack}/api/", "signing_secret": SLACK_SECRET}),
        },
    }


def _host_port(url: str) -> tuple[str, int]:
    host, _, port = url.removeprefix("http://").split("/")[0].partition(":")
    return host, int(port)


def _secrets(folders: Folders) -> dict[str, str]:
    """Return the stack's keys, the same ones each time it starts in the same folder."""
    path = folders.airflow / "secrets.json"
    if path.exists():
        return dict(json.loads(path.read_text()))
    keys = {
        "fernet": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "api": secrets.token_urlsafe(32),
        "jwt": secrets.token_urlsafe(48),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(json.dumps(keys))
    return keys

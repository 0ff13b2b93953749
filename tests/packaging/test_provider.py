"""What relman tells Airflow about itself is what Airflow's own models take."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import distribution
from pathlib import Path
from threading import Thread
from typing import Any

import airflow
import jsonschema
import pytest

from relman_plugins.provider_info import get_provider_info
from tests.conftest import Postgres

INFO = get_provider_info()
TYPES = {c["connection-type"]: c for c in INFO["connection-types"]}


def test_provider_info_is_valid() -> None:
    schema = json.loads((Path(airflow.__file__).parent / "provider_info.schema.json").read_text())
    jsonschema.validate(INFO, schema)


@pytest.mark.parametrize("name", TYPES)
def test_a_connection_type_has_its_hook_and_a_form_without_airflows_deprecated_ways(name: str) -> None:
    declared = TYPES[name]
    module, _, attribute = declared["hook-class-name"].rpartition(".")
    hook = getattr(importlib.import_module(module), attribute)
    assert (hook.conn_type, hook.hook_name) == (name, declared["hook-name"])
    assert hook(**{hook.conn_name_attr: "x"}).conn_id == "x"
    assert not {"get_connection_form_widgets", "get_ui_field_behaviour"} & set(vars(hook))
    behaviour = {k.replace("-", "_"): v for k, v in declared["ui-field-behaviour"].items()}
    path = Path(airflow.__file__).parent / "customized_form_field_behaviours.schema.json"
    jsonschema.validate(behaviour, json.loads(path.read_text()))
    for field in declared.get("conn-fields", {}).values():
        jsonschema.Draft7Validator.check_schema(field["schema"])
        assert field["label"]
        assert field["description"]


def test_a_token_is_never_shown() -> None:
    assert TYPES["relman_prometheus"]["conn-fields"]["token"]["schema"]["format"] == "password"


def test_entry_points_lead_somewhere() -> None:
    mine = distribution("relman").entry_points
    assert {e.group for e in mine} == {
        "airflow.plugins",
        "apache_airflow_provider",
        "console_scripts",
        "relman.platforms",
    }
    assert all(callable(e.load()) for e in mine)


def test_the_root_and_what_airflow_reads_everywhere_import_nothing() -> None:
    code = (
        "import sys; before = set(sys.modules); import relman_plugins.provider_info;"
        "print(*{m.partition('.')[0] for m in set(sys.modules) - before} - sys.stdlib_module_names)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["relman_plugins"]


@pytest.fixture
def metrics_server() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A server that answers a query with 1, and keeps what it was sent."""
    asked: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(dict(self.headers))
            data = {"resultType": "vector", "result": [{"metric": {}, "value": [time.time(), "1"]}]}
            body = json.dumps({"status": "success", "data": data}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", asked
    server.shutdown()
    server.server_close()


def button(monkeypatch: pytest.MonkeyPatch, **connection: Any) -> tuple[bool, str]:
    """Press the form's Test button: Airflow finds the hook by the type."""
    from airflow.sdk import Connection

    monkeypatch.setenv("AIRFLOW_CONN_TRIED", json.dumps(connection))
    return Connection.get("tried").test_connection()


def test_the_metrics_servers_button_asks_it(
    monkeypatch: pytest.MonkeyPatch, metrics_server: tuple[str, list[dict[str, str]]]
) -> None:
    url, asked = metrics_server
    extra = json.dumps({"token": "t0ken", "org_id": "shop"})
    works, said = button(monkeypatch, conn_type="relman_prometheus", host=url, extra=extra)
    assert (works, said) == (True, "The metrics server answers queries.")
    assert asked[0]["Authorization"] == "Bearer t0ken"
    assert asked[0]["X-Scope-OrgID"] == "shop"


@pytest.mark.parametrize(
    ("connection", "said"),
    [
        ({"conn_type": "relman_prometheus", "host": "http://127.0.0.1:1"}, "127.0.0.1:1"),
        ({"conn_type": "relman_sandbox", "host": "127.0.0.1"}, "control port is missing"),
        ({"conn_type": "relman_sandbox", "host": "127.0.0.1", "port": 1}, "does not answer"),
        ({"conn_type": "relman_ledger", "host": "127.0.0.1", "port": 1, "password": "s3cret"}, "127.0.0.1"),
    ],
)
def test_a_button_says_why_not(
    monkeypatch: pytest.MonkeyPatch, connection: dict[str, Any], said: str
) -> None:
    works, message = button(monkeypatch, **connection)
    assert not works
    assert said in message
    assert not re.search("s3cret", message)


def test_the_ledgers_button_says_whether_its_schema_is_right(
    monkeypatch: pytest.MonkeyPatch, postgres: Postgres
) -> None:
    from sqlalchemy import make_url

    from relman_plugins.ledger.api import open_ledger

    with postgres.database() as url:
        parts = make_url(url)
        connection = {
            "conn_type": "relman_ledger",
            "host": parts.query["host"],
            "login": parts.username,
            "schema": parts.database,
            "extra": json.dumps({"sslmode": ""}),
        }
        works, said = button(monkeypatch, **connection)
        assert (works, "relman ledger migrate" in said) == (False, True)
        open_ledger(url).migrate()
        assert button(monkeypatch, **connection)[0]

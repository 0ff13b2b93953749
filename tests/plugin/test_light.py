"""The plugin is imported in every Airflow process, so its root must not bring the web framework along."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.plugin.airflow_server import GATE
from tests.plugin.test_api import ROUTES

ROOT = Path(__file__).resolve().parents[2]

_PARAM = re.compile(r"\{\w+\}")

SCRIPT = """
import sys
import relman_plugins.plugin as room
heavy = ("fastapi", "starlette", "relman_plugins.ledger", "relman_plugins.plugin.app")
found = [name for name in heavy if name in sys.modules]
assert not found, found
plugin = room.RelmanPlugin()
assert "fastapi" not in sys.modules

from airflow import plugins_manager
from airflow.api_fastapi.core_api.datamodels.plugins import PluginResponse
mine = [info for info in plugins_manager.get_plugin_info() if info["name"] == "relman"]
assert len(mine) == 1, mine
seen = PluginResponse.model_validate(mine[0])
assert [app.url_prefix for app in seen.fastapi_apps] == ["/relman"]
assert [m.middleware for m in seen.fastapi_root_middlewares] == ["relman_plugins.plugin.native.NativeAnswers"]
assert plugin.fastapi_apps[0]["app"] is room.RelmanPlugin().fastapi_apps[0]["app"]
"""


LISTED = """
from relman_plugins.plugin.app import application
assert [r.path for r in application().routes if not hasattr(r, "methods")] == ["/slack"]
for route in (r for r in application().routes if hasattr(r, "methods")):
    for method in sorted(route.methods - {"HEAD"}):
        print(method, route.path.removeprefix("/api/v1"))
"""


def test_every_route_is_documented_and_tried_by_strangers(tmp_path: Path) -> None:
    env = os.environ | {"AIRFLOW_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", LISTED], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    there = {_PARAM.sub("{}", line) for line in done.stdout.splitlines() if " /" in line}
    documented = re.findall(r"`(GET|POST|DELETE) (/[^`?]*)", (ROOT / "docs/reference/api.md").read_text())
    assert {_PARAM.sub("{}", f"{method} {path}") for method, path in documented} == there
    tried = {f"{method} {path}".replace("{id}", "{}").replace(GATE, "{}") for method, path in ROUTES}
    tried = {t.replace("production/checkout", "{}/{}").replace("checkout/hold", "{}/{}") for t in tried}
    assert {t.replace("trains/checkout", "trains/{}") for t in tried} == there


def test_import_is_light_and_airflow_accepts_what_it_gets(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=os.environ | {"AIRFLOW_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr

"""The plugin is imported in every Airflow process, so its root must not bring the web framework along."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

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


def test_import_is_light_and_airflow_accepts_what_it_gets(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=os.environ | {"AIRFLOW_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr

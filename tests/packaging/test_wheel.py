"""What users install: the wheel with all extras, held to what Airflow's own constraints allow.

``constraints.txt``, which this checkout's own environment is made from, has newer versions.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from uv import find_uv_bin

from tests.conftest import missing
from tests.repo import tree

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]
ROOT = Path(__file__).parents[2]


@dataclass
class Installed:
    """A virtual environment with the wheel in it, away from this checkout."""

    home: Path
    wheel: Path
    sdist: Path

    def run(self, program: str, *arguments: str) -> str:
        env = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "PYTHON", "RELMAN"))}
        done = subprocess.run(
            [str(self.home / "venv" / "bin" / program), *arguments],
            env=env | {"AIRFLOW_HOME": str(self.home / "airflow"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"},
            cwd=self.home,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def airflow(self, *arguments: str) -> list[dict[str, Any]]:
        return json.loads(self.run("airflow", *arguments, "--output", "json"))


def uv(*arguments: str) -> None:
    done = subprocess.run([find_uv_bin(), *arguments], capture_output=True, text=True, check=False)
    if re.search(r"(?i)failed to fetch|no solution found|dns error|connection refused", done.stderr):
        missing("an index of packages", "a network, or a mirror in uv's configuration")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    home = tmp_path_factory.mktemp("installed")
    # The wheel is made of the unpacked source distribution: what is missing there is missing here.
    uv("build", "--quiet", "--out-dir", str(home / "dist"), str(ROOT))
    (wheel,) = (home / "dist").glob("*.whl")
    (sdist,) = (home / "dist").glob("*.tar.gz")
    python = str(home / "venv" / "bin" / "python")
    uv("venv", "--quiet", "--python", sys.executable, str(home / "venv"))
    allowed = str(Path(__file__).with_name("airflow-3.3.2.txt"))
    extras = "relman[celery,git,holidays,kubernetes,postgres,reports]"
    uv("pip", "install", "--quiet", "--python", python, "-c", allowed, f"{extras} @ {wheel.as_uri()}")
    uv("pip", "check", "--python", python)
    return Installed(home, wheel, sdist)


def test_the_wheel_has_all_of_the_package_and_nothing_else(installed: Installed) -> None:
    names = set(zipfile.ZipFile(installed.wheel).namelist())
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"relman_plugins", "relman-0.1.0.dist-info"}
    modules = {p.relative_to(ROOT).as_posix() for p in (ROOT / "relman_plugins").rglob("*.py")}
    assert modules <= names
    assert {"relman_plugins/py.typed", "relman-0.1.0.dist-info/licenses/LICENSE"} <= names
    assert [n for n in names if "__pycache__" in n or n.endswith(".pyc")] == []


def test_the_image_s_wheel_is_the_same(installed: Installed, tmp_path: Path) -> None:
    for source in tree.copied_into_the_image():
        target = tmp_path / "context" / source
        target.parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
        copy(ROOT / source, target)
    uv("build", "--quiet", "--wheel", "--out-dir", str(tmp_path), str(tmp_path / "context"))
    (wheel,) = tmp_path.glob("*.whl")
    assert set(zipfile.ZipFile(wheel).namelist()) == set(zipfile.ZipFile(installed.wheel).namelist())


def test_the_source_distribution_is_the_repository(installed: Installed) -> None:
    with tarfile.open(installed.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        missing("the repository", "git clone")
    left_out = (".", "deploy/", "benchmarks/", "docker-compose.yaml")
    assert {n for n in listed.stdout.splitlines() if not n.startswith(left_out)} - names == set()


def test_airflow_lists_the_provider_its_plugin_and_its_connection_types(installed: Installed) -> None:
    (provider,) = (p for p in installed.airflow("providers", "list") if p["package_name"] == "relman")
    assert provider["version"] == "0.1.0"
    (plugin,) = (p for p in installed.airflow("plugins") if p["name"] == "relman")
    assert plugin["source"].startswith("relman==0.1.0")
    hooks = {h["connection_type"]: h for h in installed.airflow("providers", "hooks")}
    assert {name for name in hooks if name.startswith("relman_")} == {
        "relman_cloudwatch",
        "relman_datadog",
        "relman_elasticsearch",
        "relman_google",
        "relman_graphite",
        "relman_influxdb",
        "relman_jira",
        "relman_json",
        "relman_ledger",
        "relman_loki",
        "relman_newrelic",
        "relman_prometheus",
        "relman_sandbox",
        "relman_servicenow",
        "relman_signing",
    }
    assert "relman" in installed.run("airflow", "config", "list", "--section", "relman")


def test_the_command_line_works_away_from_the_checkout(installed: Installed) -> None:
    assert installed.run("relman", "--version") == "relman 0.1.0\n"
    specs = installed.home / "release_specs"
    installed.run("relman", "ledger", "migrate")
    assert (installed.home / "airflow" / "relman" / "ledger.db").is_file()
    assert not specs.exists()

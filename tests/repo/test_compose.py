from __future__ import annotations

import base64
import os
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.repo import tree

DEPLOY = tree.ROOT / "deploy"
AIRFLOW = {"api-server", "scheduler", "dag-processor", "triggerer", "airflow-worker"}
OURS = AIRFLOW | {"migrate", "sandbox", "users"}


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    return dict(yaml.safe_load((tree.ROOT / "docker-compose.yaml").read_text())["services"])


def test_it_has_the_parts_of_production_and_what_is_for_trying(services: dict[str, Any]) -> None:
    assert set(services) == OURS | {"postgres", "redis", "prometheus"}


def test_every_service_says_whether_it_is_well_and_waits_for_what_it_needs(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert ("healthcheck" in service) is (name != "migrate"), name
        assert service["restart"] == ("no" if name == "migrate" else "unless-stopped"), name
        for other, how in service.get("depends_on", {}).items():
            ends = how["condition"] == "service_completed_successfully"
            assert ends is (other == "migrate"), f"{name} waits for {other}"
    for name in AIRFLOW:
        assert "migrate" in services[name]["depends_on"], name
    for name in ("scheduler", "triggerer", "airflow-worker"):
        assert {"redis", "api-server"} <= set(services[name]["depends_on"]), name


def test_only_loopback_is_published_and_the_sandbox_s_control_port_is_not(services: dict[str, Any]) -> None:
    published = {name: [str(p) for p in s.get("ports", [])] for name, s in services.items()}
    assert {name for name, ports in published.items() if ports} == {"api-server", "prometheus", "sandbox"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)
    control = next(c for c in services["sandbox"]["command"] if c.startswith("--port="))
    assert not any(control.removeprefix("--port=") in port for port in published["sandbox"])


def test_every_volume_and_file_that_is_named_exists(services: dict[str, Any]) -> None:
    volumes = yaml.safe_load((tree.ROOT / "docker-compose.yaml").read_text())["volumes"]
    for name, service in services.items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            known = (tree.ROOT / source).exists() if source.startswith(".") else source in volumes
            assert known, f"{name}: {source}"
    # What a worker has built is deployed by its address, so it has the same place in both.
    shared = next(v for v in services["airflow-worker"]["volumes"] if v.startswith("relman:"))
    assert f"{shared}:ro" in services["sandbox"]["volumes"]


def test_no_secret_has_a_value_and_the_example_lists_all_of_them(services: dict[str, Any]) -> None:
    asked = set(re.findall(r"\$\{(\w+):\?", (tree.ROOT / "docker-compose.yaml").read_text()))
    assert asked == _names()
    for service in services.values():
        for key, value in service.get("environment", {}).items():
            if key.endswith(("_KEY", "_SECRET", "PASSWORD", "_TOKEN")):
                assert str(value).startswith("${"), f"{key} has its value in the file"
    # What runs other people's builds knows no password but its own.
    assert set(services["sandbox"]["environment"]) == {"RELMAN_SANDBOX_TOKEN"}


def test_nobody_but_the_api_server_has_people_s_passwords(services: dict[str, Any]) -> None:
    """Pipelines' commands are processes of the worker's own user: one could approve in another's name."""
    file = Path(services["api-server"]["environment"]["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"])
    mounts = {
        n: {v.split(":")[0]: v.split(":")[1] for v in s.get("volumes", [])} for n, s in services.items()
    }
    assert mounts["api-server"]["auth"] == str(file.parent)
    assert [name for name in mounts if "auth" in mounts[name]] == ["api-server"]
    for name in AIRFLOW - {"api-server"}:
        assert not any(file.is_relative_to(target) for target in mounts[name].values()), name
        assert {**mounts[name], "auth": str(file.parent)} == mounts["api-server"], name


def test_the_image_is_made_of_the_airflow_of_the_constraints(services: dict[str, Any]) -> None:
    pinned = re.search(r"^apache-airflow==(.+)$", (tree.ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned
    base = f"apache/airflow:{pinned[1]}-python3"
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    assert f"ARG BASE_IMAGE={base}" in dockerfile
    assert set(re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)) == {"${BASE_IMAGE}"}
    assert re.findall(r"^USER (\w+)", dockerfile, re.MULTILINE)[-1] == "airflow"
    assert "--constraint /opt/relman/constraints.txt" in dockerfile
    for name in OURS:
        build = services[name]["build"]
        assert (tree.ROOT / build["context"] / build["dockerfile"]).is_file()
        assert build["args"]["BASE_IMAGE"].startswith(f"${{BASE_IMAGE:-{base}")
        assert services[name]["image"].endswith(f":{pinned[1]}")


def test_the_engine_gets_what_the_dockerfile_copies_and_nothing_else() -> None:
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert {line.removeprefix("!") for line in ignored if line.startswith("!")} == set(
        tree.copied_into_the_image()
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for file in ("scripts/stack", "deploy/env.example", "docker-compose.yaml"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        shutil.copy(tree.ROOT / file, tmp_path / file)
    return tmp_path


def stack(checkout: Path) -> subprocess.CompletedProcess[str]:
    """Run `make stack` on a machine without an engine."""
    tools = checkout / "tools"
    tools.mkdir(exist_ok=True)
    for tool in ("bash", "base64", "cat", "chmod", "dirname", "head", "mktemp", "mv", "rm", "sed", "tr"):
        (tools / tool).unlink(missing_ok=True)
        (tools / tool).symlink_to(str(shutil.which(tool)))
    env = {"PATH": str(tools)}
    return subprocess.run([checkout / "scripts/stack"], env=env, capture_output=True, text=True, check=False)


def test_the_first_start_makes_up_every_key_and_later_ones_keep_them(checkout: Path) -> None:
    assert stack(checkout).returncode == 3
    env = checkout / ".env"
    assert stat.S_IMODE(env.stat().st_mode) == 0o600
    made = env.read_text()
    values = dict(line.split("=", 1) for line in made.splitlines())
    assert set(values) == _names()
    assert len(set(values.values())) == len(values)
    assert min(len(value) for value in values.values()) >= 32
    assert len(base64.urlsafe_b64decode(values["AIRFLOW_FERNET_KEY"])) == 32
    assert stack(checkout).returncode == 3
    assert env.read_text() == made
    assert sorted(os.listdir(checkout)) == [".env", "deploy", "docker-compose.yaml", "scripts", "tools"]


def test_without_an_engine_it_says_what_to_install(checkout: Path) -> None:
    said = stack(checkout).stderr
    assert "no `docker compose` here" in said
    assert "apt-get install docker.io" in said


def _names() -> set[str]:
    return set(re.findall(r"^(\w+)=", (DEPLOY / "env.example").read_text(), re.MULTILINE))

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.repo import tree


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((tree.ROOT / "docker-compose.yaml").read_text()))


def test_it_has_the_parts_of_an_airflow_on_postgresql(compose: dict[str, Any]) -> None:
    wanted = {"postgres", "migrate", "api-server", "scheduler", "dag-processor", "triggerer"}
    assert set(compose["services"]) == wanted


def test_every_service_is_run_by_what_it_needs(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name in ("api-server", "scheduler", "dag-processor", "triggerer"):
        assert services[name]["command"] == [name]
        needed = services[name]["depends_on"]
        assert needed["migrate"]["condition"] == "service_completed_successfully", name
        for other, how in needed.items():
            assert other in services
            if how["condition"] == "service_healthy":
                assert "healthcheck" in services[other], (
                    f"{name} waits for {other}, which has no health check"
                )


def test_only_loopback_is_published(compose: dict[str, Any]) -> None:
    published = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert published
    assert all(str(port).startswith("127.0.0.1:") for port in published)


def test_every_volume_and_file_that_is_named_exists(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            known = (tree.ROOT / source).exists() if source.startswith(".") else source in compose["volumes"]
            assert known, f"{name}: {source}"
        if build := service.get("build"):
            assert (tree.ROOT / build["context"] / build["dockerfile"]).is_file()


def test_no_secret_has_a_value_and_the_example_lists_all_of_them(compose: dict[str, Any]) -> None:
    text = (tree.ROOT / "docker-compose.yaml").read_text()
    asked = set(re.findall(r"\$\{(\w+)", text))
    listed = set(re.findall(r"^(\w+)=", (tree.ROOT / "deploy" / "env.example").read_text(), re.MULTILINE))
    assert asked == listed
    for service in compose["services"].values():
        for key, value in service.get("environment", {}).items():
            if key.endswith(("_KEY", "_SECRET", "PASSWORD")):
                assert str(value).startswith("${"), f"{key} has its value in the file"


def test_the_image_is_the_airflow_of_the_constraints(compose: dict[str, Any]) -> None:
    pinned = re.search(r"^apache-airflow==(.+)$", (tree.ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned
    assert f"FROM apache/airflow:{pinned[1]}-python3" in (tree.ROOT / "deploy" / "Dockerfile").read_text()
    assert compose["services"]["scheduler"]["image"].endswith(f":{pinned[1]}")

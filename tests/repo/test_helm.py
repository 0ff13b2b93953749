"""The values for Airflow's Helm chart; with RELMAN_TEST_CHART, its folder, also against its schema."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.repo import tree

EXECUTORS = {"celery": "CeleryExecutor", "kubernetes": "KubernetesExecutor"}
CHARTS = [path for path in (os.environ.get("RELMAN_TEST_CHART"),) if path]


@pytest.mark.parametrize("name", EXECUTORS)
@pytest.mark.parametrize("chart", CHARTS)
def test_every_key_is_one_of_the_chart_s(chart: str, name: str) -> None:
    schema = json.loads((Path(chart) / "values.schema.json").read_text())
    found = jsonschema.Draft7Validator(schema).iter_errors(values(name))
    assert [f"{'.'.join(map(str, e.path))}: {e.message}"[:300] for e in found] == []
    defaults = yaml.safe_load((Path(chart) / "values.yaml").read_text())
    # The schema lets pass what it does not know; the chart's own values have every key.
    assert list(_unknown(values(name), defaults)) == []


@pytest.mark.parametrize("name", EXECUTORS)
def test_the_settings_are_those_of_the_compose_file(name: str) -> None:
    compose = yaml.safe_load((tree.ROOT / "docker-compose.yaml").read_text())["services"]["scheduler"]
    told = {key: str(value) for key, value in compose["environment"].items()}
    chosen = values(name)
    assert chosen["executor"] == EXECUTORS[name]
    same = {
        f"AIRFLOW__{section.upper()}__{key.upper()}": str(value)
        for section, keys in chosen["config"].items()
        for key, value in keys.items()
    }
    assert same.pop("AIRFLOW__CORE__PARALLELISM")  # one machine's default is enough for one machine
    assert same == {key: told[key] for key in same}
    migration = yaml.safe_load((tree.ROOT / "docker-compose.yaml").read_text())["services"]["migrate"]
    assert chosen["migrateDatabaseJob"]["args"] == migration["command"]
    image = compose["image"].split("/")[-1].split(":")
    assert (chosen["images"]["airflow"]["tag"], chosen["airflowVersion"]) == (image[1], image[1])


def values(name: str) -> dict[str, Any]:
    """Return what Helm makes of the common values and one executor's."""
    files = ("values", name)
    return _merged(
        *(yaml.safe_load((tree.ROOT / "deploy" / "helm" / f"{f}.yaml").read_text()) for f in files)
    )


def _unknown(chosen: dict[str, Any], defaults: dict[str, Any], path: str = "") -> Iterator[str]:
    """Yield keys that the defaults lack; what is empty there, and Airflow's own configuration, is open."""
    for key, value in chosen.items():
        if key not in defaults:
            yield path + key
        elif isinstance(value, dict) and defaults[key] and key != "config":
            yield from _unknown(value, defaults[key], f"{path}{key}.")


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    found = copy.deepcopy(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(found.get(key), dict)
        found[key] = _merged(found[key], value) if both else value
    return found

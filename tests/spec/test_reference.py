"""The reference says what the code does: codes, keys and their defaults."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

import relman_plugins.spec
from relman_plugins.spec.codes import CODES
from relman_plugins.spec.models import (
    Analysis,
    Artifact,
    Budget,
    BudgetMetric,
    BurnWindow,
    ComparedMetric,
    Comparison,
    Duration,
    Environment,
    FollowUps,
    Metric,
    ReleasePipeline,
    Sampled,
    SampledMetric,
    Schedule,
    Stage,
    Suite,
    VersionSource,
)
from relman_plugins.spec.models.kubernetes import Kubernetes
from relman_plugins.spec.models.policy import Policy

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
PACKAGE = Path(relman_plugins.spec.__path__[0])
SECTIONS = {
    "ReleasePipeline": (ReleasePipeline,),
    "artifact": (Artifact,),
    "suites": (Suite,),
    "analyses": (Analysis, Metric),
    "judge: sequential": (Comparison, ComparedMetric),
    "judge: mann_whitney": (Sampled, SampledMetric),
    "judge: slo": (Budget, BudgetMetric, BurnWindow),
    "stages": (Stage,),
    "schedule": (Schedule,),
    "version of a schedule": (VersionSource,),
    "follow_ups": (FollowUps,),
    "Policy": (Policy,),
    "Environment": (Environment,),
    "kubernetes": (Kubernetes,),
}


def test_every_code_is_described_where_it_is_used_and_where_it_is_looked_up() -> None:
    used = {
        code
        for path in PACKAGE.rglob("*.py")
        if path.name != "codes.py"
        for code in re.findall(r'"(RM\d{3})"', path.read_text())
    }
    assert set(CODES) == used, "every code has its line in relman_plugins/spec/codes.py"
    table = "".join(f"| {code} | {text} |\n" for code, text in sorted(CODES.items()))
    assert table in (REFERENCE / "diagnostics.md").read_text(), f"the table should be:\n{table}"


@pytest.mark.parametrize("section", SECTIONS)
def test_keys_and_defaults_are_those_of_the_models(section: str) -> None:
    fields = {f.alias or name: f for model in SECTIONS[section] for name, f in model.model_fields.items()}
    rows = table(section)
    assert {key.partition(".")[0] for key in rows} == set(fields)
    for key, default in rows.items():
        if "." not in key and not (isinstance(default, str) and default.startswith("one of")):
            assert default == shown(fields[key], default), f"{key} in {section}"


def table(section: str) -> dict[str, str]:
    """Return the default of every key in the first table of a section."""
    text = (REFERENCE / "spec.md").read_text()
    part = re.split(rf"^###? {section}$", text, flags=re.MULTILINE)[1].partition("|---|---|---|\n")[2]
    rows: dict[str, str] = {}
    for line in part.splitlines():
        if not line.startswith("|"):
            break
        keys, _, default = (cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1])
        rows |= dict.fromkeys(re.findall(r"`([^`]+)`", keys), default)
    return rows


def shown(field: FieldInfo, otherwise: str) -> Any:
    """Return how a default is written; what is empty or absent by default is said in words."""
    default = field.get_default(call_default_factory=True, validated_data={})
    if field.is_required():
        return "required"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, (int, Duration)):
        return f"`{default}`"
    if default is PydanticUndefined or "required" in otherwise:
        return "words"
    return otherwise

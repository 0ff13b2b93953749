"""Documents for tests, made of plain data: what a spec folder would give, without the files."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from relman_plugins.domain.base import digest_of
from relman_plugins.spec.models import Documents, Environment, People, ReleasePipeline

SUITES = ["unit", "api", "smoke", "load"]
WINDOW = {"days": ["mon", "tue"], "from": "09:00", "to": "17:00", "zone": "Europe/Berlin"}
GROUP = "release-managers"
GATE = {"approval": GROUP, "timeout": "30m"}
PEOPLE = {
    "apiVersion": "relman/v1",
    "kind": "People",
    "people": {"alice": {"airflow": "alice"}, "bob": {"airflow": "bob", "slack": "U01BOB"}},
    "groups": {GROUP: ["alice", "bob"]},
}


def environment(name: str, **more: Any) -> dict[str, Any]:
    return {
        "apiVersion": "relman/v1",
        "kind": "Environment",
        "metadata": {"name": name, "owner": "platform"},
        "platform": "sandbox",
        "connection": "relman_sandbox",
        **more,
    }


def pipeline(stages: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    command = ["python", "-m", "pytest"]
    looks = {"connection": "relman_metrics", "metrics": [{"name": "errors", "query": "up", "max": 0.1}]}
    return {
        "apiVersion": "relman/v1",
        "kind": "ReleasePipeline",
        "metadata": {"name": "shop", "owner": "team-shop", "description": "The shop"},
        "artifact": {"source": "../shop"},
        "suites": {name: {"command": command, "junit": f"reports/{name}.xml"} for name in SUITES}
        | {
            "hands": {
                "checklist": ["It looks right", {"item": "It feels right", "id": "feel"}],
                "group": GROUP,
            }
        },
        "analyses": {"signals": looks},
        "stages": stages,
        **more,
    }


def documents(spec: dict[str, Any], environments: list[dict[str, Any]]) -> Documents:
    return Documents(
        pipeline=ReleasePipeline.model_validate(spec),
        environments={e["metadata"]["name"]: Environment.model_validate(e) for e in environments},
        people=People.model_validate(PEOPLE),
        digest=digest_of([spec, environments]),
    )


def _canary(weights: set[int]) -> dict[str, Any]:
    return {"canary": {"steps": sorted(weights | {100}), "analysis": "signals", "interval": "2s", "count": 3}}


_rolling = st.fixed_dictionaries(
    {}, optional={"max_surge": st.sampled_from([1, 3, "25%"]), "max_unavailable": st.sampled_from([0, "30%"])}
).map(lambda settings: {"rolling": settings})
_blue_green = st.fixed_dictionaries(
    {},
    optional={
        "preview": st.booleans(),
        "analysis": st.just("signals"),
        "keep": st.sampled_from(["1s", "2h"]),
    },
).map(lambda settings: {"blue_green": settings})
_parity = st.fixed_dictionaries(
    {"with": st.just("env-0")},
    optional={"schema": st.just({"path": "/schema"}), "on_difference": st.sampled_from(["show", "fail"])},
) | st.just({"with": "env-0", "on_difference": "gate", "group": GROUP})
_monitor = st.just({"for": "10s", "analysis": "signals", "interval": "2s"})
_stage = st.fixed_dictionaries(
    {},
    optional={
        "suites": st.lists(st.sampled_from([*SUITES, "hands"]), unique=True, max_size=3),
        "gates": st.lists(st.sampled_from([GATE, {"change_ticket": "required"}]), max_size=2),
        "strategy": st.one_of(
            st.just("recreate"), st.sets(st.integers(1, 99), max_size=3).map(_canary), _rolling, _blue_green
        ),
        "monitor": _monitor,
        "soak": st.sampled_from(["1s", "30m"]) | _monitor,
    },
)
_environment = st.fixed_dictionaries(
    {"ephemeral": st.booleans(), "replicas": st.integers(1, 5)},
    optional={"gates": st.lists(st.just(GATE), max_size=1), "windows": st.just([WINDOW])},
)


@st.composite
def any_documents(draw: st.DrawFn) -> Documents:
    """Draw a valid pipeline of one to four stages with their environments."""
    names = [f"env-{n}" for n in range(draw(st.integers(1, 4)))]
    stages = [{"environment": name, **draw(_stage)} for name in names]
    for stage in stages[1:]:
        if draw(st.booleans()):
            stage["parity"] = draw(_parity)
    return documents(pipeline(stages), [environment(name, **draw(_environment)) for name in names])

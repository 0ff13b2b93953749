"""Which steps are judged by what."""

from __future__ import annotations

import pytest

from relman_plugins.plan.compile import compile_shape
from relman_plugins.plan.words import describe
from tests.plan.make import documents, environment, pipeline


@pytest.mark.parametrize(
    ("analysis", "at_100"),
    [
        ({"judge": "mann_whitney", "metrics": [{"name": "a", "query": "q"}]}, None),
        ({"judge": "mann_whitney", "against": "before", "metrics": [{"name": "a", "query": "q"}]}, "s"),
        ({"judge": "sequential", "metrics": [{"name": "a", "bad": "b", "total": "t"}]}, None),
        ({"judge": "slo", "metrics": [{"name": "a", "objective": 0.9, "bad": "b", "total": "t"}]}, "s"),
        ({"metrics": [{"name": "a", "query": "q", "max": 1}]}, "s"),
    ],
)
def test_all_of_the_traffic_is_judged_unless_it_needs_an_old_version_beside_it(analysis, at_100):
    stage = {"environment": "a", "strategy": {"canary": {"steps": [50, 100], "analysis": "s"}}}
    spec = pipeline([stage], analyses={"s": {"connection": "m", **analysis}})
    shape = compile_shape(documents(spec, [environment("a", replicas=2)]))
    assert [s.args["analysis"] for s in shape.steps if s.id.startswith("a.canary")] == ["s", at_100]


def test_a_fresh_baseline_stands_beside_all_that_is_compared():
    canary = {"steps": [10, 50, 100], "analysis": "s", "baseline": "fresh"}
    analysis = {"judge": "sequential", "metrics": [{"name": "a", "bad": "b", "total": "t"}]}
    stage = {"environment": "a", "strategy": {"canary": canary}}
    spec = pipeline([stage], analyses={"s": {"connection": "m", **analysis}})
    shape = compile_shape(documents(spec, [environment("a", replicas=2)]))
    steps = [s for s in shape.steps if s.id.startswith("a.canary")]
    assert [s.args.get("baseline") for s in steps] == [True, True, None]
    told = "gives the new version 10 % of the traffic, a fresh baseline of the old one as much, and compares"
    assert describe(shape, steps[0]).startswith(told)

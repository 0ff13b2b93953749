"""Which steps are judged by what."""

from __future__ import annotations

import pytest

from relman_plugins.plan.compile import compile_shape
from relman_plugins.plan.diff import diff, render_text
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


def test_what_a_background_analysis_saw_at_one_weight_goes_on_at_the_next():
    canary = {"steps": [10, 25, 50, 100], "analysis": "s", "background": True}
    analysis = {"judge": "sequential", "metrics": [{"name": "a", "bad": "b", "total": "t"}]}
    stages = [
        {"environment": "a", "name": name, "strategy": {"canary": canary | more}}
        for name, more in (("one", {}), ("two", {}), ("three", {"background": False}))
    ]
    spec = pipeline(stages, analyses={"s": {"connection": "m", **analysis}})
    shape = compile_shape(documents(spec, [environment("a", replicas=2)]))
    weights = {s.id: s for s in shape.steps if "canary" in s.id}
    assert shape.carried_from(weights["two.canary_10"]) == ()
    assert shape.carried_from(weights["two.canary_50"]) == ("two.canary_10", "two.canary_25")
    assert shape.carried_from(weights["three.canary_50"]) == ()
    assert "background" not in weights["two.canary_100"].args
    told = "compares it with the old one by s (5 looks, 1m apart)"
    assert describe(shape, weights["two.canary_10"]).endswith(told)
    assert describe(shape, weights["two.canary_25"]).endswith(
        f"{told}, with all that the weights before showed"
    )


def test_a_canary_whose_weights_are_judged_each_by_itself_again_is_marked():
    sides = []
    for background in (True, False):
        canary = {"steps": [10, 25, 100], "analysis": "s", "background": background}
        analysis = {"judge": "sequential", "metrics": [{"name": "a", "bad": "b", "total": "t"}]}
        spec = pipeline(
            [{"environment": "a", "strategy": {"canary": canary}}],
            analyses={"s": {"connection": "m", **analysis}},
        )
        sides.append(compile_shape(documents(spec, [environment("a", replicas=2)])))
    found = diff(*sides)
    told = (
        "! a.canary_10 background: True -> none (harm that is small at every weight does not add up any more)"
    )
    assert told in render_text(found)
    assert not diff(*reversed(sides)).dangers

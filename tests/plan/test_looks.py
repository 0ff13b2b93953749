"""How often a step looks, by how long ago its first try began."""

from __future__ import annotations

import pytest

from relman_plugins.plan.compile import compile_shape
from relman_plugins.plan.looks import looks_of
from tests.plan.make import documents, environment, pipeline

LIMITS = {"metrics": [{"name": "e", "query": "q", "max": 1, "tolerated_failures": 2}]}
METRIC = {"name": "e", "objective": 0.99, "bad": "b", "total": "t"}
WINDOW = {"long": "1h", "short": "5m", "burn_rate": 2}
BUDGET = {"judge": "slo", "windows": [WINDOW], "metrics": [METRIC]}
BEFORE = {"judge": "mann_whitney", "against": "before", "metrics": [{"name": "e", "query": "q"}]}
HOUR = 3600.0


@pytest.mark.parametrize(
    ("analysis", "age_s", "looks"),
    [
        (LIMITS, 0, 24 * 60),
        (LIMITS, 23 * HOUR, 60),
        (LIMITS, 23 * HOUR + 30, 60),
        (LIMITS, 30 * HOUR, 3),
        (BUDGET, 23 * HOUR, 60),
        (BUDGET, 30 * HOUR, 5),
        (BEFORE, 23 * HOUR, 24 * 60),
    ],
)
def test_a_soak_that_is_tried_again_looks_for_what_is_left(analysis, age_s, looks):
    watched = {"for": "24h", "analysis": "a", "interval": "1m"}
    stage = {"environment": "x", "strategy": "blue_green", "monitor": watched, "soak": watched}
    spec = pipeline([stage], analyses={"a": {"connection": "m", **analysis}})
    shape = compile_shape(documents(spec, [environment("x", replicas=1)]))
    soak, monitor = (shape.step(f"x.{name}") for name in ("soak", "monitor"))
    assert looks_of(soak, shape.analysis("a"), age_s) == looks
    assert looks_of(monitor, shape.analysis("a"), age_s) == 24 * 60

"""Rules that depend on the risk, in the plan and in words."""

from __future__ import annotations

from relman_plugins.plan import words
from relman_plugins.plan.compile import compile_shape
from tests.plan.make import GATE, GROUP, documents, environment, pipeline


def test_a_rule_that_depends_on_the_risk_goes_by_the_weights_of_whoever_wrote_it():
    owners = {"approval": GROUP, "when": "risk >= high"}
    stage = {"environment": "prod", "gates": [{"approval": ["bob"], "when": "risk>low"}]}
    own = {"migrations": ["db/*"], "risk": {"medium": 5}}
    shape = compile_shape(
        documents(pipeline([stage], assess={}), [environment("prod", gates=[owners], assess=own)])
    )
    first, second = (shape.step(f"prod.{name}") for name in ("approval", "approval_2"))
    (rule,) = first.args["rules"]
    assert rule["when"] == {"operator": ">=", "risk": "high", "weighed_by": "prod"}
    assert second.args["rules"][0]["when"] == {"operator": ">", "risk": "low", "weighed_by": ""}
    weighing = shape.environment("prod").weighing
    assert weighing is not None
    assert (weighing.migrations, weighing.risk.medium, weighing.risk.high) == (("db/*",), 5, 50)
    said = words.describe(shape, first)
    assert "release-managers (alice, bob); only if risk >= high by the weights of prod" in said
    assert words.describe(shape, second).startswith("waits for 1 of bob; only if risk > low; after")


def test_where_nothing_is_assessed_the_plan_says_that_such_rules_are_always_asked_for():
    owners = {"approval": GROUP, "when": "risk >= high"}
    shape = compile_shape(
        documents(pipeline([{"environment": "prod"}]), [environment("prod", gates=[owners])])
    )
    assert words.describe(shape, shape.step("prod.approval")).endswith(
        "; no risk is told here, so whatever depends on it is asked for"
    )
    assert (
        compile_shape(documents(pipeline([{"environment": "prod"}]), [environment("prod", gates=[GATE])]))
        .environment("prod")
        .weighing
        is None
    )

"""What differs between two plans, and what of it is dangerous."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given

from relman_plugins.plan.compile import compile_shape
from relman_plugins.plan.diff import diff, render_text
from relman_plugins.plan.model import Options, Shape
from relman_plugins.plan.options import plan_release
from tests.plan.make import GATE, GROUP, PEOPLE, WINDOW, any_documents, documents, environment, pipeline

METRIC = {"name": "errors", "query": "up", "max": 0.1, "tolerated_failures": 1}
CANARY = {"canary": {"steps": [10, 50, 100], "analysis": "signals", "interval": "2s", "count": 3}}
TICKET = {"change_ticket": "required"}
MONITOR = {"for": "10s", "analysis": "signals", "interval": "2s"}
STAGES: list[dict[str, Any]] = [
    {"environment": "qa", "suites": ["unit"]},
    {
        "environment": "prod",
        "suites": ["smoke"],
        "gates": [{**GATE, "quorum": 2, "valid_for": "2h"}, {"approval": "owners"}, TICKET],
        "strategy": CANARY,
        "monitor": MONITOR,
        "soak": "30m",
    },
]
SPEC = pipeline(STAGES, analyses={"signals": {"connection": "m", "metrics": [METRIC]}})
ENVIRONMENTS = [environment("qa"), environment("prod", windows=[WINDOW], outlasting="wait", replicas=2)]


@pytest.fixture(autouse=True)
def owners(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PEOPLE, "groups", {**PEOPLE["groups"], "owners": ["bob", "alice"]})


def shape(change: Any = None, spec: dict[str, Any] = SPEC) -> Shape:
    """Compile the spec after ``change`` was made to copies of spec and environments."""
    spec, environments = copy.deepcopy(spec), copy.deepcopy(ENVIRONMENTS)
    if change:
        change(spec, {e["metadata"]["name"]: e for e in environments})
    return compile_shape(documents(spec, environments))


def prod(**fields: Any) -> Any:
    return lambda spec, _: spec["stages"][1].update(fields)


def metric(**fields: Any) -> Any:
    return lambda spec, _: spec["analyses"]["signals"]["metrics"][0].update(fields)


def without(key: str) -> Any:
    return lambda spec, _: spec["stages"][1].pop(key)


DANGERS = [
    (prod(gates=[{"approval": "owners"}]), "! prod approval of release-managers: removed (a gate is removed"),
    (prod(gates=[{**GATE, "quorum": 1}, {"approval": "owners"}]), "quorum: 2 -> 1 (quorum lowered"),
    (
        prod(
            gates=[
                {**GATE, "quorum": 2, "valid_for": "2h"},
                {"approval": "owners", "when": "risk > low"},
                TICKET,
            ]
        ),
        "rules: none -> only if risk > low (at some risks a rule is not asked for)",
    ),
    (
        prod(gates=[{**GATE, "quorum": 2, "valid_for": "3h"}, {"approval": "owners"}, TICKET]),
        "valid_for_s: 7200 -> 10800 (an old approval holds longer)",
    ),
    (lambda _, e: e["prod"].pop("windows"), "! prod.window: removed (a gate is removed"),
    (
        lambda _, e: e["prod"].pop("outlasting"),
        "! prod.window outlasting: wait -> none (a change begins that will not be over when",
    ),
    (without("soak"), "! prod.soak: removed (the version no longer stays here"),
    (prod(soak="1m"), "! prod.soak for_s: 1800 -> 60 (lowered)"),
    (
        prod(gates=[{**GATE, "quorum": 2, "valid_for": "2h"}, {"approval": "owners"}]),
        "! stage prod change ticket: required -> not required (a gate is removed: releases need no ticket)",
    ),
    (without("suites"), "! prod.smoke: removed (its tests run no more)"),
    (without("monitor"), "! prod.monitor: removed (nothing watches"),
    (without("strategy"), "! stage prod traffic: 10 %, 50 %, 100 % -> all at once (the first share grows"),
    (
        prod(strategy={"canary": {**CANARY["canary"], "analysis": None}}),
        "prod.canary_10 analysis: signals -> none",
    ),
    (prod(strategy={"canary": {**CANARY["canary"], "steps": [50, 100]}}), "grows from 10 % to 50 %"),
    (lambda s, _: s["stages"].pop(0), "! stage qa: removed (its gates and suites"),
    (metric(max=0.2), "! analysis signals metric errors max: 0.1 -> 0.2 (limit loosened)"),
    (metric(tolerated_failures=2), "tolerated_failures: 1 -> 2 (more failures tolerated)"),
    (lambda s, _: s["suites"]["unit"].update(max_failures=3), "! qa.unit max_failures: 0 -> 3 (raised)"),
    (lambda s, _: s["suites"]["unit"].update(min_tests=0), "! qa.unit min_tests: 1 -> 0 (lowered)"),
    (lambda s, _: s["suites"]["unit"].update(retries=2), "! qa.unit retries: 0 -> 2 (raised)"),
]
REPORTS = {
    "max_flaky": 1,
    "coverage": {"lcov": "c.info", "min_line": "80%"},
    "findings": {"sarif": "s.sarif", "max": {"low": 3}, "new_only": False},
    "load": {"k6": "k.json", "max_p95": "300ms"},
}
WEAKER_REPORTS = [
    ({"max_flaky": None}, "! qa.unit max_flaky: 1 -> none (no limit any more)"),
    ({"coverage": None}, "! qa.unit coverage path: c.info -> none (this report is read no more)"),
    (
        {"coverage": {"lcov": "c.info", "min_line": "79.5%"}},
        "! qa.unit coverage min_line: 80.0 -> 79.5 (lowered)",
    ),
    ({"findings": {"sarif": "s.sarif", "max": {"low": 9}, "new_only": False}}, "max low: 3 -> 9 (raised)"),
    (
        {"findings": {"sarif": "s.sarif", "max": {"low": 3}}},
        "! qa.unit findings new_only: False -> True (known findings no longer count)",
    ),
    ({"load": {"k6": "k.json"}}, "! qa.unit load max_p95: 300.0 -> none (no limit any more)"),
]
HARMLESS = [
    (prod(gates=[*STAGES[1]["gates"], GATE]), "+ prod approval of release-managers (2): added"),
    (prod(gates=[{"approval": "owners"}, {**GATE, "quorum": 2, "valid_for": "2h"}, TICKET]), ""),
    (prod(strategy={"canary": {**CANARY["canary"], "steps": [5, 50, 100]}}), "~ stage prod traffic: 10 %, "),
    (prod(suites=["smoke", "load"]), "+ prod.load: added"),
    (lambda _, e: e["prod"].update(replicas=5), "~ environment prod replicas: 2 -> 5"),
    (lambda _, e: e["qa"].update(connection="other"), "~ environment qa connection: relman_sandbox -> other"),
    (metric(max=0.05), "~ analysis signals metric errors max: 0.1 -> 0.05"),
    (lambda s, _: s.update(notify={"slack": "#x"}), "~ release slack_channel: none -> #x"),
    (lambda s, _: s["stages"].reverse(), "~ release order of stages: qa, prod -> prod, qa"),
    (lambda s, _: s["artifact"].update(source="../other"), "~ build source: ../shop -> ../other"),
]


@pytest.mark.parametrize(("change", "line"), DANGERS)
def test_what_makes_a_release_less_safe_is_marked(change, line):
    found = diff(shape(), shape(change))
    assert found.dangers
    assert line in render_text(found)
    assert f"{len(found.dangers)} dangerous" in render_text(found)


@pytest.mark.parametrize(("change", "line"), WEAKER_REPORTS)
def test_weaker_limits_on_reports_are_marked_and_stricter_ones_are_not(change, line):
    before = shape(lambda s, _: s["suites"]["unit"].update(REPORTS))
    after = shape(lambda s, _: s["suites"]["unit"].update({**REPORTS, **change}))
    assert line in render_text(diff(before, after))
    assert not diff(after, before).dangers


@pytest.mark.parametrize(("change", "line"), DANGERS)
def test_the_way_back_is_not_dangerous(change, line):
    back = diff(shape(change), shape())
    assert back.differences
    assert not back.dangers


@pytest.mark.parametrize(("change", "line"), HARMLESS)
def test_what_does_not_is_shown(change, line):
    found = diff(shape(), shape(change))
    assert not found.dangers
    assert line in render_text(found)
    assert bool(found.differences) == bool(line)


def test_a_limit_in_place_of_another_is_one_less():
    found = diff(shape(), shape(metric(max=None, min=0)))
    assert "max: 0.1 -> none (limit loosened)" in render_text(found)
    assert [d.what for d in found.dangers] == ["max"]


def test_people_who_come_and_go_are_named_and_another_user_for_somebody_is_dangerous(monkeypatch):
    before = shape()
    monkeypatch.setitem(PEOPLE, "groups", {**PEOPLE["groups"], "owners": ["bob"]})
    said = render_text(diff(before, shape()))
    assert "~ prod approval of owners people: bob (bob), alice (alice) -> bob (bob)" in said
    monkeypatch.setitem(PEOPLE, "people", {**PEOPLE["people"], "bob": {"airflow": "mallory"}})
    found = diff(before, shape())
    assert {d.danger for d in found.dangers} == {"somebody answers as another user"}


def test_options_differ_when_two_plans_are_compared():
    one, two = (plan_release(shape(), Options(version=v)) for v in ("1.0.0", "1.1.0"))
    assert render_text(diff(one, two)).endswith("~ release version: 1.0.0 -> 1.1.0\n")
    assert not diff(one.shape, two.shape).differences


def test_another_order_of_suites_is_a_difference():
    one, two = (shape(prod(suites=names)) for names in (["smoke", "unit"], ["unit", "smoke"]))
    assert "order of suites: prod.smoke, prod.unit -> prod.unit, prod.smoke" in render_text(diff(one, two))


def test_a_comparison_that_may_end_early_is_marked():
    compared = {"judge": "sequential", "connection": "m"}
    counts = {"name": "errors", "bad": "b{v=$version}[$window]", "total": "t{v=$version}[$window]"}
    specs = [
        pipeline(
            [{"environment": "prod", "strategy": CANARY}],
            analyses={"signals": {**compared, "metrics": [counts], "early_pass": early}},
        )
        for early in (False, True)
    ]
    found = render_text(diff(*(shape(spec=spec) for spec in specs)))
    assert "early_pass: False -> True (may end before its last look)" in found


SAMPLE = {"name": "p99", "query": "s{v=$version}"}
OBJECTIVE = {"name": "a", "objective": 0.999, "bad": "b[$window]", "total": "t[$window]"}
HOUR = {"long": "1h", "short": "5m", "burn_rate": 14.4}


@pytest.mark.parametrize(
    ("judge", "before", "after", "said"),
    [
        ("mann_whitney", {"confidence": 0.98}, {"confidence": 0.99}, "harm must be more certain"),
        ("mann_whitney", {"early_fail": True}, {}, "harm is found later"),
        ("mann_whitney", {}, {"thresholds": {"marginal": 50}}, "the score is made in another way"),
        ("mann_whitney", {}, {"metrics": [{**SAMPLE, "muted": True}]}, "does not decide any more"),
        ("mann_whitney", {"metrics": [{**SAMPLE, "critical": True}]}, {}, "one metric alone does not stop"),
        (
            "mann_whitney",
            {},
            {"metrics": [{**SAMPLE, "direction": "decrease"}]},
            "the other direction passes",
        ),
        ("slo", {}, {"metrics": [{**OBJECTIVE, "objective": 0.99}]}, "more may be bad"),
        ("slo", {}, {"windows": [HOUR]}, "the budget may burn faster, or longer"),
        ("slo", {"windows": [HOUR]}, {"windows": [{**HOUR, "burn_rate": 20.0}]}, "burn faster, or longer"),
        ("slo", {"windows": [HOUR]}, {"windows": [{**HOUR, "burn_rate": 2.0}]}, None),
    ],
)
def test_a_judge_that_lets_more_pass_is_marked(judge, before, after, said):
    metrics = [SAMPLE if judge == "mann_whitney" else OBJECTIVE]
    specs = [
        pipeline(
            [{"environment": "prod", "strategy": CANARY}],
            analyses={"signals": {"judge": judge, "connection": "m", "metrics": metrics, **terms}},
        )
        for terms in (before, after)
    ]
    found = diff(*(shape(spec=spec) for spec in specs))
    assert len(found.differences) == 1, render_text(found)
    assert (said in found.differences[0].danger) if said else not found.dangers


@given(any_documents())
def test_nothing_differs_from_itself(docs):
    one = compile_shape(docs)
    assert render_text(diff(one, one.model_copy(deep=True))) == "shop: no difference\n"


@given(any_documents(), any_documents())
def test_any_two_plans_can_be_compared_and_equal_ones_are_equal(one, two):
    shapes = [compile_shape(d) for d in (one, two)]
    found = diff(*shapes)
    digestless = [s.model_dump(exclude={"spec_digest"}) for s in shapes]
    assert bool(found.differences) == (digestless[0] != digestless[1])
    assert render_text(found)


def test_who_may_break_the_glass_and_for_which_rule_is_dangerous():
    glass = {"group": GROUP, "follow_up": {"approval": GROUP}}
    before = shape(lambda _, e: e["prod"].update(gates=[GATE]))

    def opened(_, environments):
        environments["prod"].update(gates=[{**GATE, "waivable": True}], break_glass=glass)

    found = diff(before, shape(opened))
    assert {d.danger for d in found.dangers} == {
        "an emergency may skip it",
        "look who may skip rules in an emergency",
    }
    assert not diff(shape(opened), before).dangers


def test_how_the_risk_is_told_is_dangerous_only_where_rules_depend_on_it():
    risky = {"approval": "owners", "when": "risk > low"}

    def weighed(points: int, gates: Any, owners: Any) -> Any:
        def change(spec, environments):
            spec["assess"] = {"risk": {"medium": points, "high": 99}}
            spec["stages"][1]["gates"] = gates
            environments["prod"].update(gates=owners, assess={"risk": {"medium": points, "high": 99}})

        return shape(change)

    told = "the risk is told in another way, and rules depend on it"
    for gates, owners, where in (
        ([GATE], [], []),
        ([risky], [], ["step assess"]),
        ([], [risky], ["environment prod"]),
    ):
        found = diff(weighed(20, gates, owners), weighed(21, gates, owners))
        assert [(d.where, d.danger) for d in found.dangers] == [(place, told) for place in where]

"""How long a release waits on purpose, and how long a defect goes on at worst."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from relman_plugins.plan.compile import compile_shape
from relman_plugins.plan.model import Shape
from relman_plugins.plan.text import timing
from relman_plugins.plan.times import MINIMUM_DEFERRAL_S, minimum_time, rollback_time, starts_again
from relman_plugins.provider_info import get_provider_info
from tests.plan.make import any_documents, documents, environment, pipeline

QUICK = {"analysis": "signals", "interval": "2s", "count": 3}
SLOW = {"analysis": "signals", "interval": "1m", "count": 5}
MONITOR = {"for": "1h", "analysis": "signals", "interval": "30s"}


def planned(tolerated: int = 0, suites: bool = False, retries: int = 0, **stage: Any) -> Shape:
    metric = {"name": "e", "query": "up", "max": 1, "tolerated_failures": tolerated}
    analyses = {"signals": {"connection": "m", "metrics": [metric]}}
    more = {"suites": ["smoke"]} if suites else {}
    spec = pipeline([{"environment": "a", **more, **stage}], analyses=analyses)
    spec["suites"]["smoke"] = {**spec["suites"]["smoke"], "timeout": "2m", "retries": retries}
    return compile_shape(documents(spec, [environment("a", replicas=2)]))


def canary(settings: dict[str, Any]) -> dict[str, Any]:
    return {"canary": {"steps": [10, 100], **settings}}


@pytest.mark.parametrize(
    ("stage", "seconds"),
    [
        ({}, 0),
        ({"monitor": MONITOR}, 3600),
        ({"soak": "30m"}, 1800),
        ({"soak": "1s"}, 8),
        ({"soak": "30m", "monitor": MONITOR}, 5400),
        ({"soak": MONITOR}, 3600),
        ({"soak": MONITOR, "monitor": MONITOR}, 7200),
        ({"soak": MONITOR, "strategy": {"blue_green": {"keep": "10m"}}}, 600 + 3600),
        ({"monitor": {**MONITOR, "for": "50s"}}, 60),
        ({"monitor": {**MONITOR, "for": "4s", "interval": "2s"}}, 8),
        ({"strategy": "rolling"}, 0),
        ({"strategy": "rolling", "monitor": MONITOR}, 3600),
        ({"strategy": {"canary": {"steps": [10, 100]}}}, 0),
        ({"strategy": canary(QUICK)}, 2 * 8),
        ({"strategy": canary(SLOW)}, 2 * 300),
        ({"strategy": canary(QUICK), "monitor": MONITOR}, 2 * 8 + 3600),
        ({"strategy": {"blue_green": {"keep": "1s"}}}, 8),
        ({"strategy": {"blue_green": {"keep": "10m"}}}, 600),
        ({"strategy": {"blue_green": {**SLOW, "keep": "10m"}}}, 600),
        ({"strategy": {"blue_green": {**SLOW, "keep": "302s"}}}, 308),
        ({"strategy": {"blue_green": {**QUICK, "keep": "5s"}}}, 8),
        ({"strategy": {"blue_green": {**QUICK, "keep": "10m"}}, "monitor": MONITOR}, 8 + 3600),
    ],
)
def test_what_is_waited_for_on_purpose(stage, seconds):
    assert minimum_time(planned(**stage)) == seconds


@pytest.mark.parametrize(
    ("stage", "seconds"),
    [
        ({}, None),
        ({"strategy": "rolling"}, None),
        ({"strategy": "blue_green"}, None),
        ({"monitor": MONITOR}, 30),
        ({"monitor": MONITOR, "tolerated": 2}, 90),
        ({"monitor": MONITOR, "suites": True}, 120 + 30),
        ({"soak": MONITOR}, 30),
        ({"soak": MONITOR, "suites": True}, 120 + 30),
        ({"soak": {**MONITOR, "interval": "3m"}, "monitor": MONITOR, "suites": True}, 180),
        ({"soak": MONITOR, "strategy": {"blue_green": {**QUICK, "keep": "10m"}}}, 600 - 6 + 30),
        ({"strategy": canary(SLOW)}, 60),
        ({"strategy": canary(SLOW), "tolerated": 1}, 120),
        ({"strategy": canary(QUICK)}, 2 + 2),
        ({"strategy": {"blue_green": QUICK}}, 2),
        ({"strategy": {"blue_green": QUICK}, "monitor": {**MONITOR, "interval": "3s"}}, 2 + 3),
        ({"strategy": {"blue_green": QUICK}, "monitor": MONITOR, "suites": True}, 2 + 120 + 30),
    ],
)
def test_how_long_a_defect_goes_on(stage, seconds):
    assert rollback_time(planned(**stage)) == seconds


def test_a_suite_that_is_tried_again_holds_the_monitor_up_as_often():
    assert rollback_time(planned(suites=True, retries=2, monitor=MONITOR)) == 3 * 120 + 30


@pytest.mark.parametrize(("settings", "seconds"), [(QUICK, 2 + 6), (SLOW, 300)])
def test_a_comparison_may_take_all_its_looks_and_ask_people_then(settings, seconds):
    compared = {
        "judge": "sequential", "connection": "m", "metrics": [{"name": "e", "bad": "b", "total": "t"}]
    }  # fmt: skip
    stage = {"environment": "a", "strategy": {"canary": {"steps": [10, 20, 100], **settings}}}
    spec = pipeline([stage], analyses={"signals": compared})
    shape = compile_shape(documents(spec, [environment("a", replicas=2)]))
    assert rollback_time(shape) == seconds
    told = dict(timing(shape))["worst-case time to roll back"]
    assert told.endswith("from a defect that every look sees, or people are asked")
    limits = planned(strategy=canary(SLOW))
    assert "people" not in dict(timing(limits))["worst-case time to roll back"]


@pytest.mark.parametrize(
    ("objective", "windows", "seconds"),
    [
        # All bad burns at 1,000, so an hour at 14.4 after 52 s; the five minutes are not full before.
        (0.999, [("1h", "5m", 14.4, "page")], 300 + 30),
        (0.99, [("1h", "5m", 14.4, "page")], 3600 * 0.144 + 30),
        (0.99, [("1h", "5m", 14.4, "page"), ("10m", "1m", 6.0, "page")], 60 + 30),
        (0.99, [("1h", "5m", 14.4, "ticket")], 3600),
        (0.9, [("1h", "5m", 14.4, "page")], 3600),
    ],
)
def test_an_error_budget_is_noticed_when_its_windows_can_burn(objective, windows, seconds):
    keys = ("long", "short", "burn_rate", "severity")
    budget = {
        "judge": "slo", "connection": "m", "windows": [dict(zip(keys, w, strict=True)) for w in windows],
        "metrics": [{"name": "a", "objective": objective, "bad": "b", "total": "t"}],
    }  # fmt: skip
    spec = pipeline([{"environment": "a", "monitor": MONITOR}], analyses={"signals": budget})
    shape = compile_shape(documents(spec, [environment("a", replicas=2)]))
    assert rollback_time(shape) == pytest.approx(seconds)


def test_a_watched_soak_has_no_standby_any_more():
    assert starts_again(planned(strategy="blue_green", soak=MONITOR))
    assert not starts_again(planned(strategy="blue_green", monitor=MONITOR, soak="30m"))


@pytest.mark.parametrize(
    ("strategy", "again"), [("recreate", True), ("rolling", True), ("blue_green", False)]
)
def test_going_back_without_a_standby_takes_a_start(strategy, again):
    shape = planned(strategy=strategy, monitor=MONITOR)
    assert starts_again(shape) is again
    assert (
        "plus starting the old version again" in dict(timing(shape))["worst-case time to roll back"]
    ) is again


@given(any_documents())
def test_a_smaller_deferral_never_makes_it_longer(docs):
    shape = compile_shape(docs)
    assert minimum_time(shape, 0) <= minimum_time(shape)
    assert (rollback_time(shape, 0) or 0) <= (rollback_time(shape) or 0)


def test_the_default_is_that_of_the_setting():
    option = get_provider_info()["config"]["relman"]["options"]["minimum_deferral"]
    assert float(option["default"]) == MINIMUM_DEFERRAL_S

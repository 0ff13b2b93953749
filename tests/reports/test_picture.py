"""Pictures of analyses: what is drawn of each judge, from fixed records and from hostile ones."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as some

from relman_plugins.domain.event import Event, Kind
from relman_plugins.domain.identity import Actor
from relman_plugins.plan.judges import (
    BudgetPlan,
    BurnWindowPlan,
    ObjectivePlan,
    SampledMetricPlan,
    SampledPlan,
)
from relman_plugins.plan.model import AnalysisPlan, ComparedPlan, ComparisonPlan, MetricPlan, Shape
from relman_plugins.reports.picture import MOST_POINTS, Picture, picture_of, pictures_of
from relman_plugins.reports.svg import svg
from relman_plugins.reports.table import table

STEP, SVG = "production.canary_10", "{http://www.w3.org/2000/svg}"
GOLDEN = Path(__file__).parent / "golden"
LIMITS = AnalysisPlan(
    name="signals", connection="m", metrics=(MetricPlan(name="errors", query="q", max=0.05, unit="ratio"),)
)
BESIDE = AnalysisPlan(
    name="signals",
    connection="m",
    comparison=ComparisonPlan(
        metrics=(ComparedPlan(name="errors", bad="b", total="t", max=0.5),),
        false_alarms=0.02,
        tolerance=0.25,
        undecided="pass",
        early_pass=False,
    ),
)
SAMPLES = AnalysisPlan(
    name="signals",
    connection="m",
    sampled=SampledPlan(metrics=(SampledMetricPlan(name="p99", query="q"),), terms={}, early_fail=False),
)
BUDGET = AnalysisPlan(
    name="signals",
    connection="m",
    budget=BudgetPlan(
        metrics=(ObjectivePlan(name="available", objective=0.999, bad="b", total="t"),),
        windows=(BurnWindowPlan(long_s=3600, short_s=300, burn_rate=14.4, severity="page"),),
    ),
)
LOOKS: dict[str, tuple[AnalysisPlan, list[dict[str, Any]]]] = {
    "thresholds": (LIMITS, [{"name": "errors", "value": v} for v in (0.01, None, 0.2)]),
    "sequential": (
        BESIDE,
        [
            {"name": "errors", "control": [1, 200], "experiment": [1, 20], "interval": [0.2, 40.0]},
            {"name": "errors", "control": [2, 400], "experiment": [20, 40], "interval": [4.0, 160.0]},
        ],
    ),
    "mann_whitney": (
        SAMPLES,
        [{"name": "p99", "control": 0.2, "experiment": e} for e in (0.21, None, 0.9, 0.8)],
    ),
    "slo": (
        BUDGET,
        [{"name": "available", "windows": {"300": [n, 1000], "3600": [n, 4000]}} for n in (0, 5, 90)],
    ),
}


def shape(*analyses: AnalysisPlan) -> Shape:
    return Shape(
        pipeline="checkout", owner="o", description="", service="checkout", spec_digest="d", steps=(),
        environments=(), analyses=analyses,
    )  # fmt: skip


def event(n: int, kind: Kind, key: str, **data: Any) -> Event:
    return Event(
        id=n, release_id="checkout-1.2.0-1", kind=kind, key=key, at=datetime(2026, 3, 2, tzinfo=UTC),
        step=STEP, environment="production", actor=Actor(), data=data,
    )  # fmt: skip


def told(looks: list[dict[str, Any]], verdict: str | None = "fail", run: str = "try1") -> list[Event]:
    about = {"analysis": "signals", "weight": 10}
    said = {"verdict": "inconclusive", "reason": "so far"}
    found = [
        event(n, Kind.ANALYSIS_MEASURED, f"{run}:look{n}", **about, look=n, metrics=[said | look])
        for n, look in enumerate(looks, start=1)
    ]
    if verdict:
        ended = {"verdict": verdict, "reason": "harm is certain", "looks": len(looks)}
        found.append(event(len(found) + 1, Kind.ANALYSIS_FINISHED, f"{run}:finished", **about, **ended))
    return found


def drawn(judge: str) -> Picture:
    plan, looks = LOOKS[judge]
    change = event(0, Kind.CHANGE_STARTED, "c", previous={"version": "1.1.0", "digest": "d", "uri": "u"})
    built = event(0, Kind.ARTIFACT_BUILT, "b", revision={"version": "1.2.0"})
    found = picture_of("checkout-1.2.0-1", shape(plan), [built, change, *told(looks)], STEP)
    assert found is not None
    return found


@pytest.mark.parametrize("judge", LOOKS)
def test_each_judge_has_its_picture_and_its_numbers(judge: str) -> None:
    picture = drawn(judge)
    text = svg(picture)
    shown = "\n".join(table(picture)) + "\n"
    for golden, found in ((f"{judge}.svg", text), (f"{judge}.txt", shown)):
        if os.environ.get("RELMAN_UPDATE_GOLDEN") == "1":
            (GOLDEN / golden).write_text(found)
        assert found == (GOLDEN / golden).read_text()
    assert svg(Picture.model_validate(picture.model_dump(mode="json"))) == text
    assert ElementTree.fromstring(text).tag == f"{SVG}svg"


def test_what_was_seen_is_what_is_drawn() -> None:
    (panel,) = drawn("sequential").panels
    new, old, tolerated, limit = panel.lines
    assert new.points == (5.0, 50.0)
    assert old.points == (0.5, 0.5)
    assert tolerated.points == (0.625, 0.625)
    assert limit.points == (50.0, 50.0)
    assert panel.band == ((0.1, 20.0), (2.0, 80.0))
    assert drawn("sequential").versions == ("1.2.0", "1.1.0")
    (budget,) = drawn("slo").panels
    assert budget.lines[0].points == (0.0, pytest.approx(5.0), pytest.approx(90.0))


@pytest.mark.parametrize("judge", ["sequential", "mann_whitney"])
def test_a_fresh_baseline_is_not_called_old(judge: str) -> None:
    plan, looks = LOOKS[judge]
    fresh = [look | {"against": "fresh baseline"} for look in looks]
    found = picture_of("r", shape(plan), told(fresh), STEP)
    assert found is not None
    names = [line.name for line in found.panels[0].lines]
    assert names[:2] == ["new", "baseline"]
    assert not [name for name in names if "old" in name]


def test_of_several_tries_the_last_is_drawn_and_a_comparison_is_one() -> None:
    first, second = told(LOOKS["thresholds"][1], None), told(LOOKS["thresholds"][1][:1], "pass", "try2")
    found = picture_of("r", shape(LIMITS), [*first, *second], STEP)
    assert found is not None
    assert (found.looks, found.verdict) == ((1,), "pass")
    looks = LOOKS["sequential"][1]
    events = [*told(looks[:1], None), *told(looks, "fail", "try2")[1:]]
    both = picture_of("r", shape(BESIDE), events, STEP)
    assert both is not None
    assert both.looks == (1, 2)


def test_a_watch_of_weeks_is_thinned_and_keeps_its_ends() -> None:
    looks = [{"name": "errors", "value": n / 1000} for n in range(5000)]
    found = picture_of("r", shape(LIMITS), told(looks), STEP)
    assert found is not None
    assert len(found.looks) <= MOST_POINTS + 2
    assert (found.looks[0], found.looks[-1]) == (1, 5000)
    assert len(svg(found)) < 20_000


def test_nothing_measured_is_no_picture() -> None:
    assert picture_of("r", shape(LIMITS), [], STEP) is None
    assert list(pictures_of("r", shape(LIMITS), told([], "no_data"))) == []
    assert picture_of("r", shape(), told(LOOKS["thresholds"][1]), STEP) is None


HOSTILE = some.text(max_size=40) | some.sampled_from(
    [
        "<script>alert(1)</script>",
        '" onload="x',
        "]]>",
        "&#0;",
        "\x00\x08\ufffe\ud800",
        "\u202e</text><a href='x'>",
    ]
)


@given(
    HOSTILE,
    HOSTILE,
    some.one_of(some.none(), some.floats(), some.integers(), HOSTILE, some.lists(some.none())),
)
def test_hostile_records_make_no_more_than_a_picture(name: str, reason: str, value: Any) -> None:
    for judge, (plan, _) in LOOKS.items():
        look = {"name": name, "reason": reason, "value": value, "control": value, "experiment": value}
        found = picture_of(
            reason, shape(plan), told([look | {"interval": [value, value], "windows": value}]), STEP
        )
        assert found is not None, judge
        root = ElementTree.fromstring(svg(found))
        tags = {e.tag.removeprefix(SVG) for e in root.iter()}
        assert tags <= {"svg", "rect", "line", "polyline", "polygon", "circle", "text"}
        allowed = (
            "role",
            "aria-label",
            "viewBox",
            "width",
            "height",
            "x",
            "y",
            "x1",
            "x2",
            "y1",
            "y2",
            "cx",
            "cy",
            "r",
        )
        drawn = (
            "fill",
            "fill-opacity",
            "stroke",
            "stroke-width",
            "stroke-dasharray",
            "points",
            "text-anchor",
        )
        fonts = ("font-family", "font-size", "font-weight")
        assert {a for e in root.iter() for a in e.attrib} <= {*allowed, *drawn, *fonts}
        assert all(line.isprintable() for line in table(found))

"""A release beside earlier ones: usual is a median, and slower is said in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman_plugins.domain.event import Event, Kind
from relman_plugins.domain.identity import Actor
from relman_plugins.reports.comparison import comparison_of
from relman_plugins.reports.facts import report_of
from relman_plugins.reports.html import html
from relman_plugins.reports.markdown import markdown
from relman_plugins.reports.model import ReleaseReport
from tests.reports.test_report import START, events, record


def of(seconds: float, tests: int = 3) -> list[Event]:
    """A release whose stage qa takes so long."""
    told = [
        (0.0, Kind.RELEASE_OPENED, None, {"version": "1.2.0"}),
        (1.0, Kind.STEP_STARTED, "qa.unit", {"kind": "suite"}),
        (
            1.0 + seconds,
            Kind.SUITE_FINISHED,
            "qa.unit",
            {"suite": "unit", "tests": tests, "seconds": seconds},
        ),
        (1.0 + seconds, Kind.STEP_FINISHED, "qa.unit", {}),
        (2.0 + seconds, Kind.RELEASE_CLOSED, "close", {"outcome": "succeeded"}),
    ]
    return [
        Event(
            id=n, release_id="checkout-1.2.0-1", kind=kind, key=f"k{n}", at=START + timedelta(seconds=at),
            step=step, environment="qa" if step else None, actor=Actor(), data=data,
        )
        for n, (at, kind, step, data) in enumerate(told, start=1)
    ]  # fmt: skip


def compared(seconds: float, before: Sequence[float]) -> ReleaseReport:
    return report_of(record(), of(seconds), [report_of(record(), of(b)) for b in before])


def test_slower_is_said_in_numbers_with_its_definition() -> None:
    report = compared(300, [100, 120, 2000])
    assert report.comparison is not None
    row = next(r for r in report.comparison.rows if r.what == "stage qa")
    assert (row.value, row.usual, row.least, row.most, row.of, row.slower) == (300, 120, 100, 2000, 3, True)
    said = (
        "stage qa took 5 min; usual is 2 min (median of the last 3 successful releases that have it), "
        "150% more"
    )
    assert f"{said}: what was different?" in report.retrospective.questions
    told = markdown(report)
    assert "## Compared with the last 3 successful releases" in told
    assert "| stage qa | 5 min | 2 min | 2 min to 33 min | 3 | slower |" in told
    assert "| tests | 3 | 3 | 3 to 3 | 3 |  |" in told
    assert "Slower means: more than a quarter and more than 10 s above it" in told
    assert "Compared with the last 3 successful releases" in html(report)


@pytest.mark.parametrize(
    ("seconds", "before"),
    [(300, [100, 100]), (109, [100] * 5), (124, [100] * 5), (1, [0] * 5), (99, [100] * 5)],
)
def test_little_more_or_little_to_compare_with_is_not_slower(seconds: float, before: list[float]) -> None:
    report = compared(seconds, before)
    assert report.comparison is not None
    assert not any(r.slower for r in report.comparison.rows)
    assert not any("usual" in question for question in report.retrospective.questions)


def test_what_earlier_releases_do_not_have_is_compared_with_nothing() -> None:
    bad = report_of(record(), events())
    found = comparison_of(bad, [report_of(record(), of(10))])
    assert found is not None
    served = next(r for r in found.rows if r.what == "requests served by the withdrawn version")
    assert (served.value, served.usual, served.of) == (14, None, 0)
    assert comparison_of(bad, []) is None
    assert "Compared" not in markdown(bad) + html(bad)


@given(st.integers(0, 10**6), st.lists(st.integers(0, 10**6), min_size=1, max_size=12))
def test_a_comparison_is_within_what_was_seen(seconds: int, before: list[int]) -> None:
    report = compared(seconds, before)
    assert report.comparison is not None
    for row in report.comparison.rows:
        assert row.usual is None or (row.least or 0) <= row.usual <= (row.most or 0)
        if row.slower:
            assert row.usual is not None
            assert row.value > row.usual
            assert row.of >= 3
    suite = next(r for r in report.comparison.rows if r.what == "suite unit in qa")
    assert suite.usual == median(before)
    assert ReleaseReport.model_validate_json(report.model_dump_json()) == report

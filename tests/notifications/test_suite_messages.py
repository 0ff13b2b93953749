"""What is said of a suite: totals, flaky tests by name, and what its other reports say."""

from __future__ import annotations

from typing import Any

from relman_plugins.domain.event import Kind
from tests.notifications.test_messages import event, said, thread_message

SCAN = {"kind": "findings", "passed": False, "reason": "1 high; 1 new; first: <!channel> in a.py:1"}


def suite(**data: Any) -> str:
    return said(Kind.SUITE_FINISHED, **({"suite": "unit", "tests": 3, "seconds": 1.5, "passed": True} | data))


def test_flaky_tests_are_named_and_tries_counted() -> None:
    text = suite(flakes=1, tries=2, flaky=[{"name": "t.b", "message": "timeout"}])
    assert "✅ unit" in text
    assert "3 tests, 1 flaky in" in text
    assert ", 2 tries" in text
    assert "flaky: t.b timeout" in text


def test_hundreds_of_flaky_and_failed_tests_leave_room_for_what_reports_say() -> None:
    tests = [{"name": f"tests.test_{i}", "message": "y" * 900} for i in range(50)]
    text = suite(
        passed=False, tests=900, failures=400, failed=tests, flakes=300, flaky=tests,
        reports=[SCAN, {"kind": "coverage", "passed": True, "reason": "81 % of 90 lines covered"}],
    )  # fmt: skip
    assert "❌ findings: 1 high; 1 new" in text
    assert "✅ coverage: 81 % of 90 lines covered" in text
    assert "… and 390 more" in text
    assert "… and 290 more" in text


def test_what_a_scanner_says_calls_nobody() -> None:
    told = thread_message(event(Kind.SUITE_FINISHED, suite="scan", passed=False, reports=[SCAN]))
    assert told is not None
    assert "&lt;!channel&gt;" in str(told.blocks)
    assert "<!channel>" not in str(told.blocks)


def test_a_suite_without_tests_says_so() -> None:
    text = suite(tests=0, passed=False, reports=[SCAN])
    assert "no tests in" in text
    assert "0 tests" not in text

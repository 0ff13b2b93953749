"""JUnit XML: what a test suite says about itself.

Counts come from the test cases themselves, whatever the dialect; failures are raised to what a suite claims
in its attributes, so that neither the cases nor the summary can be greener than the other. A test that failed
and then passed within one run (Maven Surefire's ``flakyFailure`` and ``flakyError``) is flaky.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import Field

from relman_plugins.clients.reports import source as files
from relman_plugins.clients.reports.source import MAX_BYTES, MAX_DEPTH, MAX_TEXT
from relman_plugins.domain.base import Frozen
from relman_plugins.errors import ClientRejected

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = ["BAD", "MAX_BYTES", "MAX_DEPTH", "MAX_FAILED", "MAX_TEXT", "Case", "NamedTest", "State",
           "SuiteReport", "read", "tally"]  # fmt: skip

MAX_FAILED = 500
"""How many failed tests, and how many flaky ones, are kept by name; all are counted."""


class State(StrEnum):
    """How a test ended."""

    PASSED = "passed"
    SKIPPED = "skipped"
    FLAKY = "flaky"
    """It failed, and passed when it was tried again."""
    FAILED = "failed"
    """Its assertion failed."""
    BROKEN = "broken"
    """It broke before or after."""


BAD = (State.FAILED, State.BROKEN)
"""How a test ended that did not pass."""


class Case(NamedTuple):
    """One test case of a report."""

    name: str
    """``<class>.<test>`` as the report has them."""
    state: State
    message: str
    """First of: the message, the type, the text of the failure; empty for a test that passed."""
    seconds: float


class NamedTest(Frozen):
    """A test that failed, broke or is flaky."""

    name: str
    message: str


class SuiteReport(Frozen):
    """What a suite's report says."""

    tests: int = Field(ge=0)
    failures: int = Field(ge=0)
    """Tests whose assertion failed."""
    errors: int = Field(ge=0)
    """Tests that broke before or after."""
    skipped: int = Field(ge=0)
    flakes: int = Field(ge=0, default=0)
    """Tests that failed and then passed. They passed, and are counted here as well."""
    seconds: float = Field(ge=0)
    """Sum over the test cases."""
    failed: tuple[NamedTest, ...] = ()
    """The first ``MAX_FAILED`` that failed or broke, in the report's order."""
    flaky: tuple[NamedTest, ...] = ()
    """The first ``MAX_FAILED`` that are flaky, with what they said when they failed."""
    cases: tuple[Case, ...] = Field(default=(), exclude=True, repr=False)
    """Every test case, in the report's order. Not part of what is recorded."""

    @property
    def ran(self) -> int:
        """How many tests really ran."""
        return max(0, self.tests - self.skipped)

    @property
    def bad(self) -> int:
        """How many failed or broke."""
        return self.failures + self.errors

    def verdict(
        self,
        min_tests: int = 1,
        max_failures: int = 0,
        max_skipped: int | None = None,
        max_flaky: int | None = None,
    ) -> tuple[bool, str]:
        """Say whether the suite passed, and why. Every limit is inclusive; None is no limit.

        Args:
            min_tests: How many tests must have run; skipped ones did not.
            max_failures: How many failures and errors together are still acceptable.
            max_skipped: How many tests may be skipped.
            max_flaky: How many tests may have passed only when they were tried again.
        """
        counts = f"{self.ran} ran, {self.failures} failed, {self.errors} broke, {self.skipped} skipped"
        counts += f", {self.flakes} flaky" if self.flakes else ""
        if self.bad > max_failures:
            return False, f"{counts}; at most {max_failures} may fail{_first(self.failed)}"
        if self.ran < min_tests:
            return False, f"{counts}; at least {min_tests} must run"
        if max_skipped is not None and self.skipped > max_skipped:
            return False, f"{counts}; at most {max_skipped} may be skipped"
        if max_flaky is not None and self.flakes > max_flaky:
            return False, f"{counts}; at most {max_flaky} may be flaky{_first(self.flaky)}"
        return True, counts


def read(source: Path | bytes, since: float | None = None) -> SuiteReport:
    """Read a report from a file or from its content.

    Args:
        source: The file, or its content.
        since: When the run began, in seconds since the epoch: an older file is refused.

    Raises:
        ClientRejected: There is no file, it is older than the run, empty, cut off, too large, too deep, not
            JUnit XML, or uses a document type or entities. The message says which.
    """
    found, where = files.content(source, "the JUnit report", since=since)
    root = files.xml(found, where)
    if root.tag not in {"testsuites", "testsuite"}:
        raise ClientRejected(
            f"{where} is not JUnit XML: its root is <{root.tag[:60]}>; expected <testsuites> or <testsuite>"
        )
    try:
        cases = [_case(element) for element in root.iter("testcase")]
        return tally(cases, failures=_claimed(root, "failures"), errors=_claimed(root, "errors"))
    except ValueError as error:
        raise ClientRejected(f"{where} has a count or a time that is not a number: {error}") from error


def tally(cases: Iterable[Case], *, failures: int = 0, errors: int = 0) -> SuiteReport:
    """Count test cases; ``failures`` and ``errors`` are the fewest there are, whatever the cases say."""
    cases = tuple(cases)
    states = [case.state for case in cases]
    return SuiteReport(
        tests=len(cases),
        failures=max(failures, states.count(State.FAILED)),
        errors=max(errors, states.count(State.BROKEN)),
        skipped=states.count(State.SKIPPED),
        flakes=states.count(State.FLAKY),
        seconds=sum(case.seconds for case in cases),
        failed=_named(cases, *BAD),
        flaky=_named(cases, State.FLAKY),
        cases=cases,
    )


def _named(cases: Iterable[Case], *states: State) -> tuple[NamedTest, ...]:
    found = [NamedTest(name=c.name, message=c.message) for c in cases if c.state in states]
    return tuple(found[:MAX_FAILED])


def _first(tests: tuple[NamedTest, ...]) -> str:
    return f"; first: {tests[0].name}" if tests else ""


def _case(element: Element) -> Case:
    from junitparser import Error, Failure, Skipped
    from junitparser.xunit2 import TestCase

    case: Any = TestCase.fromelem(element)  # type: ignore[no-untyped-call]
    results = case.result
    bad = next((r for r in results if isinstance(r, (Error, Failure))), None)
    said = bad
    if bad is not None:
        state = State.BROKEN if isinstance(bad, Error) else State.FAILED
    elif any(isinstance(r, Skipped) for r in results):
        state = State.SKIPPED
    elif case.is_flaky:
        state, said = State.FLAKY, case.interim_result[0]
    else:
        state = State.PASSED
    return Case(_name(case), state, "" if said is None else _message(said), _seconds(case.time))


def _claimed(root: Element, name: str) -> int:
    """Return what the report's own summary says; a suite's count includes that of the suites inside it."""
    own = int(root.get(name) or 0)
    inner = sum(_claimed(suite, name) for suite in root.findall("testsuite"))
    return max(0, own, inner)


def _seconds(value: float | None) -> float:
    if value is None:
        return 0.0
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"{value} seconds")
    return value


def _name(case: Any) -> str:
    name = ".".join(part for part in (case.classname, case.name) if part)
    return (name or "(a test without a name)")[:MAX_TEXT]


def _message(result: Any) -> str:
    text = result.message or result.type or (result.text or "").strip() or "no message"
    return str(text)[:MAX_TEXT]

"""JUnit XML: what a test suite says about itself.

The report comes from the code under test, so it is hostile input: entities, document types, deep nesting
and oversize are refused, and a report that cannot be read to its end is never a green one. Counts come from
the test cases themselves, whatever the dialect; failures are raised to what a suite claims in its attributes,
so that neither the cases nor the summary can be greener than the other.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from pydantic import Field

from relman_plugins.domain.base import Frozen
from relman_plugins.errors import ClientRejected

MAX_BYTES = 50 * 1024 * 1024
"""The largest report that is read."""

MAX_DEPTH = 64
"""The deepest nesting of elements that is read."""

MAX_FAILED = 500
"""How many failed tests are kept by name; all are counted."""

MAX_TEXT = 1000
"""Length to which names and messages of failed tests are cut, in characters."""

_CHUNK = 1024 * 1024


class FailedTest(Frozen):
    """A test that failed or broke."""

    name: str
    """``<class>.<test>`` as the report has them."""
    message: str
    """First of: the message, the type, the text of the failure."""


class SuiteReport(Frozen):
    """What a suite's report says."""

    tests: int = Field(ge=0)
    failures: int = Field(ge=0)
    """Tests whose assertion failed."""
    errors: int = Field(ge=0)
    """Tests that broke before or after."""
    skipped: int = Field(ge=0)
    seconds: float = Field(ge=0)
    """Sum over the test cases."""
    failed: tuple[FailedTest, ...] = ()
    """The first ``MAX_FAILED`` that failed or broke, in the report's order."""

    @property
    def ran(self) -> int:
        """How many tests really ran."""
        return max(0, self.tests - self.skipped)

    def verdict(self, min_tests: int = 1, max_failures: int = 0) -> tuple[bool, str]:
        """Say whether the suite passed, and why.

        Args:
            min_tests: How many tests must have run; skipped ones did not.
            max_failures: How many failures and errors together are still acceptable.
        """
        bad = self.failures + self.errors
        counts = f"{self.ran} ran, {self.failures} failed, {self.errors} broke, {self.skipped} skipped"
        if bad > max_failures:
            first = f"; first: {self.failed[0].name}" if self.failed else ""
            return False, f"{counts}; at most {max_failures} may fail{first}"
        if self.ran < min_tests:
            return False, f"{counts}; at least {min_tests} must run"
        return True, counts


def read(source: Path | bytes) -> SuiteReport:
    """Read a report from a file or from its content.

    Raises:
        ClientRejected: There is no file, it is empty, cut off, too large, too deep, not JUnit XML, or uses a
            document type or entities. The message says which.
    """
    where = "the JUnit report" if isinstance(source, bytes) else str(source)
    content = source if isinstance(source, bytes) else _content(source)
    if len(content) > MAX_BYTES:
        raise ClientRejected(f"{where} is larger than {MAX_BYTES >> 20} MB; split the suite")
    if not content.strip():
        raise ClientRejected(f"{where} is empty; the suite ended before it wrote its report")
    root = _parse(content, where)
    if root.tag not in {"testsuites", "testsuite"}:
        raise ClientRejected(
            f"{where} is not JUnit XML: its root is <{root.tag[:60]}>; expected <testsuites> or <testsuite>"
        )
    try:
        return _report(root)
    except ValueError as error:
        raise ClientRejected(f"{where} has a count or a time that is not a number: {error}") from error


class _Bounded(TreeBuilder):
    """Builds the tree as usual, and stops when it gets too deep."""

    depth = 0

    def start(self, tag: str, attrs: dict[str, str], /) -> Element:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ClientRejected(f"elements are nested deeper than {MAX_DEPTH}")
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> Element:
        self.depth -= 1
        return super().end(tag)


def _content(path: Path) -> bytes:
    try:
        if not path.is_file():
            # Also refuses a named pipe, which would be waited on for ever.
            raise ClientRejected(
                f"{path} is not a file; check `junit` in the suite, and that its command writes the report"
            )
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ClientRejected(f"{path} cannot be read: {error.strerror}") from error


def _parse(content: bytes, where: str) -> Element:
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import XMLParser

    parser: Any = XMLParser(target=_Bounded(), forbid_dtd=True)
    try:
        for start in range(0, len(content), _CHUNK):
            parser.feed(content[start : start + _CHUNK])
        root: Element = parser.close()
    except ParseError as error:
        raise ClientRejected(
            f"{where} is not whole XML: {error}; the suite may have been stopped while it wrote"
        ) from error
    except DefusedXmlException as error:
        raise ClientRejected(
            f"{where} is refused: it has a document type or entities, which no test tool needs"
        ) from error
    except ClientRejected as error:
        raise ClientRejected(f"{where} is refused: {error}") from None
    except (ValueError, LookupError) as error:
        raise ClientRejected(f"{where} cannot be read: {error}") from error
    return root


def _report(root: Element) -> SuiteReport:
    from junitparser import Error, Failure, Skipped, TestCase

    tests = failures = errors = skipped = 0
    seconds = 0.0
    failed: list[FailedTest] = []
    for element in root.iter("testcase"):
        case: Any = TestCase.fromelem(element)  # type: ignore[no-untyped-call]
        results = case.result
        bad = next((r for r in results if isinstance(r, (Error, Failure))), None)
        tests += 1
        seconds += _seconds(case.time)
        errors += isinstance(bad, Error)
        failures += isinstance(bad, Failure)
        skipped += bad is None and any(isinstance(r, Skipped) for r in results)
        if bad is not None and len(failed) < MAX_FAILED:
            failed.append(FailedTest(name=_name(case), message=_message(bad)))
    return SuiteReport(
        tests=tests,
        failures=max(failures, _claimed(root, "failures")),
        errors=max(errors, _claimed(root, "errors")),
        skipped=skipped,
        seconds=seconds,
        failed=tuple(failed),
    )


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

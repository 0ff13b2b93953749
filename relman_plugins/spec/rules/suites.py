"""Suites: reports that exist, and limits that something can be held against."""

from __future__ import annotations

from collections.abc import Iterator

from relman_plugins.spec.bundle import Bundle, Path_, entries, text_at
from relman_plugins.spec.diagnostic import Diagnostic
from relman_plugins.spec.models.duration import Duration
from relman_plugins.spec.models.reports import FORMATS
from relman_plugins.spec.position import Node
from relman_plugins.spec.trail import finding, holder
from relman_plugins.spec.words import listed

OF_TESTS = ("min_tests", "max_failures", "max_flaky", "max_skipped")
"""Limits that only a JUnit report can be held against."""


def _suites(bundle: Bundle) -> Iterator[tuple[Path_, Node]]:
    """Yield the suites with a command; checklists have rules of their own."""
    for path, suite in entries(bundle.pipeline, "suites"):
        if isinstance(suite.value, dict) and "command" in suite.value and "checklist" not in suite.value:
            yield path, suite


def reports(bundle: Bundle) -> Iterator[Diagnostic]:
    """A suite has a report: an exit code alone says too little."""
    for path, suite in _suites(bundle):
        if not {"junit", *FORMATS} & set(suite.value):
            message = f"{holder(bundle.pipeline, path)} has no report, so nothing would say what was tested"
            other = f"or one of {listed(FORMATS)}"
            hint = f"junit: reports/unit.xml, where the command writes its JUnit XML report; {other}"
            yield finding(bundle.pipeline, path, "RM321", message, key=True, hint=hint)


def formats(bundle: Bundle) -> Iterator[Diagnostic]:
    """A report is one file in one format."""
    for path, suite in _suites(bundle):
        for kind, names in FORMATS.items():
            report = suite.child(kind)
            if report is None or not isinstance(report.value, dict):
                continue
            given = [name for name in names if name in report.value]
            if len(given) != 1:
                where = f'"{kind}" of {holder(bundle.pipeline, path)}'
                found = f"names {len(given)} files" if given else "names no file"
                hint = f"say where the command writes it, with one of {listed(names)}"
                yield finding(
                    bundle.pipeline, (*path, kind), "RM322", f"{where} {found}", key=True, hint=hint
                )


def limits(bundle: Bundle) -> Iterator[Diagnostic]:
    """A limit of tests needs a report of tests. What a policy gives to all suites is not meant for each."""
    for path, suite in _suites(bundle):
        if "junit" in suite.value:
            continue
        for key in OF_TESTS:
            node = suite.child(key)
            if node is not None and bundle.pipeline.file((*path, key)) == bundle.pipeline.path:
                message = (
                    f'"{key}" of {holder(bundle.pipeline, path)} limits tests, but it has no junit report'
                )
                hint = "add junit:, or remove it"
                yield finding(
                    bundle.pipeline, (*path, key), "RM323", message, key=True, hint=hint, severity="warning"
                )


def durations(bundle: Bundle) -> Iterator[Diagnostic]:
    """A suite that is stopped earlier never takes as long as it may."""
    for path, suite in _suites(bundle):
        most, limit = (_seconds(text_at(suite, key)) for key in ("max_duration", "timeout"))
        if most is not None and most >= (600 if limit is None else limit):
            message = (
                f"{holder(bundle.pipeline, path)} is stopped before it can take longer than max_duration"
            )
            hint = "raise timeout:, or lower max_duration:"
            place = (*path, "max_duration")
            yield finding(bundle.pipeline, place, "RM324", message, hint=hint, severity="warning")


def _seconds(text: str | None) -> int | None:
    try:
        return Duration.parse(text).seconds if text is not None else None
    except ValueError:
        return None


RULES = (reports, formats, limits, durations)
"""In the order in which they are told."""

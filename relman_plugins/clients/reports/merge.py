"""Several tries of one suite → one report: which tests failed for good, and which are flaky. Pure.

A test is known by its name, and the second of one name in a report as the second. It failed for good when no
try in which it ran saw it pass; it is flaky when some tries saw it pass and others fail, in whatever order:
a later try may run only what failed before, or everything again. A test that a later try skips or leaves out
keeps what was known of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from relman_plugins.clients.reports.junit import BAD, Case, State, SuiteReport, tally

_GOOD = (State.PASSED, State.FLAKY)


def merged(reports: Sequence[SuiteReport]) -> SuiteReport:
    """Merge the reports of all tries, oldest first, into what the suite as a whole says.

    Failures that a try claims in its summary without naming the test can't be told to have passed later:
    they stay.
    """
    tests: dict[tuple[str, int], list[Case]] = {}
    unnamed_failures = unnamed_errors = 0
    for report in reports:
        seen: Counter[str] = Counter()
        for case in report.cases:
            tests.setdefault((case.name, seen[case.name]), []).append(case)
            seen[case.name] += 1
        states = [case.state for case in report.cases]
        unnamed_failures = max(unnamed_failures, report.failures - states.count(State.FAILED))
        unnamed_errors = max(unnamed_errors, report.errors - states.count(State.BROKEN))
    cases = [_one(tries) for tries in tests.values()]
    states = [case.state for case in cases]
    return tally(
        cases,
        failures=states.count(State.FAILED) + unnamed_failures,
        errors=states.count(State.BROKEN) + unnamed_errors,
    )


def _one(tries: Sequence[Case]) -> Case:
    bad = [case for case in tries if case.state in BAD]
    good = [case for case in tries if case.state in _GOOD]
    flaky = [case for case in good if case.state is State.FLAKY]
    seconds = sum(case.seconds for case in tries)
    if good and (bad or flaky):
        first = (bad or flaky)[0]
        return Case(first.name, State.FLAKY, first.message, seconds)
    last = (bad or good or tries)[-1]
    return last._replace(seconds=seconds)

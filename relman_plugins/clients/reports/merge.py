"""Several tries of one suite → one report: which tests failed for good, and which are flaky. Pure.

A test is known by its name; of several with one name, those that failed in a report come first, so that two
of them are never taken for one that failed and then passed. It failed for good when the last try in which it
ran saw it fail, since an earlier pass may be one of a try that broke off. It is flaky when that try saw it
pass, and another fail. A test that a later try skips or leaves out keeps what was known of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from relman_plugins.clients.reports.junit import BAD, Case, State, SuiteReport, tally

_GOOD = (State.PASSED, State.FLAKY)
_RAN = (*_GOOD, *BAD)


def merged(reports: Sequence[SuiteReport]) -> SuiteReport:
    """Merge the reports of all tries, oldest first, into what the suite as a whole says.

    Failures that a try claims in its summary without naming the test can't be told to have passed later:
    they stay.
    """
    tests: dict[tuple[str, int], list[Case]] = {}
    unnamed_failures = unnamed_errors = 0
    for report in reports:
        seen: Counter[str] = Counter()
        ranks: dict[int, int] = {}
        for place, case in sorted(enumerate(report.cases), key=lambda found: found[1].state not in BAD):
            ranks[place] = seen[case.name]
            seen[case.name] += 1
        for place, case in enumerate(report.cases):
            tests.setdefault((case.name, ranks[place]), []).append(case)
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
    ran = [case for case in tries if case.state in _RAN]
    wrong = [case for case in ran if case.state is not State.PASSED]
    last = (ran or tries)[-1]
    seconds = sum(case.seconds for case in tries)
    if wrong and last.state in _GOOD:
        return Case(last.name, State.FLAKY, wrong[0].message, seconds)
    return last._replace(seconds=seconds)

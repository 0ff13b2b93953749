"""Tries of a suite: what failed for good, and what is flaky."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from relman_plugins.clients.reports.junit import Case, State, SuiteReport, read, tally
from relman_plugins.clients.reports.merge import merged

BAD = {State.FAILED, State.BROKEN}


def report(**states: State) -> SuiteReport:
    return tally(Case(name, state, "said" if state in BAD else "", 1.0) for name, state in states.items())


def test_what_passes_when_tried_again_is_flaky_and_counts_as_passed() -> None:
    found = merged([report(a=State.FAILED, b=State.PASSED), report(a=State.PASSED, b=State.PASSED)])
    assert (found.tests, found.failures, found.flakes, found.bad) == (2, 0, 1, 0)
    assert [(t.name, t.message) for t in found.flaky] == [("a", "said")]
    assert found.verdict() == (True, "2 ran, 0 failed, 0 broke, 0 skipped, 1 flaky")
    assert found.verdict(max_flaky=0) == (
        False, "2 ran, 0 failed, 0 broke, 0 skipped, 1 flaky; at most 0 may be flaky; first: a"
    )  # fmt: skip


def test_a_try_of_only_what_failed_takes_nothing_back() -> None:
    found = merged([report(a=State.FAILED, b=State.PASSED, c=State.FAILED), report(a=State.PASSED)])
    assert (found.tests, found.failures, found.flakes) == (3, 1, 1)
    assert [t.name for t in found.failed] == ["c"]


def test_what_fails_at_last_has_failed_whatever_an_earlier_try_saw() -> None:
    found = merged([report(a=State.FAILED, b=State.PASSED), report(a=State.PASSED, b=State.FAILED)])
    assert (found.failures, found.flakes) == (1, 1)
    assert [t.name for t in found.failed] == ["b"]


def test_two_of_one_name_that_come_in_another_order_are_not_taken_for_each_other() -> None:
    first = b'<testsuite><testcase name="a"><failure/></testcase><testcase name="a"/></testsuite>'
    turned = b'<testsuite><testcase name="a"/><testcase name="a"><failure/></testcase></testsuite>'
    found = merged([read(first), read(turned)])
    assert (found.tests, found.failures, found.flakes) == (2, 1, 0)


def test_a_test_that_failed_cannot_be_skipped_into_passing() -> None:
    found = merged([report(a=State.FAILED), report(a=State.SKIPPED)])
    assert (found.failures, found.flakes, found.skipped) == (1, 0, 0)


def test_failures_without_a_name_stay() -> None:
    claimed = read(b'<testsuite failures="2"><testcase name="a"/></testsuite>')
    found = merged([claimed, report(a=State.PASSED)])
    assert found.failures == 2
    assert not found.verdict()[0]


def test_two_tests_of_one_name_are_two() -> None:
    twice = b'<testsuite><testcase name="a"/><testcase name="a"><failure/></testcase></testsuite>'
    found = merged([read(twice), read(twice.replace(b"<failure/>", b""))])
    assert (found.tests, found.flakes) == (2, 1)


def test_what_surefire_says_of_its_own_reruns() -> None:
    found = read(
        b'<testsuite><testcase name="a"><flakyFailure message="once" type="E"/></testcase>'
        b'<testcase name="b"><failure message="no"/><rerunFailure message="no again" type="E"/></testcase>'
        b"</testsuite>"
    )
    assert (found.failures, found.flakes) == (1, 1)
    assert found.flaky[0].message == "once"


REPORTS = st.lists(
    st.dictionaries(st.sampled_from("abcd"), st.sampled_from(list(State))).map(lambda d: report(**d)),
    min_size=1,
    max_size=4,
)


@given(REPORTS)
def test_merging_hides_nothing(reports: list[SuiteReport]) -> None:
    found = merged(reports)
    seen: dict[str, list[State]] = {}
    for each in reports:
        for case in each.cases:
            seen.setdefault(case.name, []).append(case.state)
    assert found.tests == len(seen)
    for case in found.cases:
        states = set(seen[case.name])
        last = next((s for s in reversed(seen[case.name]) if s is not State.SKIPPED), State.SKIPPED)
        assert (case.state in BAD) == (last in BAD)
        once_wrong = bool(states & (BAD | {State.FLAKY}))
        assert (case.state is State.FLAKY) == (last in (State.PASSED, State.FLAKY) and once_wrong)
        assert (case.state is State.SKIPPED) == (states == {State.SKIPPED})
    assert found.bad + found.flakes + found.skipped <= found.tests


@given(REPORTS)
def test_one_try_says_what_its_report_says(reports: list[SuiteReport]) -> None:
    assert merged(reports[:1]) == reports[0]

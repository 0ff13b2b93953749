"""Error budgets look by look: when a watch ends, what it asks people, and that a record says the same."""

from __future__ import annotations

from typing import Any

import pytest

from relman_plugins.domain.status import Verdict
from relman_plugins.judge.burning import Burned, Judgement, State, Terms, again, step
from relman_plugins.plan.judges import BurnWindowPlan, ObjectivePlan
from tests.judge.documents import events_of

PAGE = BurnWindowPlan(long_s=3600, short_s=300, burn_rate=14.4, severity="page")
TICKET = BurnWindowPlan(long_s=21600, short_s=1800, burn_rate=6, severity="ticket")
METRIC = ObjectivePlan(name="available", objective=0.999, bad="b", total="t")


def terms(planned: int = 3, **more: Any) -> Terms:
    return Terms((METRIC.model_copy(update=more),), (PAGE, TICKET), planned)


def at(age_s: float, *pairs: tuple[int, int] | None) -> list[Burned]:
    """Return what windows of 5m, 30m, 1h and 6h have had."""
    windows = dict(zip((300, 1800, 3600, 21600), pairs, strict=True))
    return [Burned("available", age_s, windows)]


def even(age_s: float, bad: int, total: int = 10_000) -> list[Burned]:
    return at(age_s, *[(bad, total)] * 4)


def followed(by: Terms, *looks: list[Burned]) -> list[Judgement]:
    state, found = State(), []
    for came in looks:
        found.append(step(state, came, terms=by))
        state = found[-1].state
        if state.verdict:
            break
    return found


@pytest.mark.parametrize(
    ("bad", "verdict"), [(0, None), (144, None), (145, Verdict.FAIL)], ids=["none", "the limit", "above"]
)
def test_the_limit_itself_is_good(bad: int, verdict: Verdict | None) -> None:
    assert followed(terms(), even(900, bad))[-1].verdict is verdict


def test_both_windows_must_burn() -> None:
    over = at(7200, (1, 1000), (900, 90_000), (900, 90_000), (900, 90_000))
    assert followed(terms(), over)[-1].verdict is None
    still = at(7200, (90, 1000), (900, 50_000), (900, 50_000), (900, 90_000))
    end = followed(terms(), still)[-1]
    assert end.verdict is Verdict.FAIL
    assert end.reason == (
        "available: burns 18 times as fast as allowed over 1h and 90 over 5m (90 of 1000 bad); "
        "14.4 is the limit"
    )


@pytest.mark.parametrize(
    ("short", "long"), [((14, 1000), (900, 50_000)), ((90, 1000), (700, 50_000))], ids=["long", "short"]
)
def test_one_window_above_its_limit_alone_is_no_page(short: tuple[int, int], long: tuple[int, int]) -> None:
    alone = followed(terms(planned=1), at(7200, short, (0, 1000), long, (0, 100_000)))[-1]
    assert alone.verdict is Verdict.PASS


def test_no_pair_is_judged_before_its_short_window_is_full() -> None:
    early = followed(terms(planned=1), even(299, 5_000))[-1]
    assert (early.verdict, early.reason) == (
        Verdict.NO_DATA, "available: burn rate 500, and no window is full before 5m",
    )  # fmt: skip
    assert followed(terms(), even(300, 5_000))[-1].verdict is Verdict.FAIL


def test_a_ticket_asks_people_at_the_end_and_a_page_after_it_still_fails() -> None:
    slow = even(1800, 70)
    found = followed(terms(), slow, even(3600, 1), even(5400, 1))
    assert [j.verdict for j in found] == [None, None, Verdict.INCONCLUSIVE]
    assert found[-1].reason.startswith(
        "available: ticket at look 1: burns 7 times as fast as allowed over 6h"
    )
    assert followed(terms(), slow, even(3600, 9_000))[-1].verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("looks", "verdict", "said"),
    [
        ([even(900, 1)] * 3, Verdict.PASS, "burn rate 0.1, no window above its limit: 1 of 10000 bad"),
        ([even(900, 0, 0)] * 3, Verdict.NO_DATA, "0 requests"),
        ([at(900, None, None, None, None)] * 3, Verdict.NO_DATA, "no requests were counted"),
        ([at(900, (0, 9), (0, 9), None, (0, 9))] * 3, Verdict.NO_DATA, "no requests were counted"),
        (
            [even(900, 1), even(900, 1), even(900, 0, 0)],
            Verdict.INCONCLUSIVE,
            "could not be judged: 0 requests",
        ),
        ([even(900, 1), even(900, 1), []], Verdict.INCONCLUSIVE, "could not be judged: was not measured"),
        ([[]] * 3, Verdict.ERROR, "was not measured"),
    ],
)
def test_only_what_was_seen_at_the_last_look_passes(looks: Any, verdict: Verdict, said: str) -> None:
    end = followed(terms(), *looks)[-1]
    assert end.verdict is verdict
    assert said in end.reason


def test_numbers_that_stand_still_do_not_pass() -> None:
    """Nothing was counted in the last half hour: the server may see nothing any more."""
    still = at(7200, (0, 0), (0, 0), (1, 4000), (1, 9000))
    end = followed(terms(), even(1800, 1), even(3600, 1), still)[-1]
    assert end.verdict is Verdict.INCONCLUSIVE
    assert end.reason == "available: the last look could not be judged: no requests in the last 30m"
    gone = at(7200, (0, 0), (1, 400), (1, 4000), (1, 9000))
    end = followed(terms(), even(1800, 1), even(3600, 1), gone)[-1]
    assert end.verdict is Verdict.INCONCLUSIVE, "the ticket's window still has some; a page's has none"
    assert end.reason == "available: the last look could not be judged: no requests in the last 5m"
    assert followed(terms(), gone, even(3600, 1), even(5400, 1))[-1].verdict is Verdict.PASS
    quiet = [(0, 0), (1, 400), (1, 4000), (1, 9000)]
    by = terms()._replace(windows=(PAGE, PAGE.model_copy(update={"short_s": 1800}), TICKET))
    assert followed(by, *[at(7200, *quiet)] * 3)[-1].verdict is Verdict.PASS, "5m is not the pages' longest"


def test_five_looks_in_a_row_without_an_answer_end_it() -> None:
    silent = [Burned("available", error="no answer")]
    found = followed(terms(planned=50), even(900, 1), *[silent] * 9)
    assert (len(found), found[-1].verdict) == (6, Verdict.ERROR)
    assert found[-1].reason == "available: 5 times in a row: no answer"


def test_a_long_window_with_too_few_requests_is_not_judged() -> None:
    few = even(900, 30, 60)
    assert followed(terms(planned=1, min_samples=100), few)[-1].verdict is Verdict.NO_DATA
    assert followed(terms(planned=1, min_samples=60), few)[-1].verdict is Verdict.FAIL


def test_a_record_gives_the_same_again_in_whatever_order_it_was_delivered() -> None:
    by = terms(planned=4)
    looks = [even(600, 1), [Burned("available", error="no answer")], even(1800, 70), even(3600, 9_000)]
    found = followed(by, *looks)
    events = events_of(found)
    given = [judged for _, judged in again(reversed(events), terms=by)]
    assert [(j.verdict, j.reason) for j in given] == [(j.verdict, j.reason) for j in found]
    (_, last), *_ = again(events[3:], terms=by)
    assert (last.state.rounds, last.verdict) == (4, Verdict.FAIL)

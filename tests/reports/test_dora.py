"""DORA's figures: the worked example of the documentation, and what holds of any history."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from relman_plugins.cli.metrics import lines
from relman_plugins.domain.event import Kind
from relman_plugins.ledger.api import Moment
from relman_plugins.reports.dora import DEFINITIONS, SOURCE, Dora, cells, dora_of

PAGE = (Path(__file__).parents[2] / "docs" / "explanation" / "dora.md").read_text()
SINCE, UNTIL = datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 16, tzinfo=UTC)
DID = {
    "gets traffic": (Kind.CHANGE_FINISHED, {"weight": 10}),
    "is the stable version": (Kind.CHANGE_FINISHED, {"promoted": True}),
    "is taken back": (Kind.TRAFFIC_WITHDRAWN, {}),
    "is rolled back": (Kind.ROLLBACK_FINISHED, {}),
}


def blocks() -> list[str]:
    return re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)


def at(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d %H:%M").replace(tzinfo=UTC)


def written() -> list[Moment]:
    """The example's events, as the page tells them."""
    opened: dict[str, datetime] = {}
    told = []
    for line in blocks()[0].splitlines():
        when, release, what = re.split(r"\s{2,}", line.strip())
        if what == "is opened":
            opened[release] = at(when)
        else:
            kind, more = DID[what]
            told.append(Moment(release, opened[release], kind, at(when), **more))
    return told


def test_the_worked_example_comes_out_as_the_page_says() -> None:
    found = dora_of({("checkout", "production"): written()}, SINCE, UNTIL)
    table = [line.rstrip() for line in lines(found)][: len(blocks()[1].splitlines())]
    assert table == blocks()[1].splitlines()
    one = found.together
    assert (one.deployments, one.changes, one.failures, one.not_restored) == (3, 4, 1, 0)
    assert (one.per_week, one.failure_rate, one.time_to_restore_s) == (1.5, 0.25, 240.0)
    assert one.lead_time_s == 2 * 3600


def test_the_page_has_the_definitions_as_the_command_prints_them() -> None:
    page = " ".join(PAGE.split())
    for name, meaning in DEFINITIONS.items():
        assert f"**{name}**" in page
        assert " ".join(meaning.split()) in page, meaning
    assert "dora.dev" in SOURCE


def test_what_is_unknown_is_said_to_be() -> None:
    empty = dora_of({("shop", "live"): []}, SINCE, UNTIL)
    one = empty.pipelines[0]
    assert (one.deployments, one.per_week) == (0, 0)
    assert (one.lead_time_s, one.failure_rate, one.time_to_restore_s) == (None, None, None)
    assert cells(one) == ("0", "0.0", "no deployment", "no change", "no change")
    assert dora_of({}, SINCE, SINCE).together.per_week is None
    assert "no releases yet" in list(lines(dora_of({}, SINCE, UNTIL)))
    lost = [
        Moment("a", SINCE, Kind.CHANGE_FINISHED, SINCE, weight=5),
        Moment("a", SINCE, Kind.RELEASE_CLOSED, SINCE, outcome="failed"),
    ]
    stuck = dora_of({("shop", "live"): lost}, SINCE, UNTIL).together
    assert (stuck.failures, stuck.not_restored, stuck.time_to_restore_s) == (1, 1, None)
    assert cells(stuck)[-1] == "unknown; 1 not restored"


def test_a_preview_that_nobody_met_is_no_change() -> None:
    preview = [
        Moment("a", SINCE, Kind.CHANGE_FINISHED, SINCE),
        Moment("a", SINCE, Kind.ROLLBACK_FINISHED, SINCE + timedelta(hours=1)),
        Moment("a", SINCE, Kind.RELEASE_CLOSED, SINCE + timedelta(hours=1), outcome="rolled_back"),
    ]
    one = dora_of({("shop", "live"): preview}, SINCE, UNTIL).together
    assert (one.changes, one.failures, one.deployments) == (0, 0, 0)


MOMENTS = st.builds(
    Moment,
    release_id=st.sampled_from("abcd"),
    opened_at=st.just(SINCE + timedelta(days=1)),
    kind=st.sampled_from(
        [Kind.CHANGE_FINISHED, Kind.TRAFFIC_WITHDRAWN, Kind.ROLLBACK_FINISHED, Kind.RELEASE_CLOSED]
    ),
    at=st.integers(-100, 500).map(lambda hours: SINCE + timedelta(hours=hours)),
    weight=st.sampled_from([0, 0, 10, 100]),
    promoted=st.booleans(),
    outcome=st.sampled_from(["succeeded", "failed", "rolled_back"]),
)
HISTORY = st.dictionaries(st.tuples(st.sampled_from("xyz"), st.just("live")), st.lists(MOMENTS, max_size=12))


@given(HISTORY, st.randoms())
def test_figures_are_within_their_bounds_whatever_happened(
    found: dict[tuple[str, str], list[Moment]], random: object
) -> None:
    dora = dora_of(found, SINCE, UNTIL)
    for one in (*dora.pipelines, dora.together):
        assert 0 <= one.failures <= one.changes
        assert 0 <= one.not_restored <= one.failures
        assert (one.failure_rate is None) == (one.changes == 0)
        assert one.failure_rate is None or 0 <= one.failure_rate <= 1
        assert one.lead_time_s is None or one.lead_time_s >= 0
        assert one.time_to_restore_s is None or one.time_to_restore_s >= 0
        assert len(cells(one)) == 5
    for name in ("deployments", "changes", "failures", "not_restored"):
        assert getattr(dora.together, name) == sum(getattr(p, name) for p in dora.pipelines)
    for own in found.values():
        random.shuffle(own)  # type: ignore[attr-defined]
    assert dora_of(found, SINCE, UNTIL) == dora
    assert Dora.model_validate_json(dora.model_dump_json()) == dora


@given(HISTORY, st.integers(1, 13))
def test_two_periods_count_what_the_whole_one_counts(
    found: dict[tuple[str, str], list[Moment]], days: int
) -> None:
    middle = SINCE + timedelta(days=days)
    halves = [dora_of(found, SINCE, middle), dora_of(found, middle, UNTIL)]
    whole = dora_of(found, SINCE, UNTIL).together
    for name in ("deployments", "changes", "failures"):
        assert sum(getattr(h.together, name) for h in halves) == getattr(whole, name)
    assert list(chain.from_iterable(h.pipelines for h in halves)) or not found

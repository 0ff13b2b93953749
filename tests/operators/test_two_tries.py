"""Two tries of one comparison at once: a triggerer that was given up still looks while the next try does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from relman_plugins.domain.event import Kind
from relman_plugins.evidence.verdicts import replayed_of
from relman_plugins.judge import comparing
from relman_plugins.triggers.analysis import AnalysisTrigger
from tests.operators.test_comparison import FIRST, looks, specs, stored  # noqa: F401
from tests.steps.world import Numbers, Release, payload


@pytest.fixture
def terms() -> str:
    return "    undecided: pass\n"


def both(*watching: AnalysisTrigger) -> list[Any]:
    async def wait() -> list[Any]:
        return await asyncio.gather(*(payload(one) for one in watching))

    return asyncio.run(asyncio.wait_for(wait(), 60))


def test_no_request_is_counted_twice_and_one_record_fits_together(release: Release, numbers: Numbers) -> None:
    first = stored(release.run(FIRST))
    second = stored(release.run(FIRST, try_number=2))
    assert first.watch.attempt != second.watch.attempt
    assert first.watch.started_at == second.watch.started_at
    served = iter(range(10, 10**6, 10))

    def more() -> None:
        n = next(served)
        numbers.count((n // 10, 20 * n), (n // 10, 20 * n))

    numbers.asked = more
    # Both look in turn: each is the later one of some look.
    second.watch = second.watch.model_copy(update={"interval_s": 0.7})
    events = both(first, second)
    assert [e["verdict"] for e in events] == ["pass", "pass"]
    recorded, shape = looks(release), release.world.shape
    assert sorted(e.data["look"] for e in recorded) == [1, 2, 3]
    comparison = shape.analysis("numbers").comparison
    assert comparison is not None
    by = comparing.Terms(comparison, shape.false_alarms(shape.step(FIRST)), 3)
    had = comparing.resumed(recorded, terms=by).metrics["errors"].had
    seen = [(e.data["metrics"][0]["control"], e.data["metrics"][0]["experiment"]) for e in recorded]
    assert [list(arm) for arm in had] == [max(arm) for arm in zip(*seen, strict=True)]
    assert {e.data["reason"] for e in release.events(Kind.ANALYSIS_FINISHED)} == {events[0]["reason"]}
    (again,) = replayed_of(shape, release.events())
    assert again.problems == ()

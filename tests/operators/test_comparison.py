"""A canary compared with the old version beside it: real sandbox, real ledger, a metrics server."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from relman_plugins.domain.event import Event, Kind
from relman_plugins.domain.status import Decision
from relman_plugins.judge import comparing, threshold
from relman_plugins.platforms.archive import pack
from relman_plugins.triggers.analysis import AnalysisTrigger
from relman_plugins.triggers.looking import looking_of
from tests.platforms.living import BASKET, Daemon
from tests.steps.rewriting import rewrite
from tests.steps.world import Numbers, Release, World, payload

FIRST, LAST, ROLLBACK = (f"production.{n}" for n in ("canary_50", "canary_100", "rollback"))
LIMITS = """\
  numbers:
    connection: relman_metrics
    metrics: [{name: errors, query: "errors", max: 0.05}]
"""
COMPARED = """\
  limits:
    connection: relman_metrics
    metrics: [{name: errors, query: "errors", max: 0.05}]
  numbers:
    judge: sequential
    connection: relman_metrics
    metrics: [{name: errors, bad: 'bad{v="$version"}[$window]', total: 'total{v="$version"}[$window]'}]
"""


PASSES, EARLY = "    undecided: pass\n", "    early_pass: true\n"


@pytest.fixture
def terms() -> str:
    """More keys of the analysis."""
    return ""


@pytest.fixture(autouse=True)
def specs(monkeypatch: pytest.MonkeyPatch, terms: str) -> None:
    """Let the canary be compared, in three looks, and the monitor go by limits."""
    judge = "    judge: sequential\n"
    rewrite(
        monkeypatch,
        "checkout.yaml",
        (LIMITS, COMPARED.partition("    metrics: [{name: errors, bad")[0] + terms)
        if "metrics:" in terms
        else (LIMITS, COMPARED.replace(judge, judge + terms)),
        ("interval: 1s, count: 2}", "interval: 1s, count: 3}"),
        ("monitor: {for: 2s, analysis: numbers", "monitor: {for: 2s, analysis: limits"),
    )


def stored(deferred: TaskDeferred) -> AnalysisTrigger:
    """Make the trigger of what Airflow keeps of it."""
    trigger = type(deferred.trigger)(**deferred.trigger.serialize()[1])
    assert isinstance(trigger, AnalysisTrigger)
    return trigger


def ended(deferred: TaskDeferred) -> dict[str, Any]:
    return asyncio.run(asyncio.wait_for(payload(stored(deferred)), 60))


def killed_after_a_look(release: Release, deferred: TaskDeferred) -> None:
    """Let a triggerer die with a watch that has recorded a look."""
    before = len(looks(release))

    async def killed() -> None:
        task = asyncio.create_task(payload(stored(deferred)))
        while len(looks(release)) == before:
            await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(killed())


def looks(release: Release) -> list[Event]:
    return release.events(Kind.ANALYSIS_MEASURED)


def test_certain_harm_takes_the_traffic_back_at_once_and_says_the_numbers(
    release: Release, numbers: Numbers
) -> None:
    numbers.count((1, 200), (9, 20))
    waiting = release.run(FIRST)
    event = ended(waiting)
    assert event["verdict"] == "fail"
    assert release.world.weights() == {"1.0.0": 100}
    said = event["reason"]
    told = "errors: harm is certain after 1 look: 9 of 20 (45 %) bad, of the old version 1 of 200 (0.5 %); "
    assert said.startswith(told + "at least ")
    (look,) = looks(release)
    metric = look.data["metrics"][0]
    assert (metric["control"], metric["experiment"], metric["verdict"]) == ([1, 200], [9, 20], "fail")
    assert release.events(Kind.TRAFFIC_WITHDRAWN)[0].data["reason"] == said
    with pytest.raises(AirflowFailException, match="harm is certain"):
        release.resume(FIRST, waiting, event)


def test_what_is_not_decided_asks_people_and_all_of_the_traffic_is_compared_with_nothing(
    release: Release, numbers: Numbers
) -> None:
    numbers.count((2, 200), (2, 200))
    waiting = release.run(FIRST)
    event = ended(waiting)
    assert event["verdict"] == "inconclusive"
    assert "neither harm nor its absence is certain: 2 of 200 (1 %) bad, of the old" in event["reason"]
    asked = release.resume(FIRST, waiting, event)
    assert isinstance(asked, TaskDeferred)
    assert release.world.weights() == {"1.0.0": 50, "1.1.0": 50}
    release.vote(FIRST)
    release.resume(FIRST, asked, {"state": "approved"})
    assert release.run(LAST)["message"] == "1.1.0 has 100 % of the traffic of production"
    assert {e.step for e in release.events(Kind.ANALYSIS_FINISHED)} == {FIRST}


@pytest.mark.parametrize(
    ("terms", "old", "new", "verdict", "said", "taken"),
    [
        (PASSES, (2, 200), (2, 200), "pass", "no harm found in 3 looks: 2 of 200", 3),
        (PASSES, (0, 200), (0, 9), "no_data", "the new version had 9 requests, at least 50", 3),
        (PASSES, (0, 200), None, "no_data", "no requests of the new version were counted", 3),
        (PASSES, None, (0, 200), "no_data", "no requests of the old version were counted", 3),
        (EARLY, (4000, 9000), (4000, 9000), "pass", "harm beyond 25% is ruled out", 1),
        ("", (4000, 9000), (4000, 9000), "pass", "harm beyond 25% is ruled out: 4000 of 9000 (44.4 %)", 3),
        (EARLY + "    tolerance: 9\n", (30, 900), (30, 900), "pass", "harm beyond 900% is ruled out", 1),
    ],
)
def test_the_end_of_a_comparison_goes_by_its_terms(
    release: Release, numbers: Numbers, old: Any, new: Any, verdict: str, said: str, taken: int
) -> None:
    numbers.count(old, new)
    event = ended(release.run(FIRST))
    assert (event["verdict"], len(looks(release))) == (verdict, taken), event
    assert said in event["reason"]


def test_an_answer_that_lies_is_an_error(release: Release, numbers: Numbers) -> None:
    numbers.count((0, 100), (0, 100))
    numbers.counts["bad", "1.1.0"] = float("inf")
    event = ended(release.run(FIRST))
    assert event["verdict"] == "error"
    assert event["reason"] == "errors: inf is no number of requests (of the new version)"


def test_a_killed_watch_counts_nothing_twice(release: Release, numbers: Numbers) -> None:
    """Four bad requests are suspicious, and no more so for being seen by two processes."""
    numbers.count((0, 100), (4, 100))
    waiting = release.run(FIRST)
    killed_after_a_look(release, waiting)
    assert ended(waiting)["verdict"] == "inconclusive"
    assert [e.data["look"] for e in looks(release)] == [1, 2, 3]
    assert {tuple(e.data["metrics"][0]["experiment"]) for e in looks(release)} == {(4, 100)}
    assert looks(release)[-1].data["metrics"][0]["effect"] == looks(release)[0].data["metrics"][0]["effect"]


def test_two_processes_with_one_watch_leave_one_record_that_fits_together(
    release: Release, numbers: Numbers
) -> None:
    """Each sees other numbers than the other, and what the ledger took first counts for both."""
    waiting, served = release.run(FIRST), iter(range(10, 10**6, 10))
    first, second = stored(waiting), stored(waiting)
    # The second is too late for the first look, and before the first at all others.
    later = {"started_at": first.watch.started_at + 1.2, "interval_s": 0.1}
    second.watch = second.watch.model_copy(update=later)

    def more() -> None:
        n = next(served)
        numbers.count((n // 10, 20 * n), (n // 5, 20 * n))

    numbers.asked = more

    async def both() -> list[Any]:
        return await asyncio.gather(payload(first), payload(second))

    events = asyncio.run(both())
    assert events[0] == events[1]
    assert [e.data["look"] for e in looks(release)] == [1, 2, 3]
    shape = release.world.shape
    comparison = shape.analysis("numbers").comparison
    assert comparison is not None
    terms = comparing.Terms(comparison, shape.false_alarms(shape.step(FIRST)), 3)
    for event, judged in comparing.again(looks(release), terms=terms):
        assert [one.data() for one in judged.looks] == event.data["metrics"]


def test_harm_that_another_process_was_too_early_to_see_fits_into_the_record(
    release: Release, numbers: Numbers
) -> None:
    """The other one recorded a harmless look of the same number in the very moment of this one's."""
    waiting = release.run(FIRST)
    watch, shape = stored(waiting).watch, release.world.shape
    comparison = shape.analysis("numbers").comparison
    assert comparison is not None
    terms = comparing.Terms(comparison, shape.false_alarms(shape.step(FIRST)), 3)
    other = comparing.step(
        comparing.State(), [comparing.Counted("errors", (0, 100), (0, 100))], terms=terms, run=watch.course
    )

    def meanwhile() -> None:
        numbers.asked = lambda: None
        told = {
            "analysis": "numbers",
            "weight": 50,
            "look": 1,
            "metrics": [one.data() for one in other.looks],
        }
        release.says(Kind.ANALYSIS_MEASURED, FIRST, f"{watch.course}:look1", **told)

    numbers.count((0, 200), (150, 200))
    numbers.asked = meanwhile
    assert ended(waiting)["verdict"] == "fail"
    assert release.world.weights() == {"1.0.0": 100}
    *_, (_, judged) = comparing.again(looks(release), terms=terms)
    (end,) = release.events(Kind.ANALYSIS_FINISHED)
    assert [e.data["look"] for e in looks(release)] == [1, 2]
    assert (judged.verdict, judged.reason, judged.state.rounds) == (
        "fail", end.data["reason"], end.data["looks"],
    )  # fmt: skip


def test_a_look_that_is_not_recorded_leaves_its_number_free(release: Release, numbers: Numbers) -> None:
    """Its process and its spool are gone: the looks after it keep their numbers, so the watch ends."""
    numbers.count((0, 200), (0, 200))
    waiting = release.run(FIRST)
    watch, shape = stored(waiting).watch, release.world.shape
    comparison = shape.analysis("numbers").comparison
    assert comparison is not None
    terms = comparing.Terms(comparison, shape.false_alarms(shape.step(FIRST)), 3)
    came = [comparing.Counted("errors", (0, 100), (0, 100))]
    state = comparing.step(comparing.State(rounds=1), came, terms=terms, run=watch.course)
    told = {"analysis": "numbers", "weight": 50, "look": 2, "metrics": [one.data() for one in state.looks]}
    release.says(Kind.ANALYSIS_MEASURED, FIRST, f"{watch.course}:look2", **told)
    assert ended(waiting)["verdict"] == "inconclusive"
    assert [e.data["look"] for e in looks(release)] == [2, 3]


def test_a_watch_never_goes_back_behind_what_it_has_seen(release: Release, numbers: Numbers) -> None:
    """The ledger says that a look is recorded, and does not give it back."""
    numbers.count((0, 200), (0, 200))
    waiting = release.run(FIRST)
    watch = stored(waiting).watch
    elsewhere = {"analysis": "numbers", "weight": 100, "look": 1, "metrics": []}
    release.says(Kind.ANALYSIS_MEASURED, LAST, f"{watch.course}:look1", **elsewhere)
    assert ended(waiting)["verdict"] == "inconclusive"
    assert [e.data["look"] for e in looks(release)] == [1, 2, 3]


def test_looks_by_limits_go_on_from_the_last_one_in_whatever_order_they_came(
    release: Release, numbers: Numbers
) -> None:
    watch = stored(release.run(FIRST)).watch
    for n in (2, 1):
        state = threshold.State(rounds=n).model_dump(mode="json")
        release.says(Kind.ANALYSIS_MEASURED, FIRST, f"{watch.prefix}:look{n}", look=n, state=state)
    by_limits = watch.model_copy(update={"analysis": release.world.shape.analysis("limits")})
    assert looking_of(by_limits).resumed(looks(release)).rounds == 2


def test_another_try_of_the_step_goes_on_with_the_evidence_there_is(
    release: Release, numbers: Numbers
) -> None:
    """The bound on false alarms is of the step, however often Airflow tries it."""
    numbers.count((0, 100), (4, 100))
    waiting = release.run(FIRST)
    killed_after_a_look(release, waiting)
    # The next try counts from where the first one began.
    numbers.count((0, 200), (8, 200))
    event = ended(release.run(FIRST, try_number=2))
    assert event["verdict"] == "fail"
    assert "harm is certain after 2 looks: 8 of 200 (4 %) bad, of the old version 0 of 200" in event["reason"]


def test_the_first_version_has_nothing_to_be_compared_with_and_people_are_asked(
    world: World, numbers: Numbers
) -> None:
    release = world.open().approved()
    asked = release.run(FIRST)
    assert isinstance(asked, TaskDeferred)
    (found,) = release.events(Kind.ANALYSIS_FINISHED)
    assert (found.data["verdict"], found.data["looks"]) == ("no_data", 0)
    assert found.data["reason"] == (
        "no version served in production before, so there is nothing to compare with"
    )
    release.vote(FIRST, Decision.REJECT)
    with pytest.raises(AirflowFailException, match="rejected"):
        release.resume(FIRST, asked, {"state": "rejected"})


def test_the_first_version_goes_on_when_people_say_so(world: World, numbers: Numbers) -> None:
    release = world.open().approved()
    asked = release.run(FIRST)
    release.vote(FIRST)
    done = release.resume(FIRST, asked, {"state": "approved"})
    assert done["message"] == "good at 50 %: undecided by the numbers, accepted by Alice"
    release.run(LAST)
    assert release.events(Kind.CHANGE_FINISHED)[-1].data["desired"]["stable"]["version"] == "1.1.0"
    assert world.weights() == {"1.1.0": 100}


def test_two_builds_of_one_version_are_not_compared(
    world: World, numbers: Numbers, builds: dict[str, Path], tmp_path: Path
) -> None:
    """Metrics tell versions apart by their names: both would have the same numbers, and pass."""
    shutil.copytree(builds["1.1.0"], tmp_path / "other")
    (tmp_path / "other" / "NOTES.md").write_text("another build")
    world.revisions["other"] = pack(tmp_path / "other", tmp_path / "store").revision("1.1.0")
    world.live("other")
    del world.revisions["other"]
    release = world.open().approved()
    assert isinstance(release.run(FIRST), TaskDeferred)
    (found,) = release.events(Kind.ANALYSIS_FINISHED)
    assert found.data["verdict"] == "no_data"
    assert "is called 1.1.0 too, so their numbers can't be told apart" in found.data["reason"]


REAL = """\
    metrics:
      - name: errors
        bad: sum(increase(relman_requests_total{version="$version",code=~"5.."}[$window])) or vector(0)
        total: sum(increase(relman_requests_total{environment="$environment",version="$version"}[$window]))
"""


class TestWithRealTraffic:
    @pytest.fixture
    def terms(self) -> str:
        return REAL

    def test_the_version_that_fails_under_traffic_is_caught_by_the_sandboxs_own_numbers(
        self, world: World, sandbox: Daemon, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        port = sandbox.urls["metrics_url"].rpartition(":")[2]
        monkeypatch.setenv("AIRFLOW_CONN_RELMAN_METRICS", f"http://127.0.0.1:{port}")
        world.live("1.0.0")
        release = world.open("1.2.0").approved()
        url = f"{sandbox.urls['front_url']}/production/checkout/checkout"
        users = [sys.executable, "-m", "relman_plugins.testing.traffic", "--url", url, "--rate", "40"]
        with subprocess.Popen([*users, "--body", json.dumps(BASKET)], stdout=subprocess.DEVNULL) as traffic:
            try:
                event = ended(release.run(FIRST))
            finally:
                traffic.terminate()
        assert event["verdict"] == "fail", event
        assert world.weights() == {"1.0.0": 100}
        last = looks(release)[-1].data["metrics"][0]
        assert last["experiment"][0] > 2
        assert last["control"][0] == 0
        assert last["control"][1] > 0

"""The other judges in a step: real sandbox, real ledger, a metrics server."""

from __future__ import annotations

import asyncio
import re
import time

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from relman_plugins.clients.metrics.base import Answer, Question
from relman_plugins.domain.event import Kind
from relman_plugins.domain.status import Verdict
from relman_plugins.judge import sampled
from relman_plugins.triggers.looking import looking_of
from tests.operators.test_comparison import FIRST, LAST, LIMITS, ended, looks, stored
from tests.steps import world as worlds
from tests.steps.rewriting import rewrite
from tests.steps.world import Numbers, Release, World

SAMPLES = """\
  numbers:
    judge: mann_whitney
    connection: relman_metrics
    confidence: 0.8
    metrics: [{name: p99, query: 'seconds{v="$version"}', direction: increase}]
  limits:
    connection: relman_metrics
    metrics: [{name: errors, query: "errors", max: 0.05}]
"""
BUDGET = """\
  numbers:
    judge: slo
    connection: relman_metrics
    windows: [{long: 1h, short: 2s, burn_rate: 14.4}, {long: 6h, short: 3s, burn_rate: 6, severity: ticket}]
    metrics:
      - {name: available, objective: 0.999, bad: 'bad{v="$version"}[$window]', total: 'all[$window]'}
  limits:
    connection: relman_metrics
    metrics: [{name: errors, query: "errors", max: 0.05}]
"""


@pytest.fixture
def analysis() -> str:
    """What the canary is judged by: samples, where nothing else is said."""
    return SAMPLES


@pytest.fixture(autouse=True)
def specs(monkeypatch: pytest.MonkeyPatch, analysis: str) -> None:
    rewrite(
        monkeypatch,
        "checkout.yaml",
        (LIMITS, analysis),
        ("interval: 1s, count: 2}", "interval: 1s, count: 3}"),
        ("monitor: {for: 2s, analysis: numbers", "monitor: {for: 2s, analysis: limits"),
    )


def values(numbers: Numbers, name: str, old: float | None, new: float | None) -> None:
    numbers.counts[name, "1.0.0"], numbers.counts[name, "1.1.0"] = old, new


class TestSamples:
    def test_a_slower_version_goes_back_after_the_last_look(self, release: Release, numbers: Numbers) -> None:
        served = iter(range(10**6))

        def more() -> None:
            n = next(served)
            values(numbers, "seconds", 0.2 + n / 1000, 0.9 + n / 1000)

        numbers.asked = more
        waiting = release.run(FIRST)
        event = ended(waiting)
        assert event["verdict"] == "fail", event
        assert event["reason"].startswith("score 0, because of p99; at least 75 needed; p99: shift of 0.7")
        assert release.world.weights() == {"1.0.0": 100}
        assert [e.data["metrics"][0]["verdict"] for e in looks(release)] == ["inconclusive"] * 2 + ["fail"]
        with pytest.raises(
            AirflowFailException, match=r"score 0, because of p99; .* back at the old version"
        ):
            release.resume(FIRST, waiting, event)

    def test_another_process_goes_on_with_the_samples_there_are(
        self, release: Release, numbers: Numbers
    ) -> None:
        watch = stored(release.run(FIRST)).watch
        terms = sampled.Terms(watch.analysis.sampled, watch.count)  # type: ignore[arg-type]
        one = sampled.step(sampled.State(), [sampled.Sample("p99", 1.0, 2.0)], terms=terms)
        told = {"look": 1, "metrics": [look.data() for look in one.looks], "analysis": "numbers"}
        release.says(Kind.ANALYSIS_MEASURED, FIRST, "an earlier try:look1", **told)
        state = looking_of(watch).resumed(looks(release))
        assert (state.rounds, state.metrics["p99"].experiment) == (1, (2.0,))

    def test_a_first_version_has_nothing_to_compare_with(self, world: World, numbers: Numbers) -> None:
        release = world.open().approved()
        assert isinstance(release.run(FIRST), TaskDeferred)
        assert release.events(Kind.ANALYSIS_FINISHED)[0].data["verdict"] == "no_data"


BEFORE = SAMPLES.replace("confidence: 0.8\n", "confidence: 0.8\n    against: before\n").replace(
    """'seconds{v="$version"}'""", """'seconds{v="$version"}[${ago}] $$ago'"""
)


@pytest.mark.parametrize("analysis", [BEFORE])
class TestTheTimeBefore:
    def test_the_old_version_is_looked_at_before_the_change_also_at_100(
        self, release: Release, numbers: Numbers
    ) -> None:
        asked: dict[str, set[str]] = {}

        def value_of(query: str) -> float | None:
            found = re.fullmatch(r'seconds\{v="([^"]+)"\}\[(\d+s)\] \$ago', query)
            assert found is not None, query
            asked.setdefault(found[1], set()).add(found[2])
            return 0.2

        numbers.value_of = value_of  # type: ignore[method-assign]
        waiting = release.run(FIRST)
        event = ended(waiting)
        assert event["verdict"] == "pass"
        assert event["reason"] == (
            "compared with the time before the change only, which is weaker: score 100; 95 needed"
        )
        assert asked["1.1.0"] == {"0s"}
        agos = [int(ago[:-1]) for ago in asked["1.0.0"]]
        assert all(3 <= ago < 30 for ago in agos), "three looks, a second apart, before the change"
        release.resume(FIRST, waiting, event)
        assert isinstance(release.run(LAST), TaskDeferred), (
            "there is no old version at 100 %, but a time before"
        )


@pytest.mark.parametrize("analysis", [BEFORE])
def test_another_try_asks_for_the_moments_before_the_change_that_none_has_asked_for(
    release: Release, numbers: Numbers
) -> None:
    """Ten minutes later, too: a moment that was asked for twice would weigh twice, and another not at all."""
    first = stored(release.run(FIRST)).watch
    second = stored(release.run(FIRST, try_number=2)).watch
    assert first.before_at == second.before_at
    asked: list[str] = []

    class Client:
        async def number(self, question: Question) -> Answer:
            asked.append(question.query)
            return Answer(0.2)

    watch = second.model_copy(update={"before_at": time.time() - 700, "interval_s": 20.0})
    looking = looking_of(watch)
    state = looking.resumed(())
    for _ in range(2):
        state = looking.judge(state, asyncio.run(looking.ask(Client())), False).state
    later = looking_of(watch)
    told = {
        "look": 1,
        "analysis": "numbers",
        "metrics": [sampled.Look(sampled.Sample("p99", 0.2, 0.2), Verdict.INCONCLUSIVE, "").data()],
    }
    release.says(Kind.ANALYSIS_MEASURED, FIRST, "an earlier try:look1", **told)
    assert later.resumed(looks(release)).rounds == 1
    asyncio.run(later.ask(Client()))
    agos = [
        int(found[1]) for query in asked if (found := re.search(r"\[(\d+)s\]", query)) and found[1] != "0"
    ]
    assert agos == pytest.approx([680, 660, 660], abs=6)


@pytest.fixture
def recreated(specs: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the pipeline replace the version at once, and judge it in the monitor."""
    monitor = "monitor: {for: 3s, analysis: numbers, interval: 1s}"
    text = re.sub(" strategy: .*", " strategy: recreate", worlds.SPECS["checkout.yaml"])
    monkeypatch.setitem(worlds.SPECS, "checkout.yaml", re.sub("monitor: .*", monitor, text))


@pytest.mark.parametrize(
    "analysis", [BEFORE.replace("direction: increase", "direction: increase, nan_strategy: replace")]
)
def test_a_monitor_of_a_first_version_asks_people_what_nothing_can_be_compared_with(
    recreated: None, world: World, numbers: Numbers
) -> None:
    release = world.open().approved()
    release.run("production.deploy")
    asked = release.run("production.monitor")
    assert isinstance(asked, TaskDeferred)
    (found,) = release.events(Kind.ANALYSIS_FINISHED)
    assert (found.data["verdict"], found.data["weight"], found.data["looks"]) == ("no_data", 100, 0)
    assert found.data["reason"].startswith("no version served in production before")
    release.vote("production.monitor")
    done = release.resume("production.monitor", asked, {"state": "approved"})
    assert "accepted by Alice" in done["message"]


@pytest.mark.parametrize("analysis", [BUDGET])
class TestBudget:
    def test_a_budget_that_burns_in_both_windows_takes_the_traffic_back(
        self, release: Release, numbers: Numbers
    ) -> None:
        numbers.counts["bad", "1.1.0"], numbers.value = 30.0, 1000.0
        event = ended(release.run(FIRST))
        assert event["verdict"] == "fail", event
        assert event["reason"] == (
            "available: burns 30 times as fast as allowed over 1h and 30 over 2s (30 of 1000 bad); "
            "14.4 is the limit"
        )
        assert release.world.weights() == {"1.0.0": 100}
        assert len(looks(release)) == 2, "at the first look the short window is not full"

    def test_a_ticket_asks_people_at_the_end(self, release: Release, numbers: Numbers) -> None:
        numbers.counts["bad", "1.1.0"], numbers.value = 7.0, 1000.0
        waiting = release.run(FIRST)
        event = ended(waiting)
        assert event["verdict"] == "inconclusive", event
        assert event["reason"].startswith("available: ticket at look 3: burns 7 times as fast")
        state = looking_of(stored(waiting).watch).resumed(looks(release))
        assert (state.rounds, state.verdict, state.reason) == (3, "inconclusive", event["reason"])
        assert isinstance(release.resume(FIRST, waiting, event), TaskDeferred)

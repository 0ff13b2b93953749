"""What a watch asks a metrics server, and what a judge makes of the answers: by limits, or by comparing."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Protocol

from relman_plugins.clients.metrics.base import Answer, Question
from relman_plugins.domain.source import KINDS
from relman_plugins.domain.state import BASELINE
from relman_plugins.errors import ClientError
from relman_plugins.judge import burning, comparing, sampled, threshold

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relman_plugins.domain.event import Event
    from relman_plugins.domain.state import Revision
    from relman_plugins.plan.model import ComparedPlan, MetricPlan
    from relman_plugins.triggers.watch import Watch


class Asking(Protocol):
    """Whoever answers questions for a number."""

    async def number(self, question: Question) -> Answer:
        """Ask; raise ClientError as ``clients.metrics.base.Source`` does."""


State = threshold.State | comparing.State | sampled.State | burning.State
Judgement = threshold.Judgement | comparing.Judgement | sampled.Judgement | burning.Judgement


class Looking(Protocol):
    """One way to look: what is asked, and what is made of it. States are those of its judge."""

    def resumed(self, looks: Sequence[Event]) -> Any:
        """Return the state after the looks that are recorded of this release, oldest first."""

    async def ask(self, client: Asking) -> list[Any]:
        """Return what came back for each metric."""

    def judge(self, state: Any, came: list[Any], held: bool) -> Any:
        """Return what one more look says; where it is ``held``, not as the last, if it is a comparison's.

        May take a while: not for the event loop.
        """

    def note(self, came: list[Any]) -> dict[str, Any]:
        """Return what a span says of the answers."""

    def data(self, judgement: Any) -> dict[str, Any]:
        """Return what the ledger keeps of the look."""


def looking_of(watch: Watch) -> Looking:
    """Return how a watch looks."""
    match watch.analysis.judge:
        case "sequential":
            return Comparing(watch)
        case "mann_whitney":
            from relman_plugins.triggers.sampling import Sampling

            return Sampling(watch)
        case "slo":
            from relman_plugins.triggers.budgets import Budgets

            return Budgets(watch)
    return Limits(watch)


class Limits:
    """Each metric is one number of the new version, with limits."""

    def __init__(self, watch: Watch) -> None:
        self._watch, self._metrics = watch, watch.analysis.metrics

    def resumed(self, looks: Sequence[Event]) -> threshold.State:
        """Return the judge's state as this try of the step recorded it."""
        mine = [e for e in looks if e.key.startswith(self._watch.prefix + ":")]
        if not mine:
            return threshold.State()
        # A spool delivers late: the last event need not be the last look.
        return threshold.State.model_validate(
            max(mine, key=lambda e: e.data["state"]["rounds"]).data["state"]
        )

    async def ask(self, client: Asking) -> list[threshold.Measurement]:
        """Ask all at once."""
        return list(await asyncio.gather(*(self._measure(client, m) for m in self._metrics)))

    def judge(
        self, state: threshold.State, came: list[threshold.Measurement], held: bool
    ) -> threshold.Judgement:
        """Compare with the limits."""
        return threshold.step(state, came, rules=self._metrics, count=self._watch.count)

    def note(self, came: list[threshold.Measurement]) -> dict[str, Any]:
        """Return the values, and what went wrong."""
        errors = "; ".join(f"{m.name}: {m.error}" for m in came if m.error)
        return {"error": errors or None} | {f"value.{m.name}": m.value for m in came}

    def data(self, judgement: threshold.Judgement) -> dict[str, Any]:
        """Return the looks, and the state that goes on from them."""
        return {
            "look": judgement.state.rounds,
            "metrics": [look.data() for look in judgement.looks],
            "state": judgement.state.model_dump(mode="json"),
        }

    async def _measure(self, client: Asking, metric: MetricPlan) -> threshold.Measurement:
        try:
            found = await client.number(self._question(metric, metric.query))
            samples = await client.number(self._counting(metric, metric.samples)) if metric.samples else None
        except ClientError as error:
            return threshold.Measurement(name=metric.name, error=str(error))
        return threshold.Measurement(
            name=metric.name,
            value=found.value,
            samples=samples.value if samples else None,
            nothing=found.nothing,
        )

    def _question(self, metric: MetricPlan, query: str) -> Question:
        asked = question(self._watch, query, self._watch.candidate)
        return asked._replace(over_s=metric.over_s, take=metric.take)

    def _counting(self, metric: MetricPlan, query: str) -> Question:
        """Return the question for samples: of the same time where the source is told one, else as of now."""
        asked = question(self._watch, query, self._watch.candidate)
        told = KINDS[self._watch.analysis.source].series == "must"
        return asked._replace(over_s=metric.over_s, take="sum") if told else asked


class Comparing:
    """Each metric is a count of bad requests and one of all, of the new version and of the old one."""

    def __init__(self, watch: Watch) -> None:
        comparison = watch.analysis.comparison
        assert comparison is not None  # noqa: S101 - for the type checker; looking_of asked
        self._watch, self._metrics = watch, comparison.metrics
        self._terms = comparing.Terms(comparison, watch.false_alarms, watch.count, watch.control)

    def resumed(self, looks: Sequence[Event]) -> comparing.State:
        """Return what all recorded looks of this step say, also those of an earlier try that was lost.

        From here on looks also rest on those of the steps that it goes on from.
        """
        watch = self._watch
        same = [e for e in looks if e.data["analysis"] == watch.analysis.name]
        mine = [e for e in same if e.step == watch.step]
        earlier = comparing.carried(same, watch.earlier, mine, terms=self._terms)
        self._terms = self._terms._replace(earlier=earlier)
        return comparing.resumed(mine, terms=self._terms)

    async def ask(self, client: Asking) -> list[comparing.Counted]:
        """Ask for both versions at once, so that what they share is in the same looks of both."""
        window_s = max(0.001, time.time() - self._watch.started_at)
        return list(await asyncio.gather(*(self._measure(client, m, window_s) for m in self._metrics)))

    def judge(self, state: comparing.State, came: list[comparing.Counted], held: bool) -> comparing.Judgement:
        """Weigh the evidence of all looks so far."""
        terms = self._terms._replace(held=held)
        return comparing.step(state, came, terms=terms, run=self._watch.course)

    def note(self, came: list[comparing.Counted]) -> dict[str, Any]:
        """Return the counts, and what went wrong."""
        told: dict[str, Any] = {}
        for one in came:
            for arm, pair in (("old", one.control), ("new", one.experiment)):
                told[f"value.{one.name}.{arm}"] = f"{pair[0]}/{pair[1]}" if pair else None
        errors = "; ".join(f"{one.name}: {one.error}" for one in came if one.error)
        return {"error": errors or None} | told

    def data(self, judgement: comparing.Judgement) -> dict[str, Any]:
        """Return the looks: the state can be made of them."""
        held = {"held": True} if judgement.state.held else {}
        metrics = [look.data() for look in judgement.looks]
        return {"look": judgement.state.rounds, "metrics": metrics} | held

    async def _measure(self, client: Asking, metric: ComparedPlan, window_s: float) -> comparing.Counted:
        watch = self._watch
        if watch.stable is None:
            return comparing.Counted(metric.name)
        asked = [
            client.number(question(watch, query, version, window_s))
            for version in (watch.stable, watch.candidate)
            for query in (metric.bad, metric.total)
        ]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        numbers: list[float | None] = []
        for answer in answers:
            if isinstance(answer, ClientError):
                return comparing.Counted(metric.name, error=str(answer))
            if isinstance(answer, BaseException):
                raise answer
            numbers.append(answer.value)
        return comparing.counted(metric.name, numbers[:2], numbers[2:], watch.control)


def question(watch: Watch, query: str, version: Revision, window_s: float | None = None) -> Question:
    """Return the question about one of a watch's versions: about the old one's baseline if there is one."""
    return Question(
        query,
        service=watch.service,
        environment=watch.environment.name,
        version=version.version,
        track=BASELINE if watch.baseline and version == watch.stable else "",
        stable=watch.stable.version if watch.stable else None,
        window_s=window_s,
        take="mean" if window_s is None else "sum",
    )

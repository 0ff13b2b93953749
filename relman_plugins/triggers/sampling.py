"""Samples of both versions at each look, for the Mann-Whitney judge."""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING, Any

from relman_plugins.errors import ClientError
from relman_plugins.judge import sampled
from relman_plugins.triggers.looking import question

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relman_plugins.clients.metrics.base import Question
    from relman_plugins.domain.event import Event
    from relman_plugins.domain.state import Revision
    from relman_plugins.plan.judges import SampledMetricPlan
    from relman_plugins.triggers.looking import Asking
    from relman_plugins.triggers.watch import Watch


_AGO = re.compile(r"(?<!\$)\$(?:ago\b|\{ago\})")


def ago(query: str, back_s: float) -> str:
    """Put how long ago something is asked for into a query, in whole seconds: ``$ago`` is ``3600s``."""
    return _AGO.sub(f"{round(back_s)}s", query)


class Sampling:
    """Each metric is one number of the new version and one of the old one."""

    def __init__(self, watch: Watch) -> None:
        plan = watch.analysis.sampled
        assert plan is not None  # noqa: S101 - for the type checker; looking_of asked
        self._watch, self._metrics = watch, plan.metrics
        self._terms = sampled.Terms(plan, watch.count, watch.control)
        self._looks_back = plan.against == "before"
        self._rounds = 0

    def resumed(self, looks: Sequence[Event]) -> sampled.State:
        """Return what all recorded looks of this step say: the samples of a lost try are samples still."""
        watch = self._watch
        mine = [e for e in looks if e.step == watch.step and e.data["analysis"] == watch.analysis.name]
        state = sampled.resumed(mine, terms=self._terms)
        self._rounds = state.rounds
        return state

    async def ask(self, client: Asking) -> list[sampled.Sample]:
        """Ask for both versions at once, so that what they share is in the same looks of both."""
        return list(await asyncio.gather(*(self._measure(client, m) for m in self._metrics)))

    def judge(self, state: sampled.State, came: list[sampled.Sample], held: bool) -> sampled.Judgement:
        """Add the samples; judge when all are there."""
        judged = sampled.step(state, came, terms=self._terms)
        self._rounds = judged.state.rounds
        return judged

    def note(self, came: list[sampled.Sample]) -> dict[str, Any]:
        """Return the numbers, and what went wrong."""
        errors = "; ".join(f"{one.name}: {one.error}" for one in came if one.error)
        told: dict[str, Any] = {"error": errors or None}
        for one in came:
            told |= {f"value.{one.name}.old": one.control, f"value.{one.name}.new": one.experiment}
        return told

    def data(self, judgement: sampled.Judgement) -> dict[str, Any]:
        """Return the looks: the state can be made of them."""
        return {"look": judgement.state.rounds, "metrics": [look.data() for look in judgement.looks]}

    async def _measure(self, client: Asking, metric: SampledMetricPlan) -> sampled.Sample:
        watch = self._watch
        if watch.stable is None:
            return sampled.Sample(metric.name)
        back = self._back_s() if self._looks_back else 0.0
        try:
            old, new = await asyncio.gather(
                *(
                    client.number(self._question(metric, version, back_s))
                    for version, back_s in ((watch.stable, back), (watch.candidate, 0.0))
                )
            )
        except ClientError as error:
            return sampled.Sample(metric.name, error=str(error))
        return sampled.Sample(metric.name, old.value, new.value)

    def _back_s(self) -> float:
        """Return how long before this look the old version is looked at."""
        watch = self._watch
        if not watch.before_at:
            return watch.ago_s
        then = watch.before_at + (self._rounds + 1) * watch.interval_s
        return max(0.0, time.time() - then)

    def _question(self, metric: SampledMetricPlan, version: Revision, back_s: float) -> Question:
        asked = question(self._watch, ago(metric.query, back_s), version)
        return asked._replace(over_s=metric.over_s, take=metric.take)

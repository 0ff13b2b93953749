"""How fast error budgets burn: what each look asks, for the judge of service level objectives."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from relman_plugins.domain.look import NEW
from relman_plugins.errors import ClientError
from relman_plugins.judge import burning
from relman_plugins.judge.counting import pair_of
from relman_plugins.triggers.looking import question

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relman_plugins.domain.event import Event
    from relman_plugins.judge.counting import Pair
    from relman_plugins.plan.judges import ObjectivePlan
    from relman_plugins.triggers.looking import Asking
    from relman_plugins.triggers.watch import Watch


class Budgets:
    """Each metric is bad and all requests, in each of the windows."""

    def __init__(self, watch: Watch) -> None:
        plan = watch.analysis.budget
        assert plan is not None  # noqa: S101 - for the type checker; looking_of asked
        self._watch, self._metrics = watch, plan.metrics
        self._terms = burning.Terms(plan.metrics, plan.windows, watch.count)

    def resumed(self, looks: Sequence[Event]) -> burning.State:
        """Return what the looks of this try of the step say."""
        state = burning.State()
        mine = [e for e in looks if e.key.startswith(self._watch.prefix + ":")]
        for _, judgement in burning.again(mine, terms=self._terms):
            state = judgement.state
        return state

    async def ask(self, client: Asking) -> list[burning.Burned]:
        """Ask all at once."""
        age = max(0.001, time.time() - self._watch.started_at)
        return list(await asyncio.gather(*(self._measure(client, m, age) for m in self._metrics)))

    def judge(self, state: burning.State, came: list[burning.Burned], held: bool) -> burning.Judgement:
        """Compare the burn rates with their limits."""
        return burning.step(state, came, terms=self._terms)

    def note(self, came: list[burning.Burned]) -> dict[str, Any]:
        """Return the counts, and what went wrong."""
        told: dict[str, Any] = {}
        for one in came:
            for length, pair in one.windows.items():
                told[f"value.{one.name}.{burning.span(length)}"] = f"{pair[0]}/{pair[1]}" if pair else None
        errors = "; ".join(f"{one.name}: {one.error}" for one in came if one.error)
        return {"error": errors or None} | told

    def data(self, judgement: burning.Judgement) -> dict[str, Any]:
        """Return the looks: the state can be made of them."""
        return {"look": judgement.state.rounds, "metrics": [look.data() for look in judgement.looks]}

    async def _measure(self, client: Asking, metric: ObjectivePlan, age: float) -> burning.Burned:
        """Ask for each window; one that is longer than the watch has lasted is what there is of it."""
        spans = {length: round(1000 * min(length, age)) for length in self._terms.lengths}
        try:
            pairs = await asyncio.gather(
                *(self._pair(client, metric, ms / 1000) for ms in dict.fromkeys(spans.values()))
            )
        except (ClientError, ValueError) as error:
            return burning.Burned(metric.name, error=str(error))
        by_span = dict(zip(dict.fromkeys(spans.values()), pairs, strict=True))
        return burning.Burned(metric.name, age, {length: by_span[ms] for length, ms in spans.items()})

    async def _pair(self, client: Asking, metric: ObjectivePlan, window_s: float) -> Pair | None:
        watch = self._watch
        bad, total = await asyncio.gather(
            *(
                client.number(question(watch, query, watch.candidate, window_s))
                for query in (metric.bad, metric.total)
            )
        )
        return pair_of(NEW, [bad.value, total.value])

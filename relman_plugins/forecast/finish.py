"""When a release, and each of its stages, will be done: the plan is played through again and again.

Each time every step that is left takes as long as :mod:`.belief` draws for it, waits for its window's next
opening, and begins when what it needs has ended. A step under way has lasted as long as it has. Of all the
ends, the middle one is P50, the one that nine of ten do not exceed is P90.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from statistics import median

from pydantic import Field

from relman_plugins.calendars.series import Span
from relman_plugins.domain.base import Frozen
from relman_plugins.forecast.belief import Belief, believe
from relman_plugins.forecast.history import ready_at
from relman_plugins.plan.ends import BESIDES
from relman_plugins.plan.model import Shape, Step, StepKind
from relman_plugins.plan.times import MINIMUM_DEFERRAL_S

DRAWS = 400
"""How often the plan is played through: the P90 of that many is off by about 1.5 % of the draws."""
NEVER_S = 400 * 86_400.0
"""A window that does not open within what was looked at is taken to open then."""


class Openings(Frozen):
    """When a window gate is closed, in order and not touching; after the last one it is open."""

    closed: tuple[Span, ...] = ()
    need_s: float = 0.0
    """For how long it must stay open from when a release goes through."""

    def next(self, at: datetime) -> datetime:
        """Return the first moment from ``at`` (aware) on at which a release goes through."""
        place = max(bisect_right(self.closed, at, key=lambda span: span.start) - 1, 0)
        for span in self.closed[place:]:
            if at >= span.end:
                continue
            if at < span.start and at + timedelta(seconds=self.need_s) <= span.start:
                return at
            at = max(at, span.end)
        return at


class Frost(Frozen):
    """A freeze that ends by itself, for one step that it holds up."""

    until: datetime
    at_end: bool = False
    """Whether the step waits before its last act only, and not before it begins."""


class Known(Frozen):
    """What is known of a release, and of its pipeline."""

    opened_at: datetime
    ended: dict[str, datetime]
    """When each step had its end."""
    took: dict[str, tuple[float, ...]] = Field(default_factory=dict)
    """Seconds that each step took in earlier releases."""
    releases: int = 0
    """How many releases these are of."""
    openings: dict[str, Openings] = Field(default_factory=dict)
    """By the id of the window's step."""
    frozen: dict[str, Frost] = Field(default_factory=dict)
    """What a freeze does to each step that it holds up, by id."""


class StageForecast(Frozen):
    """When a stage will be done."""

    stage: str
    p50: datetime
    p90: datetime


class Critical(Frozen):
    """A step that the end waits for."""

    step: str
    kind: str
    share: float
    """How often it was among those that decide when the end comes."""
    seconds: float
    """How long it is still waited for there then, in the middle."""


class Late(Frozen):
    """An answer that will, at this pace, come too late for the present opening of a window."""

    gate: str
    window: str
    closes_at: datetime
    """When the opening ends."""
    chance: float
    """That the stage's first change misses it."""


class Forecast(Frozen):
    """When a release will be done, and what that depends on."""

    at: datetime
    """When it was made, UTC."""
    p05: datetime
    p50: datetime
    p90: datetime
    p95: datetime
    stages: tuple[StageForecast, ...]
    critical: tuple[Critical, ...]
    """What is waited for on the way to the end, the longest wait first."""
    late: tuple[Late, ...] = ()
    releases: int
    """How many earlier releases it rests on."""
    guessed: tuple[str, ...]
    """Steps of which no earlier release says anything."""


def forecast(
    shape: Shape,
    known: Known,
    now: datetime,
    *,
    seed: str,
    draws: int = DRAWS,
    minimum_s: float = MINIMUM_DEFERRAL_S,
) -> Forecast:
    """Say when a release that goes on will be done. ``now`` is aware; the same seed gives the same answer."""
    steps = [step for step in shape.steps if step.kind not in BESIDES]
    left = [step for step in steps if step.id not in known.ended]
    beliefs = {s.id: believe(shape, s, known.took.get(s.id, ()), minimum_s) for s in left}
    # What it is made of is public: nothing here is a secret.
    chance = random.Random(seed)  # noqa: S311
    plays = [_play(steps, beliefs, known, now, chance) for _ in range(draws)]
    ends = sorted(max((play[s.id] for s in left), default=now) for play in plays)
    stages = dict.fromkeys(s.stage for s in left if s.stage)
    return Forecast(
        at=now,
        p05=_at(ends, 0.05),
        p50=_at(ends, 0.50),
        p90=_at(ends, 0.90),
        p95=_at(ends, 0.95),
        stages=tuple(_stage(stage, left, plays) for stage in stages),
        critical=_critical(left, plays, known, now),
        late=tuple(_late(shape, left, plays, known, now)),
        releases=known.releases,
        guessed=tuple(s.id for s in left if not known.took.get(s.id) and s.kind is not StepKind.WINDOW),
    )


def _play(
    steps: Sequence[Step],
    beliefs: Mapping[str, Belief],
    known: Known,
    now: datetime,
    chance: random.Random,
) -> dict[str, datetime]:
    ends: dict[str, datetime] = {}
    for step in steps:
        if step.id in known.ended:
            ends[step.id] = known.ended[step.id]
            continue
        begun = _begun(step, ends, known.opened_at)
        if step.kind is StepKind.WINDOW:
            opens = known.openings.get(step.id, Openings()).next(max(begun, now))
            ends[step.id] = opens + timedelta(seconds=beliefs[step.id].draw(chance))
            continue
        frost = known.frozen.get(step.id)
        if frost is not None and not frost.at_end and frost.until > max(begun, now):
            begun = frost.until
        lasted = max((now - begun).total_seconds(), 0.0)
        end = begun + timedelta(seconds=min(beliefs[step.id].draw(chance, lasted), NEVER_S))
        ends[step.id] = max(end, frost.until) if frost is not None else end
    return ends


def _begun(step: Step, ends: Mapping[str, datetime], opened_at: datetime) -> datetime:
    return max((ends[needed] for needed in step.needs if needed in ends), default=opened_at)


def _at(ends: Sequence[datetime], share: float) -> datetime:
    """Return the end that a share of the draws does not exceed, to the second."""
    return ends[min(int(share * len(ends)), len(ends) - 1)].replace(microsecond=0)


def _stage(stage: str, left: Sequence[Step], plays: Sequence[Mapping[str, datetime]]) -> StageForecast:
    mine = [s.id for s in left if s.stage == stage]
    ends = sorted(max(play[step] for step in mine) for play in plays)
    return StageForecast(stage=stage, p50=_at(ends, 0.50), p90=_at(ends, 0.90))


def _critical(
    left: Sequence[Step], plays: Sequence[Mapping[str, datetime]], known: Known, now: datetime
) -> tuple[Critical, ...]:
    """Follow each play back from its last end, always to the need that came last."""
    by_id: dict[str, Step] = {s.id: s for s in left}
    waited: dict[str, list[float]] = {}
    for play in plays:
        step = max(left, key=lambda s: play[s.id], default=None)
        while step is not None:
            begun = max(_begun(step, play, known.opened_at), now)
            waited.setdefault(step.id, []).append((play[step.id] - begun).total_seconds())
            last = max((n for n in step.needs if n in play), key=lambda n: play[n], default="")
            step = by_id.get(last)
    found = [
        Critical(
            step=id_,
            kind=by_id[id_].kind.value,
            share=round(len(seconds) / len(plays), 3),
            seconds=round(median(seconds), 1),
        )
        for id_, seconds in waited.items()
    ]
    return tuple(sorted(found, key=lambda one: -one.share * one.seconds))


def _late(
    shape: Shape,
    left: Sequence[Step],
    plays: Sequence[Mapping[str, datetime]],
    known: Known,
    now: datetime,
) -> list[Late]:
    """Say which answers that are asked for now will miss the present opening of their stage's window."""
    found = []
    for window in (s for s in left if s.kind is StepKind.WINDOW):
        openings = known.openings.get(window.id, Openings())
        closes_at = next((span.start for span in openings.closed if span.start > now), None)
        if closes_at is None or openings.next(now) != now:
            continue
        asked = [
            s
            for s in left
            if s.kind in (StepKind.APPROVAL, StepKind.CHECKLIST)
            and s.stage == window.stage
            and ready_at(s, known.ended, known.opened_at) is not None
        ]
        chance = sum(play[window.id] >= closes_at for play in plays) / len(plays)
        if asked and chance > 0.5:
            gate = asked[0].id
            found.append(Late(gate=gate, window=window.id, closes_at=closes_at, chance=round(chance, 3)))
    return found

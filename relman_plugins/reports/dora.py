"""The four figures of DORA over a time, from what the ledger recorded. Pure.

Names and meanings are those of dora.dev ("DORA's software delivery performance metrics"); medians are taken
as in the *Four Keys* project (github.com/dora-team/fourkeys). Where relman can't know what they ask for,
the nearest thing in the record stands for it, and ``DEFINITIONS`` says so. What can't be computed is None,
never 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from statistics import median

from relman_plugins.domain.base import Frozen
from relman_plugins.domain.event import Kind
from relman_plugins.domain.status import Outcome
from relman_plugins.ledger.api import Moment
from relman_plugins.reports.text import duration

WEEK_S = 7 * 86_400.0

SOURCE = "dora.dev, software delivery performance metrics; medians as in github.com/dora-team/fourkeys"

DEFINITIONS = {
    "deployment frequency": (
        "releases whose version became the environment's stable one, per week of the period"
    ),
    "lead time for changes": (
        "median time from the opening of the release to its version being the stable one. DORA measures "
        "from the commit; relman knows no commits, so the time before the release is missing"
    ),
    "change failure rate": (
        "of the releases whose version got traffic there, the share whose version was taken back, whoever "
        "did it, or that ended without it ever being the stable one. A failure that people mended by another "
        "release is not known"
    ),
    "time to restore": (
        "median time from the version's first traffic to all traffic being back at the old version, of the "
        "releases that failed. DORA calls it failed deployment recovery time"
    ),
}


class Figures(Frozen):
    """The figures of one pipeline in one environment, or of all together."""

    pipeline: str
    """Empty: all together."""
    environment: str
    """Empty when they are several."""
    deployments: int
    per_week: float | None
    """None for a period without length."""
    lead_time_s: float | None
    """Seconds; None without deployments."""
    changes: int
    """Releases whose version got traffic."""
    failures: int
    failure_rate: float | None
    """0 to 1; None without changes."""
    time_to_restore_s: float | None
    """Seconds; None unless something was restored."""
    not_restored: int
    """Failures of which nobody recorded that the old version has the traffic again."""


class Dora(Frozen):
    """The figures of a period."""

    since: datetime
    until: datetime
    """Not included."""
    source: str = SOURCE
    definitions: dict[str, str] = DEFINITIONS
    pipelines: tuple[Figures, ...]
    together: Figures


class _Change(Frozen):
    """One release in one environment, as far as users met it."""

    opened_at: datetime
    exposed_at: datetime | None
    promoted_at: datetime | None
    back_at: datetime | None
    lost: bool
    """Whether it ended without being promoted or taken back."""

    @property
    def failed(self) -> bool:
        return self.back_at is not None or self.lost


def dora_of(found: Mapping[tuple[str, str], Iterable[Moment]], since: datetime, until: datetime) -> Dora:
    """Return the figures of each pipeline and environment, and of all together.

    ``found`` has what happened, in any order. A deployment belongs to the period in which its version became
    the stable one, a change to the one in which it first got traffic; what followed is told as far as it is
    known now, also when it came after the period.
    """
    changes = {key: _changes(moments) for key, moments in found.items()}
    environments = {environment for _, environment in changes}
    every = [change for own in changes.values() for change in own]
    return Dora(
        since=since,
        until=until,
        pipelines=tuple(_figures(*key, own, since, until) for key, own in sorted(changes.items())),
        together=_figures("", environments.pop() if len(environments) == 1 else "", every, since, until),
    )


def cells(one: Figures) -> tuple[str, ...]:
    """Return the figures in words: deployments, per week, lead time, change failure rate, time to restore."""
    restore = "unknown" if one.failures else "nothing failed"
    if one.time_to_restore_s is not None:
        restore = duration(one.time_to_restore_s)
    if one.not_restored:
        restore += f"; {one.not_restored} not restored"
    return (
        str(one.deployments),
        f"{one.per_week:.1f}" if one.per_week is not None else "unknown",
        duration(one.lead_time_s) if one.lead_time_s is not None else "no deployment",
        f"{one.failure_rate:.0%} ({one.failures} of {one.changes})"
        if one.failure_rate is not None
        else "no change",
        restore if one.changes else "no change",
    )


def _changes(moments: Iterable[Moment]) -> list[_Change]:
    releases: dict[str, list[Moment]] = {}
    for moment in moments:
        releases.setdefault(moment.release_id, []).append(moment)
    return [_change(sorted(own, key=lambda m: m.at)) for own in releases.values()]


def _change(own: list[Moment]) -> _Change:
    exposing = (m for m in own if m.kind is Kind.CHANGE_FINISHED and (m.weight > 0 or m.promoted))
    withdrawn = (m for m in own if m.kind is Kind.TRAFFIC_WITHDRAWN)
    # A candidate whose traffic was withdrawn had some, even if nobody could record when it got it.
    first = min((m.at for m in (*exposing, *withdrawn)), default=None)
    back = (m.at for m in own if m.kind in (Kind.TRAFFIC_WITHDRAWN, Kind.ROLLBACK_FINISHED))
    back_at = next((at for at in back if first is not None and at >= first), None)
    promoted = next((m.at for m in own if m.kind is Kind.CHANGE_FINISHED and m.promoted), None)
    ended = any(m.kind is Kind.RELEASE_CLOSED and m.outcome != Outcome.SUCCEEDED for m in own)
    return _Change(
        opened_at=own[0].opened_at,
        exposed_at=first,
        promoted_at=promoted,
        back_at=back_at,
        lost=ended and first is not None and promoted is None and back_at is None,
    )


def _figures(
    pipeline: str, environment: str, own: list[_Change], since: datetime, until: datetime
) -> Figures:
    weeks = (until - since).total_seconds() / WEEK_S
    leads = [
        max(0.0, (c.promoted_at - c.opened_at).total_seconds())
        for c in own
        if c.promoted_at is not None and since <= c.promoted_at < until
    ]
    met = [c for c in own if c.exposed_at is not None and since <= c.exposed_at < until]
    failed = [c for c in met if c.failed]
    restored = [(c.back_at - c.exposed_at).total_seconds() for c in failed if c.back_at and c.exposed_at]
    return Figures(
        pipeline=pipeline,
        environment=environment,
        deployments=len(leads),
        per_week=len(leads) / weeks if weeks > 0 else None,
        lead_time_s=median(leads) if leads else None,
        changes=len(met),
        failures=len(failed),
        failure_rate=len(failed) / len(met) if met else None,
        time_to_restore_s=median(restored) if restored else None,
        not_restored=len(failed) - len(restored),
    )

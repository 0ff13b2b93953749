"""What a metrics server counted of two versions: whole numbers that can be what they should, or why not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from relman_plugins.domain.look import NEW, OLD
from relman_plugins.judge.series import MOST

Pair = tuple[int, int]
"""Bad requests, and all requests."""


class Counted(NamedTuple):
    """What came back for one metric: counts since the comparison began, or why there are none."""

    name: str
    control: Pair | None = None
    """Of the old version; None when the queries gave no number."""
    experiment: Pair | None = None
    """Of the new version."""
    error: str | None = None
    """Why a query was not answered, or can't be what it should; then the counts mean nothing."""


def counted(
    name: str, control: Sequence[float | None], experiment: Sequence[float | None], against: str = OLD
) -> Counted:
    """Return what came back of ``[bad, total]`` of both versions: whole numbers, or why they are none.

    Counts of a metrics server are estimates (Prometheus extrapolates to the ends of a range), so they are
    rounded, and a few more bad ones than there are in all are taken for all.

    Where the old version had requests and the query for bad ones has a value for the new one, no value for
    the old one means that none was bad. The other way round it may be the new version that counts otherwise,
    in buckets of other sizes say, so it stays unknown.
    """
    if control[0] is None and control[1] is not None and experiment[0] is not None:
        control = [0.0, control[1]]
    try:
        return Counted(name, pair_of(against, control), pair_of(NEW, experiment))
    except ValueError as error:
        return Counted(name, error=str(error))


def pair_of(whose: str, numbers: Sequence[float | None]) -> Pair | None:
    """Return ``[bad, total]`` of a side as whole numbers; None where one of them is missing.

    Raises:
        ValueError: They can't be what they should; with the reason.
    """
    known = [number for number in numbers if number is not None]
    if odd := [n for n in known if not math.isfinite(n) or not -0.5 <= n <= MOST]:
        raise ValueError(f"{odd[0]:g} is no number of requests (of the {whose})")
    if len(known) < 2:
        return None
    bad, total = (max(0, round(n)) for n in known)
    if bad > 1.1 * total + 1:
        raise ValueError(f"{bad} bad of {total} requests of the {whose}: bad must count some of total's")
    return min(bad, total), total


def plausible(came: Counted, mark: tuple[Pair, Pair], against: str = OLD) -> Counted:
    """Return an error for a total clearly below what was counted before; estimates go back a little."""
    if came.error is not None:
        return came
    for whose, pair, (_, before) in ((NEW, came.experiment, mark[1]), (against, came.control, mark[0])):
        if pair is not None and pair[1] < 0.9 * before - 1:
            said = f"fewer requests of the {whose} than at a look before: {pair[1]} after {before}"
            return Counted(came.name, error=said)
    return came


def more(pair: Pair, mark: Pair) -> Pair:
    """Return what is new: never less than nothing, and never more bad ones than requests."""
    total = max(0, pair[1] - mark[1])
    return min(max(0, pair[0] - mark[0]), total), total

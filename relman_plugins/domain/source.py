"""Kinds of sources that numbers come from, as specs name them, and what is asked of each in which way."""

from __future__ import annotations

from typing import Literal, NamedTuple

Take = Literal["mean", "max", "min", "sum", "last"]
"""What is made of a series: one number."""

DEFAULT = "prometheus"


class Kind(NamedTuple):
    """What everybody has to know of a kind of source: specs, plans and clients."""

    label: str
    """What people call it."""
    language: str
    """What its queries are written in."""
    ranged: bool = False
    """Whether it can be asked for a series, of which one number is taken (``over`` and ``take``)."""


KINDS: dict[str, Kind] = {
    "prometheus": Kind("Prometheus", "PromQL", ranged=True),
}
"""Name in specs → kind."""

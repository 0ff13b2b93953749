"""Desired and observed state: the only language that platforms speak."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from relman_plugins.domain.base import Frozen


def _is_none(value: object) -> bool:
    # Left out then, so that what was recorded before the field was there keeps its digest.
    return value is None


def _is_false(value: object) -> bool:
    return value is False


class Revision(Frozen):
    """One deployable version of a service, identified by content.

    Two revisions are the same only when version *and* digest are.
    """

    version: str
    digest: str
    """``sha256:<hex>`` of the artifact."""
    uri: str
    """Where the platform fetches the artifact: ``file:///…`` or an address it understands."""
    image: str | None = Field(default=None, exclude_if=_is_none)
    """The container image that was built with the artifact, by digest: ``<repository>@sha256:<hex>``."""


BASELINE = "baseline"
"""The track of a fresh baseline's replicas, and of what they count; everything else has none."""


class RollingBounds(Frozen):
    """How far a platform that replaces replicas by itself may go from their number meanwhile: counts."""

    max_surge: int = Field(ge=0)
    max_unavailable: int = Field(ge=0)


class DesiredState(Frozen):
    """What an environment should run for one service.

    ``stable`` carries the traffic that ``candidate`` and ``baseline`` do not. An empty environment is
    ``stable=None, candidate=None``.
    """

    stable: Revision | None = None
    candidate: Revision | None = None
    candidate_weight: int = Field(default=0, ge=0, le=100)
    """Share of the traffic that the candidate gets, in percent."""
    stable_replicas: int = Field(default=0, ge=0)
    candidate_replicas: int = Field(default=0, ge=0)
    baseline: bool = Field(default=False, exclude_if=_is_false)
    """Whether a fresh baseline runs beside the candidate: as many new replicas of the stable revision, with
    as much of the traffic. Only where the platform is :class:`relman_plugins.platforms.base.Baselines`."""
    config: dict[str, str] = Field(default_factory=dict)
    """Environment variables every replica gets. Never secrets."""
    rolling: RollingBounds | None = Field(default=None, exclude_if=_is_none)
    """Replace the stable revision's replicas one by one within these bounds, where the platform does that."""
    returning: bool = Field(default=False, exclude_if=_is_false)
    """Whether this takes a change back: a stable revision that runs still is left as it was made, whatever
    has become of manifests and configuration meanwhile."""

    @model_validator(mode="after")
    def _weights_have_somewhere_to_go(self) -> Self:
        if self.candidate is None and self.candidate_weight:
            raise ValueError("candidate_weight needs a candidate")
        if self.stable is None and self.candidate is not None and self.candidate_weight != 100:
            raise ValueError("without a stable revision the candidate takes all the traffic")
        if self.baseline and (self.stable is None or self.candidate is None or self.stable_weight < 0):
            raise ValueError("a baseline needs a stable revision, and a candidate with at most 50 %")
        return self

    @property
    def stable_weight(self) -> int:
        """Share of the traffic that is left for the stable revision, in percent."""
        return 100 - self.candidate_weight * (2 if self.baseline else 1)


class ObservedRevision(Frozen):
    """One revision as the platform sees it."""

    revision: Revision
    replicas: int
    """Replicas asked for."""
    ready: int
    """Replicas that answer their health check *and* prove the revision's identity."""
    weight: int
    """Share of the traffic routed to it, in percent."""


class ObservedState(Frozen):
    """What an environment really runs for one service."""

    exists: bool = True
    """False when nothing of the environment is there: no process, port, route or data directory."""
    stable: ObservedRevision | None = None
    candidate: ObservedRevision | None = None
    baseline: ObservedRevision | None = Field(default=None, exclude_if=_is_none)
    """Fresh replicas of the stable revision that the candidate is compared with."""
    url: str | None = None
    """Address of the front door for this service, if it has one."""
    token: int = 0
    """The highest fencing token the platform has accepted."""
    served: dict[str, int] = Field(default_factory=dict)
    """Requests answered so far by version, if the platform counts them; only differences mean something."""
    config: dict[str, str] | None = None
    """Variables that the stable revision's replicas were given, without those of a secret store; None when
    there is no stable revision or the platform can't tell. What is recorded of a state leaves them out."""
    messages: tuple[str, ...] = ()
    """What the platform wants people to know: crash loops, refused artifacts."""

    def matches(self, desired: DesiredState) -> bool:
        """Say whether the world is as desired: the same revisions, all replicas ready, the same weights."""
        beside = (desired.candidate_replicas, desired.candidate_weight)
        return (
            _same(self.stable, desired.stable, desired.stable_replicas, desired.stable_weight)
            and _same(self.candidate, desired.candidate, *beside)
            and _same(self.baseline, desired.stable if desired.baseline else None, *beside)
        )


def served_since(before: ObservedState, now: ObservedState, candidate: Revision) -> dict[str, int]:
    """Return how many requests a version answered between two looks, and how many were answered in all.

    ``{"candidate", "total"}``; empty when the platform does not count.
    """
    if not now.served:
        return {}
    # A platform that was set up anew counts from zero again.
    grown = {version: max(0, count - before.served.get(version, 0)) for version, count in now.served.items()}
    return {"candidate": grown.get(candidate.version, 0), "total": sum(grown.values())}


def _same(seen: ObservedRevision | None, wanted: Revision | None, replicas: int, weight: int) -> bool:
    if wanted is None:
        return seen is None
    return (
        seen is not None
        and (seen.revision.version, seen.revision.digest) == (wanted.version, wanted.digest)
        and seen.ready == seen.replicas == replicas
        and seen.weight == weight
    )

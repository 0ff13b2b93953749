"""What a router is to relman: objects that say how the traffic is split, written and read back.

All routers send to a Service of each slot's own. What they don't split goes by the Service of the manifests.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from math import gcd
from typing import Any, ClassVar, NamedTuple

from relman_plugins.domain.base import canonical_json
from relman_plugins.errors import PlatformRejected
from relman_plugins.platforms.kubernetes.objects import SLOTS, Obj, Objects, bare


class Split(NamedTuple):
    """How the traffic is to be split."""

    first: str
    """The slot that leads: by its manifests it goes."""
    weights: Mapping[str, int]
    """Percent by slot."""
    versions: Mapping[str, Objects]
    """What is in each slot."""

    @property
    def lead(self) -> Objects:
        """Return what the version is made from that leads."""
        return self.versions[self.first]

    @property
    def route(self) -> Obj:
        """Return the object that the router goes by, as its manifest is applied."""
        return self.lead.as_ours(self.lead.workload.route or {})

    def ends(self, port: Any, of: Objects, kind: str, *, must: bool) -> Iterator[tuple[str, str, Any]]:
        """Yield each slot that requests to a port go to, with its Service and its port there.

        Args:
            port: the number in an object of a router; None where that names none.
            of: the version whose port it is.
            kind: of that object.
            must: whether a version that is to have traffic must have such a port; else it is left out.

        Raises:
            PlatformRejected: one that must has none.
        """
        for slot in (s for s in SLOTS if s in self.weights):
            its = self.versions[slot].counterpart(port, of) if port is not None else None
            if port is None or its is not None:
                yield slot, self.versions[slot].service_name(slot if self.lead.workload.routed else ""), its
            elif must and self.weights[slot]:
                raise PlatformRejected(
                    f"the {kind} sends to port {port} of Service {of.service_name()}, and one "
                    "of the two versions has no such port: give it the same name in both, and remove it "
                    "with a later version"
                )

    def known(self) -> dict[str, Objects]:
        """Return the versions by the names of their slots' Services."""
        return {objects.service_name(slot): objects for slot, objects in self.versions.items()}


class Router(ABC):
    """Splits the traffic of one Service by weight. Keeps nothing."""

    kind: ClassVar[str]
    """Of its objects."""
    tells: ClassVar[bool]
    """Whether its objects come to say that a router has taken them."""
    tells_weights: ClassVar[bool] = False
    """Whether they say so of each weight."""

    def names(self, made: Objects) -> tuple[str, ...]:
        """Return the names of all objects by which the traffic of a version may go, the main one first."""
        route = made.workload.route
        return (str(route["metadata"]["name"]),) if route is not None else ()

    @abstractmethod
    def written(self, split: Split) -> list[Obj]:
        """Return the objects that are to be there, in the order in which they are written.

        Raises:
            PlatformRejected: a version that is to have traffic has no port for it.
        """

    @abstractmethod
    def rerouted(self, live: Obj, split: Split) -> Obj | None:
        """Return an object that is there and is to go, so that it sends as the split says; None: it does.

        What none of the versions has a port for is sent nowhere. When the version that leads has no router,
        all is sent to its Service: slots have none of their own.
        """

    @abstractmethod
    def shares(self, live: Obj, slots: Mapping[str, str]) -> dict[str, int]:
        """Return what an object by itself sends to slots, in percent.

        Args:
            live: the object.
            slots: by the name of its Service.
        """

    def told(
        self, there: Mapping[str, Obj], made: Objects, slots: Mapping[str, str], selected: str
    ) -> dict[str, int]:
        """Return the share by slot, in percent, as the router is told; empty when it is told nothing.

        Args:
            there: the router's objects, by name.
            made: the version that leads.
            slots: by the name of its Service.
            selected: the slot that the Service of the manifests selects.
        """
        main = there.get(self.names(made)[0])
        return self.shares(main, slots) if main is not None else {}

    @abstractmethod
    def untaken(self, there: Mapping[str, Obj], made: Objects) -> str:
        """Return why the router has not taken its objects as they are; empty when it has, or can't say."""

    def check(self, old: Objects, new: Objects) -> None:  # noqa: B027 - most routers refuse nothing
        """Raise PlatformRejected when one version can't lead after the other without lost requests."""

    def unsplit(self, spec: Obj) -> None:  # noqa: B027 - not all write into the spec of the manifests
        """Change a spec to what it is whatever the weights are, for comparison."""


class OneObject(Router):
    """A router that goes by one object, which has what is to be split in its spec."""

    @abstractmethod
    def split(self, made: Obj, ours: Mapping[str, Objects], split: Split, *, must: bool) -> Obj:
        """Return an object whose spec sends as the split says; see `Split.ends` for ``must``.

        Args:
            made: the object, which is changed.
            ours: whose Service each name stands for.
            split: how the traffic is to be split.
            must: whether a version that is to have traffic must have a port for it.
        """

    def written(self, split: Split) -> list[Obj]:
        """Return the object; see `Router.written`."""
        lead = split.lead
        return [self.split(split.route, {lead.service_name(): lead}, split, must=True)]

    def rerouted(self, live: Obj, split: Split) -> Obj | None:
        """Return it split anew; see `Router.rerouted`."""
        return self.split(rerouting(split.lead, self.kind, live), split.known(), split, must=False)


def rerouting(objects: Objects, kind: str, live: Obj) -> Obj:
    """Return an object that is there, as relman applies it to change it."""
    meta = {k: live["metadata"][k] for k in ("name", "namespace")} | {"labels": objects.owned}
    return bare(kind, live) | {"metadata": meta}


def shared_out(rules: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Return the shares in percent of the first rule that sends anything to slots."""
    for weights in rules:
        if total := sum(weights.values()):
            return {slot: round(100 * weight / total) for slot, weight in weights.items()}
    return {}


def without_slot(name: str) -> str:
    """Return the name of the Service of the manifests, from that or from a slot's."""
    root, _, slot = name.rpartition("-")
    return root if slot in SLOTS else name


def weighted(ends: Iterable[tuple[Obj, int]]) -> list[Obj]:
    """Return backends with these weights: in percent, where whole numbers can say it.

    Of what was split already each slot is there by itself; what is the same but for its weight becomes one.
    """
    found: dict[str, tuple[Obj, int]] = {}
    for end, weight in ends:
        key = canonical_json({k: v for k, v in end.items() if k != "weight"})
        found[key] = (end, weight + found.get(key, (end, 0))[1])
    weights = [weight for _, weight in found.values()]
    total, common = sum(weights) or 1, gcd(*weights) or 1
    percent = all(100 * weight % total == 0 for weight in weights)
    return [
        end | {"weight": 100 * weight // total if percent else weight // common}
        for end, weight in found.values()
    ]

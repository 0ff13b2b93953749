"""What the front door counts, by environment, service and version; a baseline's apart, by its track."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from relman_plugins.platforms.sandbox.counters import Counters

if TYPE_CHECKING:
    from relman_plugins.platforms.sandbox.deployment import Deployment

REQUESTS = "relman_requests_total"
DURATION = "relman_request_duration_seconds"
REPLICAS = "relman_replicas"
WEIGHT = "relman_weight"

HELP = {
    REQUESTS: ("counter", "Requests answered, by status code."),
    DURATION: ("histogram", "Seconds from the request's arrival to the end of its answer."),
    REPLICAS: ("gauge", "Replicas that are ready."),
    WEIGHT: ("gauge", "Share of the traffic, in percent."),
}

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the histogram, in seconds; those of Prometheus's client libraries."""

FIRST_CODES = ("200", "500", "502", "503")
"""Codes that exist at 0 from the start: an increase is seen only from a series that was there before."""

Labels = tuple[tuple[str, str], ...]
"""Sorted; includes ``__name__``."""

_BOUNDS = tuple(f"{b:g}" for b in BUCKETS)


class Metrics:
    """Counts requests and lists all series."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._places: dict[tuple[str, ...], tuple[int, int, tuple[int, ...]]] = {}
        self.deployments: dict[tuple[str, str], Deployment] = {}

    def prepare(self, deployment: Deployment) -> None:
        """Make the series of all versions of a deployment exist."""
        for slot in deployment.slots.values():
            version, track = slot.record.revision.version, slot.record.track
            for code in FIRST_CODES:
                self._place(deployment.environment, deployment.service, version, code, track)

    def count(
        self, environment: str, service: str, version: str, code: str, seconds: float, track: str = ""
    ) -> None:
        """Count one answered request."""
        requests, total, buckets = self._place(environment, service, version, code, track)
        add = self._counters.add
        add(requests)
        add(total, seconds)
        for bound, place in zip(BUCKETS, buckets, strict=False):
            if seconds <= bound:
                add(place)
                return
        add(buckets[-1])

    def served(self, environment: str, service: str) -> dict[str, int]:
        """Return how many requests each version has answered, errors included."""
        found: dict[str, int] = {}
        for (name, at, what, version, *_), value in self._counters.items().items():
            if name == REQUESTS and (at, what) == (environment, service):
                found[version] = found.get(version, 0) + int(value)
        return found

    def drop(self, environment: str, service: str) -> None:
        """Forget a removed deployment."""
        self._counters.drop(environment, service)
        self._places.clear()

    def series(self) -> Iterator[tuple[Labels, float]]:
        """Yield every series with its value, histograms in Prometheus's cumulative form."""
        histograms: dict[tuple[str, str, str, str], dict[str, float]] = {}
        for key, value in self._counters.items().items():
            name, environment, service, version, last = key[:5]
            who = (environment, service, version, "".join(key[5:]))
            if name == REQUESTS:
                yield _labels(name, *who, code=last), value
            else:
                histograms.setdefault(who, {})[last] = value
        for who, parts in histograms.items():
            below = 0.0
            for bound in (*_BOUNDS, "+Inf"):
                below += parts.get(bound, 0.0)
                yield _labels(f"{DURATION}_bucket", *who, le=bound), below
            yield _labels(f"{DURATION}_sum", *who), parts.get("sum", 0.0)
            yield _labels(f"{DURATION}_count", *who), below
        for deployment in self.deployments.values():
            yield from _gauges(deployment)

    def _place(
        self, environment: str, service: str, version: str, code: str, track: str
    ) -> tuple[int, int, tuple[int, ...]]:
        who = (environment, service, version)
        found = self._places.get((*who, code, track))
        if found is None:
            at, last = self._counters.at, (track,) if track else ()
            buckets = tuple(at((DURATION, *who, bound, *last)) for bound in (*_BOUNDS, "+Inf"))
            found = (at((REQUESTS, *who, code, *last)), at((DURATION, *who, "sum", *last)), buckets)
            self._places[(*who, code, track)] = found
        return found


def render(metrics: Metrics) -> str:
    """Return all series in Prometheus's text format, version 0.0.4."""
    by_name: dict[str, list[str]] = {name: [] for name in HELP}
    for labels, value in metrics.series():
        pairs = dict(labels)
        name = pairs.pop("__name__")
        family = name if name in HELP else name.rpartition("_")[0]
        inner = ",".join(f'{k}="{_escape(v)}"' for k, v in pairs.items())
        by_name[family].append(f"{name}{{{inner}}} {value:.17g}")
    lines: list[str] = []
    for name, (kind, text) in HELP.items():
        lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}", *by_name[name]]
    return "\n".join(lines) + "\n"


def _gauges(deployment: Deployment) -> Iterator[tuple[Labels, float]]:
    ready: dict[tuple[str, str], float] = {}
    weight: dict[tuple[str, str], float] = {}
    for slot in deployment.slots.values():
        arm = (slot.record.revision.version, slot.record.track)
        ready[arm] = ready.get(arm, 0) + slot.ready
        weight[arm] = weight.get(arm, 0) + deployment.route.weights.get(slot.record.id, 0)
    for name, values in ((REPLICAS, ready), (WEIGHT, weight)):
        for arm, value in values.items():
            yield _labels(name, deployment.environment, deployment.service, *arm), value


def _labels(name: str, environment: str, service: str, version: str, track: str = "", **more: str) -> Labels:
    pairs = {"__name__": name, "environment": environment, "service": service, "version": version, **more}
    if track:
        pairs["track"] = track
    return tuple(sorted(pairs.items()))


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

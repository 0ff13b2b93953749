"""What a test can order of the cluster: slow, wrong or missing answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Event, Lock

from relman_plugins.testing.kube.resources import ApiError, Obj, Resource


@dataclass
class Fault:
    """What the next matching requests are answered with."""

    verb: str
    """``get``, ``list``, ``watch``, ``create``, ``update``, ``patch``, ``delete`` or ``*``."""
    resource: str
    """``plural.group``, or ``*``."""
    error: ApiError | None
    """The answer; None: the connection is closed without one."""
    times: int = 1
    after: bool = False
    """Whether the request is carried out first: its answer is lost."""
    until: Event | None = None
    """What the request waits for before anything else."""
    says: str = ""
    """What the body of a request contains that is meant, and that is no dry run; empty: any."""

    def fits(self, verb: str, resource: str, body: str) -> bool:
        """Say whether a request is meant; ``body`` is empty for a dry run."""
        return self.verb in ("*", verb) and self.resource in ("*", resource) and self.says in body


@dataclass
class Faults:
    """All that was ordered; tests add to it."""

    waiting: list[Fault] = field(default_factory=list)
    quota: dict[str, int] = field(default_factory=dict)
    """How many pods a namespace may have."""
    denied: dict[str, str] = field(default_factory=dict)
    """What an admission webhook says of a kind of object, by kind."""
    images: dict[str, str] = field(default_factory=dict)
    """What becomes of containers whose image contains the key: ``crash``, ``pull`` (there is no such image),
    ``hang`` (never ready), ``hold`` (not started until it is taken out), ``oom``.
    Of Jobs: ``pull``, ``hold``, ``oom``, and ``shell`` (its sidecar's image has none); all others run.
    """
    injected: list[Obj] = field(default_factory=list)
    """Containers that a webhook adds to the pods of Jobs, as a mesh does."""
    _lock: Lock = field(default_factory=Lock)

    def fail(
        self, verb: str, resource: str, code: int, reason: str = "", message: str = "", **how: int
    ) -> Fault:
        """Answer the next requests with a status; ``times``, and ``retry_after`` in seconds, if given."""
        error = ApiError(code, reason or _REASONS.get(code, "Unknown"), message or f"ordered: {code}",
                         retry_after=how.get("retry_after"))  # fmt: skip
        return self.add(Fault(verb, resource, error, times=how.get("times", 1)))

    def lose(self, verb: str, resource: str, *, times: int = 1, after: bool = True) -> Fault:
        """Close the connection of the next requests: with ``after`` they were carried out."""
        return self.add(Fault(verb, resource, None, times=times, after=after))

    def hold(self, verb: str, resource: str, says: str = "") -> Event:
        """Let the next request wait until the event that is returned is set; ``says`` as of `Fault`."""
        released = Event()
        self.add(Fault(verb, resource, ApiError(0, "", ""), until=released, says=says))
        return released

    def add(self, fault: Fault) -> Fault:
        """Order a fault."""
        with self._lock:
            self.waiting.append(fault)
        return fault

    def next(self, verb: str, resource: str, body: str = "") -> Fault | None:
        """Return what the request gets, once."""
        with self._lock:
            for fault in self.waiting:
                if fault.fits(verb, resource, body):
                    fault.times -= 1
                    if fault.times <= 0:
                        self.waiting.remove(fault)
                    return fault
        return None

    def admit(self, resource: Resource, live: Obj | None, new: Obj) -> None:
        """Raise ApiError for what a webhook denies."""
        if why := self.denied.get(resource.kind):
            raise ApiError(
                403, "Forbidden", f'admission webhook "policy.example.com" denied the request: {why}'
            )


_REASONS = {
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    410: "Expired",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}

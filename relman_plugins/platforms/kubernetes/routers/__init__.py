"""What splits the traffic by weight: one router, one file. It is found by what the manifests have."""

from __future__ import annotations

from relman_plugins.domain.workload import Workload
from relman_plugins.platforms.kubernetes.objects import Objects
from relman_plugins.platforms.kubernetes.routers.base import Router
from relman_plugins.platforms.kubernetes.routers.gateway import Gateway
from relman_plugins.platforms.kubernetes.routers.istio import Istio
from relman_plugins.platforms.kubernetes.routers.nginx import Nginx

ROUTERS: dict[str, Router] = {router.kind: router for router in (Gateway(), Istio(), Nginx())}
"""By the kind of the objects that each goes by."""


def router_of(workload: Workload) -> Router | None:
    """Return what splits the traffic of a version; None: its share is that of its pods."""
    return ROUTERS[workload.route["kind"]] if workload.route is not None else None


def routing(made: Objects) -> set[tuple[str, str]]:
    """Return kind and name of all that the router of a version may go by; nothing when it has none."""
    router = router_of(made.workload)
    return {(router.kind, name) for name in router.names(made)} if router is not None else set()

"""What the cluster says of a service: read once, then judged without asking again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from relman_plugins.domain.routing import ROUTES, is_route
from relman_plugins.domain.state import ObservedRevision, ObservedState, Revision
from relman_plugins.errors import PlatformRejected
from relman_plugins.platforms.kubernetes.api import Kube
from relman_plugins.platforms.kubernetes.objects import (
    DIGEST,
    IMAGE,
    REVISION,
    SLOT,
    SLOTS,
    URI,
    VERSION,
    Obj,
    Objects,
    key_of,
)
from relman_plugins.platforms.kubernetes.records import Records
from relman_plugins.platforms.kubernetes.roles import Roles, roles_path
from relman_plugins.platforms.kubernetes.routers import ROUTERS, router_of, routing
from relman_plugins.platforms.kubernetes.troubles import Trouble, is_leaving, is_ready, leaving, troubles

RELMANS_OWN = ("RELMAN_VERSION", "RELMAN_DIGEST")


@dataclass(frozen=True)
class Seen:
    """One look at everything that belongs to a service."""

    objects: Objects
    roles: Roles
    deployments: Mapping[str, Obj]
    """By slot, also StatefulSets; only relman's own."""
    made: Mapping[str, Objects]
    """By slot with a Deployment: what it was made from; where that is not known, what is at hand."""
    pods: Mapping[str, list[Obj]]
    """By slot. Those that are being ended are left out, and those that have: these stay for long."""
    ending: int
    """Pods that are being ended."""
    services: Mapping[str, Obj]
    """By name; only relman's own."""
    routes: Mapping[tuple[str, str], Obj]
    """What routers go by, by kind and name; only relman's own, also what the manifests have no more."""
    blind: str = ""
    """Why it is not known whether there are routes or StatefulSets, and what to do; empty when it is."""
    events: list[Obj] = field(default_factory=list)

    @classmethod
    def look(cls, kube: Kube, objects: Objects, records: Records) -> Seen:
        """Ask the cluster; its events only where something is not as it should be."""
        found, _ = kube.list(objects.path("Deployment"), objects.selector)
        stateful, no_sets = _listed(kube, objects, "StatefulSet", objects.workload.in_place)
        kinds = (("Deployment", found), ("StatefulSet", stateful))
        deployments = {_slot(d): d | {"kind": k} for k, ds in kinds for d in ds if _slot(d) in SLOTS}
        for found_one in deployments.values():
            found_one["metadata"]["annotations"] = records.noted(found_one)
        pods, _ = kube.list(pods_path(objects), pod_selector(objects))
        services, _ = kube.list(objects.path("Service"), objects.selector)
        route = objects.workload.route or {}
        routes = {kind: _listed(kube, objects, kind, kind == route.get("kind")) for kind in ROUTES}
        made = {slot: records.of(d) or objects for slot, d in deployments.items()}
        # By their names too: somebody may have removed the annotation by which an Ingress is one.
        named = {place for one in (objects, *made.values()) for place in routing(one)}
        seen = cls(
            objects=objects,
            roles=Roles.of(kube.get(roles_path(objects))),
            deployments=deployments,
            made=made,
            pods={
                slot: [
                    p
                    for p in pods
                    if _slot(p) == slot and "deletionTimestamp" not in p["metadata"] and not _has_ended(p)
                ]
                for slot in SLOTS
            },
            ending=sum("deletionTimestamp" in p["metadata"] and not _has_ended(p) for p in pods),
            services={s["metadata"]["name"]: s for s in services},
            routes={
                (kind, r["metadata"]["name"]): r | {"kind": kind}
                for kind, (found, _) in routes.items()
                for r in found
                if is_route(r | {"kind": kind}) or (kind, r["metadata"]["name"]) in named
            },
            blind="; ".join(filter(None, (no_sets, *(why for _, why in routes.values())))),
        )
        if not all(seen.complete(slot) for slot in seen.deployments):
            found, _ = kube.list(f"/api/v1/namespaces/{objects.workload.namespace}/events", "")
            seen.events.extend(e for e in found if e.get("type") == "Warning" and e.get("involvedObject"))
        return seen

    @property
    def leaving(self) -> list[str]:
        """Return what is being deleted, and what holds it, in words."""
        there = [(kind, r) for (kind, _), r in self.routes.items()]
        there += [("Service", s) for s in self.services.values()]
        there += [(d["kind"], d) for d in self.deployments.values()]
        return [leaving(f"{kind} {o['metadata']['name']}", o) for kind, o in there if is_leaving(o)]

    @property
    def lead(self) -> Objects:
        """Return the objects of the version whose Service and router all traffic goes by.

        That is the stable one's, until the candidate has all of it.
        """
        return self._by_rank()[0]

    def _by_rank(self) -> list[Objects]:
        """Return the versions' objects, that of the leading one first."""
        roles = self.roles
        leading = roles.candidate if roles.weight == 100 else roles.stable
        return [self.made[s] for s in (leading, *SLOTS) if s in self.made] or [self.objects]

    def routes_of(self, made: Objects) -> dict[str, Obj]:
        """Return what the router of a version goes by and is there, by name."""
        router = router_of(made.workload)
        if router is None:
            return {}
        found = {name: self.routes.get((router.kind, name)) for name in router.names(made)}
        return {name: route for name, route in found.items() if route is not None}

    def proven(self, slot: str) -> int:
        """Return how many ready pods of a slot are of its Deployment's revision, by label and image.

        The image is named by digest, which the node checks when it pulls. What the node reports as `imageID`
        is not compared: some runtimes say the digest of the machine's own part of an image there.
        """
        deployment = self.deployments.get(slot)
        if deployment is None or not _is_current(deployment):
            return 0
        return sum(is_ready(p) and self._is_of(p, slot) for p in self.pods[slot])

    def complete(self, slot: str) -> bool:
        """Say whether a slot runs what its Deployment says, and nothing else."""
        deployment = self.deployments.get(slot)
        if deployment is None:
            return False
        wanted, status = int(deployment["spec"]["replicas"]), deployment.get("status") or {}
        return (
            self.proven(slot) == wanted == len(self.pods[slot])
            and int(status.get("updatedReplicas") or 0) == wanted
            and int(status.get("replicas") or 0) == wanted
        )

    def hindering(self, slot: str, *, back: bool) -> list[Obj]:
        """Return pods of the version that is to go that never get ready, of which one may be restarted now.

        Pods that work together lose readiness while one of them is away, and have it again by themselves. So
        there is none while a pod ends; and on the way forward only those count that no waiting mends, while
        all others are ready. On the way back all go: a whole set that hangs must not stand in the way.
        """
        live = self.deployments[slot]
        if self.ending or not _is_current(live):
            return []
        unready = [p for p in self.pods[slot] if not is_ready(p)]
        never = [p for p in unready if back or any(t.fatal for t in troubles(live, [p], ()))]
        return [p for p in never if not self._is_of(p, slot)] if len(never) == len(unready) else []

    def weights(self) -> dict[str, int]:
        """Return the share of the traffic by slot, in percent, as routers are told; empty: there is none."""
        found = self._told()
        leading = self.routes_of(self.lead)
        for (kind, name), route in self.routes.items():
            if leading.get(name) is route:
                continue  # what the leading version has not sends traffic all the same
            for slot, weight in ROUTERS[kind].shares(route, self._slots).items():
                found[slot] = max(weight, found.get(slot, 0))
        return found

    @property
    def _slots(self) -> dict[str, str]:
        """Return the slots by the names of their Services."""
        return {self.made.get(slot, self.objects).service_name(slot): slot for slot in SLOTS}

    def _told(self) -> dict[str, int]:
        """Return the shares by the objects of the leading version, or by another's that are there still."""
        return next((told for made in self._by_rank() if (told := self._told_by(made))), {})

    def _told_by(self, made: Objects) -> dict[str, int]:
        service = self.services.get(made.service_name())
        slot = str(((service or {}).get("spec", {}).get("selector") or {}).get(SLOT, ""))
        if (router := router_of(made.workload)) is not None:
            return router.told(self.routes_of(made), made, self._slots, slot)
        if service is None:
            return {}
        if slot:
            return {slot: 100}
        if self.roles.stable and self.roles.candidate and 0 < self.roles.weight < 100:
            # By the number of pods: as close as it gets to what was asked for.
            return {self.roles.candidate: self.roles.weight, self.roles.stable: 100 - self.roles.weight}
        # One version is to have everything, and the Service does not know it yet.
        pods = {slot: sum(map(is_ready, mine)) for slot, mine in self.pods.items()}
        return {slot: round(100 * n / sum(pods.values())) for slot, n in pods.items() if n}

    def trouble(self, slot: str) -> tuple[Trouble, ...]:
        """Return what keeps a slot from being complete; nothing when it is."""
        deployment = self.deployments.get(slot)
        if deployment is None or self.complete(slot):
            return ()
        mine = [p for p in self.pods[slot] if self._is_of(p, slot)]
        names = {p["metadata"]["name"] for p in mine}
        root = deployment["metadata"]["name"]
        about = [
            (e, str(e["involvedObject"].get("name")), e["involvedObject"].get("kind")) for e in self.events
        ]
        # An event of a pod that is gone is about a revision that may be gone too.
        events = [
            e
            for e, name, kind in about
            if name in names or (kind != "Pod" and f"{name}-".startswith(f"{root}-"))
        ]
        return troubles(deployment, mine, events)

    def state(self) -> ObservedState:
        """Return it in relman's own words."""
        stable, candidate = self._observed(self.roles.stable), self._observed(self._beside())
        pods = self.ending or any(self.pods.values())
        exists = bool(self.deployments or pods or self.services or self.routes)
        return ObservedState(
            exists=exists,
            stable=stable,
            candidate=candidate,
            url=self.lead.url if exists else None,
            token=self.roles.token,
            config=self._config(self.roles.stable),
            messages=tuple(self._messages()) if exists else (),
        )

    def _beside(self) -> str:
        """Return the slot of the candidate; also a withdrawn one that the Service still selects."""
        service = self.services.get(self.lead.service_name())
        if self.roles.candidate or service is None or SLOT in (service["spec"].get("selector") or {}):
            return self.roles.candidate
        weights = self.weights()
        return next((s for s in self.deployments if s != self.roles.stable and weights.get(s)), "")

    def _messages(self) -> list[str]:
        roles = self.roles
        said = [t.text for slot in self.deployments for t in self.trouble(slot)]
        said += [text for text in (roles.strange, self.blind) if text]
        if roles.candidate and 0 < roles.weight < 100 and not self.lead.workload.routed:
            pods = {s: self.proven(s) for s in (roles.stable, roles.candidate)}
            share = round(100 * pods[roles.candidate] / max(1, sum(pods.values())))
            said.append(f"coarse: without a route the candidate has the share of its pods, {share} %")
        if why := self.untaken():
            said.append(why)
        return said

    def untaken(self) -> str:
        """Return why the router has not taken what it is told; empty when it has, or there is none."""
        router = router_of(self.lead.workload)
        return router.untaken(self.routes_of(self.lead), self.lead) if router is not None else ""

    def _is_of(self, pod: Obj, slot: str) -> bool:
        deployment, container = self.deployments[slot], self.made[slot].workload.container
        images = [c["image"] for c in pod["spec"]["containers"] if c["name"] == container]
        wanted = deployment["metadata"]["annotations"][IMAGE].rpartition("@")[2]
        return (
            pod["metadata"].get("labels", {}).get(REVISION) == key_of(deployment)
            and len(images) == 1
            and str(images[0]).rpartition("@")[2] == wanted
        )

    def _observed(self, slot: str) -> ObservedRevision | None:
        deployment = self.deployments.get(slot)
        if deployment is None:
            return None
        notes = deployment["metadata"]["annotations"]
        wanted = int(deployment["spec"]["replicas"])
        ready = self.proven(slot)
        if ready == wanted and not self.complete(slot):
            ready = max(0, wanted - 1)  # pods of another revision, or too many: it is not what was asked for
        return ObservedRevision(
            revision=Revision(
                version=notes[VERSION], digest=notes[DIGEST], uri=notes[URI], image=notes[IMAGE]
            ),
            replicas=wanted,
            ready=ready,
            weight=self.weights().get(slot, 0),
        )

    def _config(self, slot: str) -> dict[str, str] | None:
        deployment = self.deployments.get(slot)
        if deployment is None:
            return None
        workload = self.made[slot].workload
        given = _variables(deployment, workload.container)
        written = _variables(workload.pods, workload.container)
        return {k: v for k, v in given.items() if k not in RELMANS_OWN and written.get(k) != v}


def _listed(kube: Kube, objects: Objects, kind: str, needed: bool) -> tuple[list[Obj], str]:
    """Return relman's objects of a kind; without the right to see them, why it is not known what there is."""
    try:
        return kube.list(objects.path(kind), objects.selector)[0], ""
    except PlatformRejected as error:
        if needed:
            raise
        return [], str(error)


def slices_path(objects: Objects) -> str:
    """Return the path of the namespace's EndpointSlices: which pods answer for a Service."""
    return f"/apis/discovery.k8s.io/v1/namespaces/{objects.workload.namespace}/endpointslices"


def slice_selector(services: Iterable[str]) -> str:
    """Return what chooses the EndpointSlices of some Services."""
    return f"kubernetes.io/service-name in ({','.join(sorted(services))})"


def answering(slices: Sequence[Obj], service: str) -> set[str]:
    """Return the names of the pods that answer for a Service."""
    return {
        str(endpoint["targetRef"]["name"])
        for found in slices
        if found["metadata"].get("labels", {}).get("kubernetes.io/service-name") == service
        for endpoint in found.get("endpoints") or []
        if endpoint.get("targetRef") and (endpoint.get("conditions") or {}).get("ready") is not False
    }


def pods_path(objects: Objects) -> str:
    """Return the path of the namespace's pods."""
    return f"/api/v1/namespaces/{objects.workload.namespace}/pods"


def pod_selector(objects: Objects) -> str:
    """Return what chooses the pods of both slots."""
    return f"relman/environment={objects.environment},relman/service={objects.service}"


def _slot(obj: Obj) -> str:
    return str(obj["metadata"].get("labels", {}).get(SLOT, ""))


def _has_ended(pod: Obj) -> bool:
    # An evicted pod, or one whose node went down, stays as a record until the cluster collects it; its
    # ReplicaSet has made another, and counts it no more.
    return (pod.get("status") or {}).get("phase") in ("Failed", "Succeeded")


def _is_current(deployment: Obj) -> bool:
    observed = (deployment.get("status") or {}).get("observedGeneration")
    return bool(observed == deployment["metadata"].get("generation"))


def _variables(deployment: Obj, container: str) -> dict[str, str]:
    containers = deployment["spec"]["template"]["spec"]["containers"]
    found = [c for c in containers if c["name"] == container]
    return {e["name"]: str(e["value"]) for c in found for e in c.get("env") or [] if "value" in e}

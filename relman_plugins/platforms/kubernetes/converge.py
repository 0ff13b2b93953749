"""From what is desired to what runs: new pods prove themselves, then the traffic moves, then the old ones go.

When the traffic goes back to what runs already, it moves first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from threading import Event

from relman_plugins.domain.state import DesiredState, ObservedState, Revision
from relman_plugins.domain.workload import EXTRAS
from relman_plugins.errors import PlatformRejected, PlatformUnavailable
from relman_plugins.platforms.kubernetes.api import Kube
from relman_plugins.platforms.kubernetes.fence import Fence
from relman_plugins.platforms.kubernetes.objects import (
    DIGEST,
    IMAGE,
    REVISION,
    SLOT,
    SLOTS,
    VERSION,
    Obj,
    Objects,
)
from relman_plugins.platforms.kubernetes.seen import (
    Roles,
    Seen,
    answering,
    pod_selector,
    pods_path,
    roles_path,
    slice_selector,
    slices_path,
)
from relman_plugins.platforms.kubernetes.watching import Alarms

PREVIEW = "preview"


class Converging:
    """One call of ``converge``."""

    def __init__(self, kube: Kube, objects: Objects, desired: DesiredState, token: int) -> None:
        self.kube, self.objects, self.desired = kube, objects, desired
        self.fence = Fence(kube, objects, token, takes_over=desired.returning)
        mine = pod_selector(objects)
        lists = [
            (objects.path("Deployment"), mine),
            (pods_path(objects), mine),
            (slices_path(objects), slice_selector(objects)),
        ]
        if objects.workload.routed:
            lists.append((objects.path("HTTPRoute"), mine))
        self._alarms = Alarms(kube, lists)
        self._late = ""
        """Which Service routers have not caught up with, if one has been waited for."""

    def run(self) -> ObservedState:
        """Do it, and say what was taken from others; raise as `Platform.converge` does."""
        done = self._run()
        return done.model_copy(update={"messages": (*done.messages, *self.fence.taken)})

    def _run(self) -> ObservedState:
        self.fence.claim()
        with self._alarms:
            if self.desired.stable is None and self.desired.candidate is None:
                return self._remove_all()
            seen = Seen.look(self.kube, self.objects)
            if seen.blind and not self.desired.returning:
                # A route that an earlier version left may send traffic somewhere, and would not be seen.
                raise PlatformRejected(seen.blind)
            if self.desired.candidate is not None and self._in_the_way(seen):
                alone = self.desired.model_copy(
                    update={"candidate": None, "candidate_weight": 0, "candidate_replicas": 0}
                )
                self._reach(alone, seen)
                seen = Seen.look(self.kube, self.objects)
            return self._reach(self.desired, seen)

    def _reach(self, desired: DesiredState, seen: Seen) -> ObservedState:
        before = seen.roles.stable
        stable, candidate = self._slots(desired, seen)
        weight = desired.candidate_weight
        target = {s: w for s, w in ((stable, 100 - weight), (candidate, weight)) if s}
        wanted = self._wanted(desired, stable, candidate, seen)
        roles = Roles(self.fence.token, self.fence.call, stable, candidate, weight, seen.roles.moved_at)
        if self._is_way_back(seen, wanted, target):
            self.fence.remember(roles)
            seen = self._move(seen, target, roles)
            # Before the stable version is looked at: what is bad goes, also when that has a pod that crashes.
            # A version that others take the place of is waited for; one that is taken back is not.
            taken_back = stable == before
            self._clear(seen, wanted, candidate, drain_s=0 if taken_back else self.objects.workload.drain_s)
        else:
            self._off(seen, wanted)
            self._try(wanted, target)
            self.fence.remember(roles)
        for slot, deployment in wanted.items():
            self.fence.write("Deployment", self.objects.deployment_name(slot), deployment)
        for extra in self.objects.workload.extras:
            self.fence.write(extra["kind"], extra["metadata"]["name"], self.objects.as_is(extra))
        seen = self._until(lambda s: all(s.complete(slot) for slot in wanted), tuple(wanted))
        seen = self._move(seen, target, replace(roles, moved_at=seen.roles.moved_at))
        self._clear(seen, wanted, candidate, drain_s=self.objects.workload.drain_s)
        self._prune({(e["kind"], e["metadata"]["name"]) for e in self.objects.workload.extras})
        done = self._until(lambda s: s.state(self.objects.url).matches(desired), tuple(wanted))
        return done.state(self.objects.url)

    def _wanted(self, desired: DesiredState, stable: str, candidate: str, seen: Seen) -> dict[str, Obj]:
        """Return the Deployments by slot. One that runs already stays what it was made from."""
        made: dict[str, Obj] = {}
        for slot, revision, replicas, bounds in (
            (stable, desired.stable, desired.stable_replicas, desired.rolling),
            (candidate, desired.candidate, desired.candidate_replicas, None),
        ):
            if revision is None:
                continue
            live = seen.deployments.get(slot)
            kept = live is not None and self._same(live, revision) and self._among_others(seen)
            as_it_is = self.objects.unchanged(live, revision, replicas) if live is not None and kept else None
            made[slot] = as_it_is or self.objects.deployment(slot, revision, replicas, desired.config, bounds)
        return made

    def _slots(self, desired: DesiredState, seen: Seen) -> tuple[str, str]:
        """Return the slots of the stable revision and of the candidate; empty where there is none."""
        order = list(dict.fromkeys([seen.roles.stable or SLOTS[0], seen.roles.candidate or SLOTS[1], *SLOTS]))
        free = order.copy()
        stable = self._running(desired.stable, desired, seen, free)
        candidate = self._running(desired.candidate, desired, seen, free)
        if desired.stable is not None and not stable:
            in_place = (
                desired.rolling is not None and desired.candidate is None and order[0] in seen.deployments
            )
            empty = [s for s in free if s not in seen.deployments]
            stable = order[0] if in_place else (empty or free[-1:])[0]
            free.remove(stable)
        if desired.candidate is not None and not candidate:
            candidate = free[-1]
        return stable, candidate

    def _running(self, revision: Revision | None, desired: DesiredState, seen: Seen, free: list[str]) -> str:
        """Return the slot that runs a revision, and take it from ``free``.

        While two versions stand side by side, and on every call of a way back, one that is there is left as
        it was made, whatever has become of manifests and configuration: these come with the new version, and
        are not tried on everybody.
        """
        if revision is None:
            return ""
        key = self.objects.revision_key(revision, desired.config)
        live = {slot: seen.deployments[slot] for slot in free if slot in seen.deployments}
        found = [slot for slot, d in live.items() if d["metadata"]["labels"].get(REVISION) == key]
        if desired.returning or (not found and self._among_others(seen)):
            found = [slot for slot, d in live.items() if self._same(d, revision)]
        for slot in found[:1]:
            free.remove(slot)
        return found[0] if found else ""

    def _among_others(self, seen: Seen) -> bool:
        """Say whether Deployments of several revisions are there, are about to be, or have just been."""
        there = {(d["metadata"]["annotations"][VERSION], d["metadata"]["annotations"][DIGEST])
                 for d in seen.deployments.values()}  # fmt: skip
        return len(there) > 1 or self.desired.candidate is not None or self.desired.returning

    @staticmethod
    def _same(live: Obj, revision: Revision) -> bool:
        notes = live["metadata"]["annotations"]
        return (notes[VERSION], notes[DIGEST], notes[IMAGE]) == (
            revision.version,
            revision.digest,
            str(revision.image),
        )

    def _in_the_way(self, seen: Seen) -> bool:
        """Say whether the candidate's only slot has what serves now, and is to become something else."""
        _, candidate = self._slots(self.desired, seen)
        live = seen.deployments.get(candidate)
        return (
            self.desired.candidate is not None
            and live is not None
            and candidate == seen.roles.stable
            and not self._same(live, self.desired.candidate)
        )

    def _is_way_back(self, seen: Seen, wanted: Mapping[str, Obj], target: Mapping[str, int]) -> bool:
        """Say whether all that is wanted runs, and nothing but the stable revision gets more traffic."""
        now = seen.weights()
        for slot, deployment in wanted.items():
            live = seen.deployments.get(slot)
            if live is None or _key(live) != _key(deployment):
                return False
            if target.get(slot) and not seen.proven(slot):
                return False
        others = [s for s in target if s != seen.roles.stable]
        return all(target[s] <= now.get(s, 0) for s in others)

    def _off(self, seen: Seen, wanted: Mapping[str, Obj]) -> None:
        """Take the traffic off a candidate that is to make room for another revision."""
        slot = seen.roles.candidate
        if not (slot in wanted and slot in seen.deployments and seen.weights().get(slot)):
            return
        if _key(seen.deployments[slot]) != _key(wanted[slot]) and seen.roles.stable in seen.deployments:
            roles = replace(seen.roles, asked=self.fence.call, token=self.fence.token, weight=0)
            self._move(seen, {seen.roles.stable: 100, slot: 0}, roles)

    def _try(self, wanted: Mapping[str, Obj], target: Mapping[str, int]) -> None:
        """Let the API server check everything before anything is changed."""
        objects = self.objects
        for slot, deployment in wanted.items():
            self.fence.write("Deployment", objects.deployment_name(slot), deployment, dry_run=True)
        for kind, name, obj in self._traffic(target):
            self.fence.write(kind, name, obj, dry_run=True)
        for extra in objects.workload.extras:
            self.fence.write(extra["kind"], extra["metadata"]["name"], objects.as_is(extra), dry_run=True)

    def _traffic(self, target: Mapping[str, int], candidate: str = "") -> list[tuple[str, str, Obj]]:
        """Return what makes the traffic go where it should, in the order in which it is to be written."""
        objects, made = self.objects, []
        slots = [s for s, w in target.items() if w]
        if objects.workload.routed:
            for slot in target:
                name = objects.service_name(slot)
                made.append(("Service", name, objects.other_service(slot, slot)))
            route = objects.route(target)
            made.append(("HTTPRoute", route["metadata"]["name"], route))
            # Whoever asks the Service itself, past the router, gets one version at a time.
            slots = [max(target, key=lambda s: (target[s] == 100, s != candidate))]
        only = slots[0] if len(slots) == 1 else None
        made.append(("Service", objects.service_name(), objects.main_service(only)))
        return made

    def _move(self, seen: Seen, target: Mapping[str, int], roles: Roles) -> Seen:
        """Move the traffic, and wait until routers have it."""
        gets = {s: w for s, w in target.items() if w}
        written = self._traffic(target, roles.candidate)
        for kind, name, obj in written:
            self.fence.write(kind, name, obj)
        for stray in seen.strays:
            # Before what it sends traffic to; a router may prefer it to the new one, as the older of the two.
            self.fence.delete("HTTPRoute", stray)
        if roles.candidate:
            preview = self.objects.other_service(PREVIEW, roles.candidate)
            self.fence.write("Service", self.objects.service_name(PREVIEW), preview)
        left = [s for s, w in seen.weights().items() if w and s not in gets]
        if left:
            self.fence.remember(replace(roles, moved_at=time.time()))
        has = {name: o["spec"]["selector"].get(SLOT) for kind, name, o in written if kind == "Service"}
        return self._until(lambda s: self._has_moved(s, gets) and self._answers(s, has, gets), ())

    def _has_moved(self, seen: Seen, gets: Mapping[str, int]) -> bool:
        """Say whether routers have taken what they are told. Only asked of a change: a router may restart."""
        told = {slot: weight for slot, weight in seen.weights().items() if weight}
        return told == gets and not (self.objects.workload.routed and seen.unaccepted())

    def _answers(self, seen: Seen, services: Mapping[str, str | None], gets: Mapping[str, int]) -> bool:
        """Say whether only pods of the right revisions answer for the Services, and some do."""
        slices, _ = self.kube.list(slices_path(self.objects), slice_selector(self.objects))
        for name, slot in services.items():
            right = {p["metadata"]["name"] for s in ([slot] if slot else gets) for p in seen.pods[s]}
            found = answering(slices, name)
            # A Service whose slot has no traffic may have no pods: a candidate before it has any.
            if not found <= right or not (found or (slot and slot not in gets)):
                strange = ", ".join(sorted(found - right)) or "no pod"
                self._late = f"{strange} answers for Service {name}"
                return False
        self._late = ""
        return True

    def _clear(self, seen: Seen, wanted: Mapping[str, Obj], candidate: str, *, drain_s: float) -> None:
        """Remove what has no part any more, when routers have had the time to learn it."""
        gone = [slot for slot in seen.deployments if slot not in wanted]
        ends = seen.roles.moved_at + drain_s
        if gone and (wait := ends - time.time()) > 0:
            Event().wait(min(wait, self.kube.left_s))
            if time.time() < ends:
                raise PlatformUnavailable(
                    f"{self.fence.what} has its traffic; the old pods stay for {drain_s:g} s, and go with "
                    "the next try"
                )
        for slot in gone:
            self.fence.delete("Deployment", seen.deployments[slot])
        kept = {self.objects.service_name()}
        kept |= {self.objects.service_name(PREVIEW)} if candidate else set()
        kept |= {self.objects.service_name(s) for s in wanted} if self.objects.workload.routed else set()
        for name, service in seen.services.items():
            if name not in kept:
                self.fence.delete("Service", service)

    def _prune(self, kept: set[tuple[str, str]]) -> None:
        kept = kept | {("ConfigMap", roles_path(self.objects).rpartition("/")[2])}
        for kind in EXTRAS:
            found, _ = self.kube.list(self.objects.path(kind), self.objects.selector)
            for obj in found:
                if (kind, obj["metadata"]["name"]) not in kept:
                    self.fence.delete(kind, obj)

    def _remove_all(self) -> ObservedState:
        self.fence.remember(Roles(token=self.fence.token, asked=self.fence.call))
        seen = Seen.look(self.kube, self.objects)
        for kind, obj in (
            *(("HTTPRoute", r) for r in seen.routes.values()),
            *(("Service", s) for s in seen.services.values()),
            *(("Deployment", d) for d in seen.deployments.values()),
        ):
            self.fence.delete(kind, obj)
        self._prune(set())
        done = self._until(lambda s: not s.state(self.objects.url).exists, ())
        return done.state(self.objects.url)

    def _until(self, reached: Callable[[Seen], bool], slots: tuple[str, ...]) -> Seen:
        """Look at every alarm until it is reached; raise when it can't be, or not in time."""
        while True:
            seen = Seen.look(self.kube, self.objects)
            self.fence.check(seen.roles)
            if reached(seen):
                return seen
            found = [t for slot in slots for t in seen.trouble(slot)]
            if fatal := [t.text for t in found if t.fatal]:
                others = [t.text for t in found if not t.fatal]
                raise PlatformRejected(f"{self.fence.what} does not start: {'; '.join([*fatal, *others])}")
            if not self.kube.left_s:
                told = [t.text for t in found] or [*seen.state("").messages]
                said = "; ".join([*told, *([self._late] if self._late else [])])
                raise PlatformUnavailable(
                    f"{self.fence.what} is not as desired in time: {said or 'no object says why'}. "
                    "The cluster goes on trying"
                )
            self._alarms.wait()


def _key(deployment: Obj) -> str:
    return str(deployment["metadata"]["labels"].get(REVISION))

"""From what is desired to what runs: new pods prove themselves, then the traffic moves, then the old ones go.

When the traffic goes back to what runs already, it moves first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from threading import Event

from relman_plugins.domain.routing import is_route
from relman_plugins.domain.state import DesiredState, ObservedState
from relman_plugins.domain.workload import EXTRAS, SETS
from relman_plugins.errors import PlatformRejected, PlatformUnavailable
from relman_plugins.platforms.kubernetes import traffic
from relman_plugins.platforms.kubernetes.api import Kube
from relman_plugins.platforms.kubernetes.fence import Fence
from relman_plugins.platforms.kubernetes.objects import SLOT, Obj, Objects, key_of, references
from relman_plugins.platforms.kubernetes.parts import Part, place, served_before, shared
from relman_plugins.platforms.kubernetes.records import Records
from relman_plugins.platforms.kubernetes.roles import Roles, roles_path
from relman_plugins.platforms.kubernetes.routers import ROUTERS, router_of, routing
from relman_plugins.platforms.kubernetes.routers.base import Split
from relman_plugins.platforms.kubernetes.seen import (
    Seen,
    answering,
    pod_selector,
    pods_path,
    slice_selector,
    slices_path,
)
from relman_plugins.platforms.kubernetes.slots import Slots, is_of, slots_for
from relman_plugins.platforms.kubernetes.watching import Alarms

LATE_S = 10.0
"""How long routers are given on the way back, at most: whoever takes it back has 30 s for one try."""


class Converging:
    """One call of ``converge``."""

    def __init__(self, kube: Kube, objects: Objects, desired: DesiredState, token: int) -> None:
        self.kube, self.objects, self.desired = kube, objects, desired
        # A first version that is taken back leaves nothing: that is a way back too.
        back = desired.returning or (desired.stable is None and desired.candidate is None)
        self.fence = Fence(kube, objects, token, takes_over=back)
        self.records = Records(kube, objects)
        mine = pod_selector(objects)
        lists = [
            (objects.path(objects.workload.pods["kind"]), mine),
            (pods_path(objects), mine),
            (slices_path(objects), slice_selector(traffic.names(objects))),
        ]
        router = router_of(objects.workload)
        if router is not None and router.tells:
            lists.append((objects.path(router.kind), mine))
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
            seen = self._look()
            if seen.blind and not self.desired.returning:
                # A route that an earlier version left may send traffic somewhere, and would not be seen.
                raise PlatformRejected(seen.blind)
            if self.desired.candidate is not None and self._in_the_way(seen):
                alone = self.desired.model_copy(
                    update={"candidate": None, "candidate_weight": 0, "candidate_replicas": 0}
                )
                self._reach(alone, seen)
                seen = self._look()
            return self._reach(self.desired, seen)

    def _look(self) -> Seen:
        return Seen.look(self.kube, self.objects, self.records)

    def _reach(self, desired: DesiredState, seen: Seen) -> ObservedState:
        before = seen.roles.stable
        old = None
        if desired.returning and desired.stable is not None:
            old = self.records.find(desired.stable, seen.roles.served)
        slots = slots_for(desired, seen, self.objects, old)
        weight = desired.candidate_weight
        shares = ((slots.stable, 100 - weight), (slots.candidate, weight))
        target = {slot: share for slot, share in shares if slot}
        parts = self._parts(desired, slots, seen, old)
        if slots.candidate and any(part.objects.workload.in_place for part in parts.values()):
            raise PlatformRejected(
                "of a StatefulSet no two versions stand side by side; release it by rolling or recreate"
            )
        versions = {**seen.made, **{slot: part.objects for slot, part in parts.items()}}
        # A way back is not refused for what is to go.
        now = {} if desired.returning else {s: o for s, o in seen.made.items() if s == before}
        traffic.check(target, versions, now, slots.candidate)
        served = served_before(seen, parts.get(slots.stable))
        roles = Roles(self.fence.token, self.fence.call, slots.stable, slots.candidate, weight, served,
                      seen.roles.moved_at)  # fmt: skip
        if self._is_way_back(seen, parts, target):
            self.fence.remember(roles)
            seen = self._move(seen, target, versions, roles)
            # Before the stable version is looked at: what is bad goes, also when that has a pod that crashes.
            # A version that others take the place of is waited for; one that is taken back is not, unless a
            # router may still send it requests and would fail them.
            routers = [router_of(objects.workload) for objects in versions.values()]
            late = any(router is not None and not router.tells_weights for router in routers)
            drain_s = self.objects.workload.drain_s
            if slots.stable == before:
                drain_s = min(drain_s, LATE_S) if late else 0
            self._clear(seen, parts, target, slots.candidate, drain_s=drain_s)
        else:
            self._off(seen, parts)
            self._try(parts, target, versions, slots.candidate)
            self.fence.remember(roles)
        for part in parts.values():
            self._write_all([*([part.record] if part.record else []), *part.objects.own])
        self._write_all(shared(seen.lead if seen.made else None, parts))
        self._write_all([part.deployment for part in parts.values()])
        # Only what makes the pods: they find the rest as it goes, and traffic waits for nothing else.
        self.fence.renew(SETS)
        seen = self._until(lambda s: all(self._is_done(s, slot) for slot in parts), tuple(parts))
        seen = self._move(seen, target, versions, replace(roles, moved_at=seen.roles.moved_at))
        self._write_all(shared(versions[traffic.leading(target, slots.candidate)], parts))
        self.fence.renew()
        self._clear(seen, parts, target, slots.candidate, drain_s=self.objects.workload.drain_s)
        self._prune(parts, {*served, *(part.key for part in parts.values())})
        self.fence.renew_roles()
        done = self._until(lambda s: s.state().matches(desired), tuple(parts))
        return done.state()

    def _write_all(self, objects: list[Obj], *, dry_run: bool = False, anew: bool = True) -> None:
        for obj in objects:
            self.fence.write(obj["kind"], obj["metadata"]["name"], obj, dry_run=dry_run, anew=anew)

    def _parts(self, desired: DesiredState, slots: Slots, seen: Seen, old: Objects | None) -> dict[str, Part]:
        """Return what is to be in the slots.

        What runs stays as it was made. What is brought back is made as it was when it served.
        """
        made: dict[str, Part] = {}
        for slot, revision, replicas, bounds in (
            (slots.stable, desired.stable, desired.stable_replicas, desired.rolling),
            (slots.candidate, desired.candidate, desired.candidate_replicas, None),
        ):
            if revision is None:
                continue
            objects: Objects | None = self.objects
            if slot in slots.running:
                live = seen.deployments[slot]
                objects = self.records.of(live)
                if objects is None and key_of(live) != self.objects.revision_key(revision):
                    made[slot] = Part(self.objects, self.objects.as_it_is(live, replicas), None)
                    continue
            else:
                objects = old
            objects = objects or self.objects
            deployment = objects.deployment(slot, revision, replicas, bounds)
            made[slot] = Part(objects, deployment, self.records.made(revision, objects))
        return made

    def _in_the_way(self, seen: Seen) -> bool:
        """Say whether the candidate's only slot has what serves now, and is to become something else."""
        slots = slots_for(self.desired, seen, self.objects)
        live = seen.deployments.get(slots.candidate)
        return (
            self.desired.candidate is not None
            and live is not None
            and slots.candidate == seen.roles.stable
            and not is_of(live, self.desired.candidate)
        )

    def _is_way_back(self, seen: Seen, parts: Mapping[str, Part], target: Mapping[str, int]) -> bool:
        """Say whether all that is wanted runs, and nothing but the stable revision gets more traffic."""
        now = seen.weights()
        for slot, part in parts.items():
            live = seen.deployments.get(slot)
            if live is None or key_of(live) != part.key:
                return False
            if target.get(slot) and not seen.proven(slot):
                return False
        others = [s for s in target if s != seen.roles.stable]
        return all(target[s] <= now.get(s, 0) for s in others)

    def _off(self, seen: Seen, parts: Mapping[str, Part]) -> None:
        """Take the traffic off a candidate that is to make room for another revision."""
        slot = seen.roles.candidate
        if not (slot in parts and slot in seen.deployments and seen.weights().get(slot)):
            return
        if key_of(seen.deployments[slot]) != parts[slot].key and seen.roles.stable in seen.deployments:
            roles = replace(seen.roles, asked=self.fence.call, token=self.fence.token, weight=0)
            self.fence.remember(roles)
            self._move(seen, {seen.roles.stable: 100, slot: 0}, seen.made, roles)

    def _try(
        self,
        parts: Mapping[str, Part],
        target: Mapping[str, int],
        versions: Mapping[str, Objects],
        candidate: str,
    ) -> None:
        """Let the API server check everything before anything is changed."""
        for part in parts.values():
            own = [*([part.record] if part.record else []), *part.objects.own]
            self._write_all([*own, part.deployment], dry_run=True)
        lead = versions[traffic.leading(target, candidate)]
        self._write_all(traffic.written(target, versions, candidate), dry_run=True)
        self._write_all(shared(lead, parts), dry_run=True)

    def _move(
        self, seen: Seen, target: Mapping[str, int], versions: Mapping[str, Objects], roles: Roles
    ) -> Seen:
        """Move the traffic, and wait until routers have it."""
        gets = {s: w for s, w in target.items() if w}
        split = Split(traffic.leading(target, roles.candidate), target, versions)
        written = traffic.written(target, versions, roles.candidate)
        # An Ingress that is a route no more is applied as it is then, and not made anew.
        stay = {place(o) for o in (*written, *split.lead.shared)}
        strays = [r for where, r in seen.routes.items() if where not in stay]
        routed = split.lead.workload.routed
        services = [o for o in written if o["kind"] == "Service"]
        self._write_all(services)
        has = {o["metadata"]["name"]: o["spec"]["selector"].get(SLOT) for o in services}
        fresh = {name: slot for name, slot in has.items() if slot in gets and name not in seen.services}
        if routed and fresh:
            # A router that is sent to a Service which nobody answers for yet fails requests.
            self._until(lambda s: self._answers(s, fresh, gets), ())
        if self.desired.returning:
            # At once, also if no router takes the other route: of two, one may prefer either.
            rerouted = [ROUTERS[s["kind"]].rerouted(s, split) for s in strays]
            self._write_all([route for route in rerouted if route is not None], anew=False)
        self._write_all([o for o in written if o["kind"] != "Service"])
        left = [s for s, w in seen.weights().items() if w and s not in gets]
        if left:
            self.fence.remember(replace(roles, moved_at=time.time()))
        if routed and any(place(stray) not in routing(split.lead) for stray in strays):
            # It sends the traffic until another does.
            self._until(lambda s: not s.untaken(), ())
        for stray in strays:
            self.fence.delete(stray["kind"], stray)
        if roles.candidate:
            name = versions[roles.candidate].service_name(traffic.PREVIEW)
            preview = versions[roles.candidate].other_service(traffic.PREVIEW, roles.candidate)
            self.fence.write("Service", name, preview)
        return self._until(lambda s: self._has_moved(s, gets) and self._answers(s, has, gets), ())

    def _is_done(self, seen: Seen, slot: str) -> bool:
        """Say whether a slot is complete; restart what a StatefulSet would wait for for ever."""
        if seen.complete(slot):
            return True
        live = seen.deployments.get(slot)
        if live is not None and live["kind"] == "StatefulSet":
            # It goes on when each pod is ready, also when an unready one is of the version that is to go.
            for pod in seen.hindering(slot, back=self.fence.takes_over)[:1]:
                self.fence.restart(pods_path(self.objects), pod)
        return False

    def _has_moved(self, seen: Seen, gets: Mapping[str, int]) -> bool:
        """Say whether routers have taken what they are told. Only asked of a change: a router may restart."""
        told = {slot: weight for slot, weight in seen.weights().items() if weight}
        return told == gets and not seen.untaken()

    def _answers(self, seen: Seen, services: Mapping[str, str | None], gets: Mapping[str, int]) -> bool:
        """Say whether only pods of the right revisions answer for the Services, and some do."""
        slices, _ = self.kube.list(slices_path(self.objects), slice_selector(services))
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

    def _clear(
        self,
        seen: Seen,
        parts: Mapping[str, Part],
        target: Mapping[str, int],
        candidate: str,
        *,
        drain_s: float,
    ) -> None:
        """Remove what has no part any more, when routers have had the time to learn it."""
        gone = [slot for slot in seen.deployments if slot not in parts]
        ends = seen.roles.moved_at + drain_s
        if gone and (wait := ends - time.time()) > 0:
            Event().wait(min(wait, self.kube.left_s))
            if time.time() < ends:
                raise PlatformUnavailable(
                    f"{self.fence.what} has its traffic; the old pods stay for {drain_s:g} s, and go with "
                    "the next try"
                )
        for slot in gone:
            self.fence.delete(seen.deployments[slot]["kind"], seen.deployments[slot])
        versions = {slot: part.objects for slot, part in parts.items()}
        kept = {o["metadata"]["name"] for o in traffic.written(target, versions, candidate)}
        kept |= {versions[candidate].service_name(traffic.PREVIEW)} if candidate else set()
        for name, service in seen.services.items():
            if name not in kept:
                self.fence.delete("Service", service)

    def _prune(self, parts: Mapping[str, Part], keys: set[str]) -> None:
        """Remove the extras that no version has which stands, and what was remembered of older ones."""
        wanted = [o for part in parts.values() for o in (*part.objects.own, *part.objects.shared)]
        kept = {(o["kind"], o["metadata"]["name"]) for o in wanted}
        kept |= {("ConfigMap", self.records.name(key)) for key in keys}
        # Also of a version of which nothing is remembered: its pods name what they need.
        specs = [part.deployment["spec"]["template"]["spec"] for part in parts.values()]
        kept |= {("ConfigMap", named["name"]) for spec in specs for named in references(spec)}
        kept.add(("ConfigMap", roles_path(self.objects).rpartition("/")[2]))
        for kind in EXTRAS:
            found, _ = self.kube.list(self.objects.path(kind), self.objects.selector)
            for obj in found:
                if (kind, obj["metadata"]["name"]) not in kept and not is_route(obj | {"kind": kind}):
                    self.fence.delete(kind, obj)

    def _remove_all(self) -> ObservedState:
        self.fence.remember(Roles(token=self.fence.token, asked=self.fence.call))
        seen = self._look()
        for kind, obj in (
            *((r["kind"], r) for r in seen.routes.values()),
            *(("Service", s) for s in seen.services.values()),
            *((d["kind"], d) for d in seen.deployments.values()),
        ):
            self.fence.delete(kind, obj)
        self._prune({}, set())
        self.fence.renew_roles()
        done = self._until(lambda s: not s.state().exists, ())
        return done.state()

    def _until(self, reached: Callable[[Seen], bool], slots: tuple[str, ...]) -> Seen:
        """Look at every alarm until it is reached; raise when it can't be, or not in time."""
        while True:
            # Else it would be waited for in vain when it goes between its writing and this look.
            self.fence.remake()
            seen = self._look()
            self.fence.check(seen.roles)
            if reached(seen):
                return seen
            found = [t for slot in slots for t in seen.trouble(slot)]
            if fatal := [t.text for t in found if t.fatal]:
                others = [t.text for t in found if not t.fatal]
                raise PlatformRejected(f"{self.fence.what} does not start: {'; '.join([*fatal, *others])}")
            if not self.kube.left_s:
                told = [*seen.leaving, *(t.text for t in found)] or [*seen.state().messages]
                said = "; ".join([*told, *([self._late] if self._late else [])])
                raise PlatformUnavailable(
                    f"{self.fence.what} is not as desired in time: {said or 'no object says why'}. "
                    "The cluster goes on trying"
                )
            self._alarms.wait()

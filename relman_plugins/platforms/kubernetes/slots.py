"""Which slot is for what: pure.

What serves keeps its slot and stays as it was made, whatever has become of manifests and configuration: these
come with the new version, and are not tried on everybody.
"""

from __future__ import annotations

from typing import NamedTuple

from relman_plugins.domain.state import DesiredState, Revision
from relman_plugins.platforms.kubernetes.objects import DIGEST, IMAGE, SLOTS, VERSION, Obj, Objects, key_of
from relman_plugins.platforms.kubernetes.seen import Seen


class Slots(NamedTuple):
    """Where the stable revision and the candidate belong; empty where there is none."""

    stable: str
    candidate: str
    running: frozenset[str]
    """Those whose Deployment is the right one as it was made."""

    @property
    def taken(self) -> list[str]:
        """Return those that are for something."""
        return [slot for slot in (self.stable, self.candidate) if slot]


def slots_for(desired: DesiredState, seen: Seen, objects: Objects, old: Objects | None = None) -> Slots:
    """Return the slots for what is desired.

    Args:
        desired: what is desired.
        seen: what there is.
        objects: what a new version is made from.
        old: what a stable version that is brought back was made from, if that is known.
    """
    roles = seen.roles
    order = list(dict.fromkeys([roles.stable or SLOTS[0], roles.candidate or SLOTS[1], *SLOTS]))
    free = order.copy()
    stable = _stable(desired, seen, objects, free)
    running = {stable} if stable else set()
    if stable:
        free.remove(stable)
    candidate = _exact(desired.candidate, seen, objects, free)
    if candidate:
        free.remove(candidate)
        running.add(candidate)
    if desired.stable is not None and not stable:
        empty = [s for s in free if s not in seen.deployments]
        rolled = [s for s in free if _rolls(desired, seen, old or objects, s, order[0])]
        stable = (rolled or empty or free[-1:])[0]
        free.remove(stable)
    if desired.candidate is not None and not candidate:
        candidate = free[-1]
    return Slots(stable, candidate, frozenset(running))


def is_of(deployment: Obj, revision: Revision) -> bool:
    """Say whether a Deployment is of a revision, whatever manifests and configuration it was made with."""
    notes = deployment["metadata"]["annotations"]
    here = (notes[VERSION], notes[DIGEST], notes[IMAGE])
    return here == (revision.version, revision.digest, str(revision.image))


def _stable(desired: DesiredState, seen: Seen, objects: Objects, free: list[str]) -> str:
    """Return the slot that runs the stable revision.

    Of several copies of one version that is the one that serves, while a candidate stands beside it and on
    the way back; and the one that is made from the manifests at hand, when that is promoted.
    """
    if desired.stable is None:
        return ""
    same = [s for s in free if s in seen.deployments and is_of(seen.deployments[s], desired.stable)]
    if (desired.candidate is not None or desired.returning) and seen.roles.stable in same:
        return seen.roles.stable
    exact = _exact(desired.stable, seen, objects, free)
    if exact or not (desired.candidate is not None or desired.returning or _are_several(seen)):
        return exact
    return next(iter(same), "")


def _exact(revision: Revision | None, seen: Seen, objects: Objects, free: list[str]) -> str:
    """Return the slot that runs a revision made from the manifests and the configuration at hand."""
    if revision is None:
        return ""
    key = objects.revision_key(revision)
    return next((s for s in free if s in seen.deployments and key_of(seen.deployments[s]) == key), "")


def _rolls(desired: DesiredState, seen: Seen, objects: Objects, slot: str, serves: str) -> bool:
    """Say whether what makes the pods of a slot becomes another version in place."""
    there, kind = seen.deployments.get(slot), objects.workload.pods["kind"]
    if there is None or (there["kind"], there["metadata"]["name"]) != (kind, objects.deployment_name(slot)):
        return False
    asked = desired.rolling is not None and desired.candidate is None and slot == serves
    return objects.workload.in_place or asked


def _are_several(seen: Seen) -> bool:
    """Say whether Deployments of several revisions are there."""
    notes = [d["metadata"]["annotations"] for d in seen.deployments.values()]
    return len({(n[VERSION], n[DIGEST]) for n in notes}) > 1

"""Writing to the cluster under a fencing token.

The object is read, then the token, then the object is written if it is still the one that was read. Whoever
takes over writes the token first, then a label to everything that is there. So a caller that lost its lock
can change and delete nothing of that, and make nothing over that: it finds the newer token, or a change. What
was not there then and is not made by the newer caller, it may still make; the next call removes it.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Collection
from dataclasses import replace

from relman_plugins.domain.routing import ROUTES
from relman_plugins.domain.workload import EXTRAS, KINDS, SETS
from relman_plugins.errors import PlatformRejected, PlatformUnavailable, StaleToken
from relman_plugins.platforms.kubernetes.api import Kube, Moved, Owned
from relman_plugins.platforms.kubernetes.objects import Obj, Objects
from relman_plugins.platforms.kubernetes.roles import Roles, roles_path
from relman_plugins.platforms.kubernetes.troubles import is_leaving, leaving

MARKER = "relman-fence"
"""The field manager of the label that a takeover writes: what `MANAGER` applies leaves it alone."""

GONE_S = 0.5
"""Seconds between two looks at an object that is being deleted."""

TAKEN = "relman/taken"
"""That label: which call took over last. An annotation would raise the generation of a Deployment."""


class Fence:
    """All writes of one call of ``converge``."""

    def __init__(self, kube: Kube, objects: Objects, token: int, *, takes_over: bool = False) -> None:
        """Begin a call; nothing is asked.

        Args:
            kube: makes the requests.
            objects: says what is the service's own.
            token: of the caller's lock.
            takes_over: whether fields that others own, and objects whose labels they removed, are taken back.
        """
        self.kube, self.objects, self.token, self.takes_over = kube, objects, token, takes_over
        self.taken: dict[str, None] = {}
        """What was taken from others, in words, in order."""
        self._leaving: dict[tuple[str, str], Obj] = {}
        """What was written on the way back though it is being deleted, by kind and name."""
        self._going: Roles | None = None
        """The roles as they were written last, when what remembers them is being deleted."""
        self.call = uuid.uuid4().hex
        """What tells this call from an earlier one with the same token."""
        self.what = f"{objects.service} in {objects.environment}"

    def claim(self) -> None:
        """Take over from callers with an older token, and from an earlier call with this one."""
        while True:
            live = self.kube.get(roles_path(self.objects))
            roles = Roles.of(live)
            if roles.strange and not self.takes_over:
                raise PlatformRejected(roles.strange)
            if roles.token > self.token:
                raise self._stale(roles.token)
            live = self._there(roles_path(self.objects), live)
            try:
                self._apply_roles(live, replace(roles, token=self.token, asked=self.call))
                break
            except Moved as moved:
                self._again(roles_path(self.objects), moved)
        # What traffic goes by is first.
        for kind in dict.fromkeys(("Service", *ROUTES, *SETS, *EXTRAS)):
            for obj in self._all(kind):
                self._take(kind, obj)

    def _all(self, kind: str) -> list[Obj]:
        try:
            return self.kube.list(self.objects.path(kind), self.objects.selector)[0]
        except PlatformRejected:
            if kind in EXTRAS or kind not in (*ROUTES, "StatefulSet"):
                raise
            return []  # the look that follows says what right is missing, and whether that matters

    def _take(self, kind: str, live: Obj | None) -> None:
        """Change an object's version, so that writes that rest on the last one are refused."""
        label = {TAKEN: f"{self.token}-{self.call}"}
        while live is not None and self.objects.is_ours(live):
            path = self.objects.path(kind, live["metadata"]["name"])
            if path == roles_path(self.objects):
                return  # it has just been written
            meta = {k: live["metadata"][k] for k in ("name", "namespace")} | {"labels": label}
            marked = {"apiVersion": KINDS[kind][0], "kind": kind, "metadata": meta}
            try:
                self.kube.apply(path, marked, live, manager=MARKER)
                return
            except PlatformRejected:
                # A policy that takes no change to it takes an older caller's neither, and must not stand in
                # the way back: traffic may move without it.
                return
            except Moved as moved:
                self._again(path, moved)
                live = self.kube.get(path)

    def remember(self, roles: Roles) -> None:
        """Keep what was asked for; raise as `check` does."""
        while True:
            live = self.kube.get(roles_path(self.objects))
            self.check(Roles.of(live))
            live = self._there(roles_path(self.objects), live)
            try:
                self._apply_roles(live, roles)
                return
            except Moved as moved:
                self._again(roles_path(self.objects), moved)

    def _apply_roles(self, live: Obj | None, roles: Roles) -> None:
        path = roles_path(self.objects)
        made = self.objects.memory(path.rpartition("/")[2], roles.data())
        self._not_anothers(path, live)
        self._apply(path, made, live)
        self._going = roles if live is not None and is_leaving(live) else None

    def _apply(self, path: str, obj: Obj, live: Obj | None, *, dry_run: bool = False) -> None:
        try:
            self.kube.apply(path, obj, live, dry_run=dry_run)
        except Owned as owned:
            if not self.takes_over:
                raise
            self.kube.apply(path, obj, live, dry_run=dry_run, force=True)
            self.taken[f"taken over on the way back: {path} ({owned.fields})"] = None

    def write(self, kind: str, name: str, obj: Obj, *, dry_run: bool = False, anew: bool = True) -> None:
        """Apply an object; raise PlatformRejected when it is somebody else's, and as `check` does.

        One that is being deleted is waited for, and made anew. On the way back it is written at once, too,
        since traffic may go by it, and `renew` makes it anew, but for what is to go: without ``anew``.
        """
        path = self.objects.path(kind, name)
        while True:
            live = self.kube.get(path)
            self._not_anothers(path, live)
            live = self._there(path, live)
            self._fence()
            try:
                self._apply(path, obj, live, dry_run=dry_run)
                break
            except Moved as moved:
                self._again(path, moved)
        if live is not None and is_leaving(live) and anew and not dry_run:
            self._leaving[kind, name] = obj

    def renew(self, kinds: Collection[str] = tuple(KINDS)) -> None:
        """Make anew what was written while it was being deleted, of some kinds; raise as `write` does."""
        while found := [place for place in self._leaving if place[0] in kinds]:
            kind, name = found[-1]
            path = self.objects.path(kind, name)
            self._until_gone(path, self.kube.get(path))
            self.write(kind, name, self._leaving.pop(found[-1]))

    def remake(self) -> None:
        """Make anew what was written while it was being deleted, and is gone; raise as `write` does."""
        for kind, name in list(self._leaving):
            live = self.kube.get(self.objects.path(kind, name))
            if live is None or not is_leaving(live):
                self.write(kind, name, self._leaving.pop((kind, name)))

    def renew_roles(self) -> None:
        """Make anew what remembers roles and token, if it is being deleted; raise as `check` does."""
        path = roles_path(self.objects)
        while self._going is not None:
            live = self.kube.get(path)
            if live is not None:
                # Who has taken over meanwhile makes it anew with their own token.
                self.check(Roles.of(live))
                if is_leaving(live):
                    self._wait_for_end(path, live)
                    continue
            try:
                self._apply_roles(live, self._going)
            except Moved as moved:
                self._again(path, moved)

    def _there(self, path: str, live: Obj | None) -> Obj | None:
        """Return what is to be written over; None when that is gone, as which one being deleted ends."""
        return live if self.takes_over else self._until_gone(path, live)

    def _until_gone(self, path: str, live: Obj | None) -> Obj | None:
        """Wait for the end of an object that is being deleted; return the one that is there then."""
        while live is not None and is_leaving(live):
            self._wait_for_end(path, live)
            live = self.kube.get(path)
        return live

    def _wait_for_end(self, path: str, live: Obj) -> None:
        if self.kube.left_s <= GONE_S:
            raise PlatformUnavailable(f"{leaving(path, live)}; relman makes it anew with the next try")
        time.sleep(GONE_S)

    def delete(self, kind: str, obj: Obj) -> None:
        """Delete an object, if it is still the one that was seen; raise as `check` does."""
        path = self.objects.path(kind, obj["metadata"]["name"])
        while True:
            live = self.kube.get(path)
            if live is None or not self.objects.is_ours(live) or is_leaving(live):
                return
            self._fence()
            if live["metadata"]["uid"] != obj["metadata"]["uid"]:
                raise PlatformUnavailable(f"{path} was made anew meanwhile")
            try:
                self.kube.delete(path, live)
                return
            except Moved as moved:
                self._again(path, moved)

    def restart(self, path: str, pod: Obj) -> None:
        """Delete a pod that is made anew, if it is still as it was seen; raise as `check` does."""
        self._fence()
        with contextlib.suppress(Moved):  # it has become something else; the next look says what
            self.kube.delete(f"{path}/{pod['metadata']['name']}", pod)

    def _again(self, path: str, moved: Moved) -> None:
        if not self.kube.left_s:
            raise PlatformUnavailable(f"{path} changes all the time: {moved}") from moved

    def _not_anothers(self, path: str, live: Obj | None) -> None:
        if live is None or self.objects.is_ours(live):
            return
        if self.takes_over and self.objects.was_ours(live):
            self.taken[f"taken over on the way back: {path} (somebody removed its labels)"] = None
        else:
            wanted = " ".join(f"{k}={v}" for k, v in self.objects.owned.items())
            raise PlatformRejected(
                f"{path} is there and not relman's: somebody else made it, and it is left alone. Remove it, "
                f"or hand it over with these labels: {wanted}"
            )

    def _fence(self) -> None:
        self.check(Roles.of(self.kube.get(roles_path(self.objects))))

    def check(self, roles: Roles) -> None:
        """Raise StaleToken, or PlatformUnavailable when another call came, by what is kept in the cluster."""
        if roles.token > self.token:
            raise self._stale(roles.token)
        if roles.asked != self.call:
            raise PlatformUnavailable(f"{self.what} was given another desired state meanwhile")

    def _stale(self, newest: int) -> StaleToken:
        there = f"{self.objects.environment}/{self.objects.service}"
        return StaleToken(f"token {self.token} for {there} is older than {newest}: the lock was lost")

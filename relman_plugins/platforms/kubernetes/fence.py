"""Writing to the cluster under a fencing token.

The object is read, then the token, then the object is written if it is still the one that was read. So a
caller that lost its lock can write nothing after a newer one has: it finds the newer token, or a change.
"""

from __future__ import annotations

import uuid
from dataclasses import replace

from relman_plugins.errors import PlatformRejected, PlatformUnavailable, StaleToken
from relman_plugins.platforms.kubernetes.api import Kube, Moved
from relman_plugins.platforms.kubernetes.objects import Obj, Objects
from relman_plugins.platforms.kubernetes.seen import Roles, roles_path


class Fence:
    """All writes of one call of ``converge``."""

    def __init__(self, kube: Kube, objects: Objects, token: int) -> None:
        self.kube, self.objects, self.token = kube, objects, token
        self.call = uuid.uuid4().hex
        """What tells this call from an earlier one with the same token."""
        self.what = f"{objects.service} in {objects.environment}"

    def claim(self) -> None:
        """Take over from callers with an older token, and from an earlier call with this one."""
        while True:
            live = self.kube.get(roles_path(self.objects))
            roles = Roles.of(live)
            if roles.token > self.token:
                raise self._stale(roles.token)
            try:
                self._apply_roles(live, replace(roles, token=self.token, asked=self.call))
                return
            except Moved as moved:
                self._again(roles_path(self.objects), moved)

    def remember(self, roles: Roles) -> None:
        """Keep what was asked for; raise as `check` does."""
        while True:
            live = self.kube.get(roles_path(self.objects))
            self.check(Roles.of(live))
            try:
                self._apply_roles(live, roles)
                return
            except Moved as moved:
                self._again(roles_path(self.objects), moved)

    def _apply_roles(self, live: Obj | None, roles: Roles) -> None:
        path = roles_path(self.objects)
        named = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": path.rpartition("/")[2]}}
        made = self.objects.as_is(named) | {"data": roles.data()}
        self._not_anothers(path, live)
        self.kube.apply(path, made, live["metadata"]["resourceVersion"] if live else None)

    def write(self, kind: str, name: str, obj: Obj, *, dry_run: bool = False) -> None:
        """Apply an object; raise PlatformRejected when it is somebody else's, and as `check` does."""
        path = self.objects.path(kind, name)
        while True:
            live = self.kube.get(path)
            self._not_anothers(path, live)
            self._fence()
            try:
                self.kube.apply(
                    path, obj, live["metadata"]["resourceVersion"] if live else None, dry_run=dry_run
                )
                return
            except Moved as moved:
                self._again(path, moved)

    def delete(self, kind: str, obj: Obj) -> None:
        """Delete an object, if it is still the one that was seen; raise as `check` does."""
        self._fence()
        path = self.objects.path(kind, obj["metadata"]["name"])
        try:
            self.kube.delete(path, obj["metadata"]["uid"])
        except Moved as moved:
            raise PlatformUnavailable(f"{path} was made anew meanwhile: {moved}") from moved

    def _again(self, path: str, moved: Moved) -> None:
        if not self.kube.left_s:
            raise PlatformUnavailable(f"{path} changes all the time: {moved}") from moved

    def _not_anothers(self, path: str, live: Obj | None) -> None:
        if live is not None and not self.objects.is_ours(live):
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

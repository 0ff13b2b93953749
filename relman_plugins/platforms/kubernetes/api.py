"""Requests to a Kubernetes API server: what is tried again, what is an answer, and what it means in words."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from relman_plugins.errors import PlatformRejected, PlatformUnavailable
from relman_plugins.platforms.kubernetes.objects import MANAGER, Obj

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

ANSWER_S = 30.0
"""Seconds that one answer may take."""

LAST_S = 5.0
"""Seconds that an answer may take in any case, also at the deadline."""

PAUSE_S = 0.5
"""Seconds before a request is tried again, at first; each further time takes twice as long, up to 5 s."""

BUSY = (429, 500, 502, 503, 504)
"""Answers after which the same request may succeed."""

APPLY = "application/apply-patch+yaml"

NO_VERSION = "1"
"""A resource version that no object has: applied with it, one can only be made (since Kubernetes 1.23)."""


class Moved(Exception):
    """The object was changed since it was read, or it is not known whether: read it before writing again."""


class Owned(PlatformRejected):
    """Fields belong to other managers, by whoever's hand."""

    def __init__(self, path: str, fields: str) -> None:
        super().__init__(
            f"{path} has fields that somebody else owns ({fields}); relman takes nothing away from others "
            "but on the way back: let them give these fields up, or leave them out of the manifest"
        )
        self.fields = fields


class Kube:
    """Makes requests until a deadline. Safe in threads, as the client is; one for each call of a driver."""

    def __init__(self, client: ApiClient, timeout_s: float) -> None:
        """Keep the client; nothing is asked.

        Args:
            client: has the address, the certificates and the login.
            timeout_s: seconds that all requests together may take.
        """
        self.client = client
        self.ends = time.monotonic() + timeout_s
        self._last = ""
        self._pause_s = PAUSE_S
        """Before the next try of a write."""

    @property
    def left_s(self) -> float:
        """Seconds until the deadline, at least 0."""
        return max(0.0, self.ends - time.monotonic())

    def get(self, path: str) -> Obj | None:
        """Return an object; None if there is none."""
        return self._ask("GET", path)

    def list(self, path: str, selector: str) -> tuple[list[Obj], str]:
        """Return the objects that a label selector chooses, and the resource version of the list."""
        found = self._ask("GET", path, {"labelSelector": selector}) or {}
        return list(found.get("items") or []), str(found.get("metadata", {}).get("resourceVersion", "0"))

    def apply(
        self,
        path: str,
        obj: Obj,
        live: Obj | None,
        *,
        manager: str = MANAGER,
        dry_run: bool = False,
        force: bool = False,
    ) -> Obj:
        """Apply an object as a field manager of relman's; return it as it is then. Never tried again.

        Args:
            path: of the object.
            obj: the fields that the manager wants to own.
            live: as which it must still be there; None when it must not be there yet.
            manager: the field manager.
            dry_run: whether the API server only checks.
            force: whether to take fields away from other managers.

        Raises:
            Moved: it is another one by now, or there was no answer.
            Owned: a field belongs to somebody else.
            PlatformRejected: the API server refuses the object.
        """
        # By its version alone, an object that was deleted would be made again; with a uid it is not.
        still = _identity(live) if live is not None else {"resourceVersion": NO_VERSION}
        body = obj | {"metadata": obj["metadata"] | still}
        query = {"fieldManager": manager, "force": "true" if force else "false"}
        query |= {"dryRun": "All"} if dry_run else {}
        done = self._ask("PATCH", path, query, body, APPLY)
        if done is None:
            raise PlatformRejected(f"there is no {path}: does the namespace exist?{self._said()}")
        return done

    def merge(self, path: str, live: Obj, patch: Obj) -> Obj | None:
        """Change some fields of an object that is as it was read; None if it is gone. Never tried again.

        Raises as `apply` does.
        """
        body = patch | {"metadata": patch.get("metadata", {}) | _identity(live)}
        return self._ask("PATCH", path, {"fieldManager": MANAGER}, body, "application/merge-patch+json")

    def text(self, path: str, query: dict[str, str], most: int) -> str | None:
        """Return the text of a log, at most so many bytes; None if there is none, or none yet.

        Raises:
            PlatformUnavailable: there is no answer.
            PlatformRejected: it may not be read.
        """
        from urllib3.exceptions import HTTPError

        try:
            got = self.stream(path, query, 0.0)
            try:
                data = got.read(most)
            finally:
                got.close()
        except (HTTPError, OSError) as error:
            raise PlatformUnavailable(
                f"the Kubernetes API at {self.client.configuration.host} does not answer GET {path}: {error}"
            ) from error
        if got.status == 200:
            return bytes(data).decode(errors="replace")
        try:
            answer = json.loads(data)
        except ValueError:
            answer = {}
        # 400: the container has not started.
        if got.status in (400, 404):
            return None
        if got.status in BUSY:
            raise PlatformUnavailable(f"the Kubernetes API does not do GET {path}: HTTP {got.status}")
        raise _refused("GET", path, got.status, answer if isinstance(answer, dict) else {})

    def delete(self, path: str, live: Obj) -> None:
        """Delete an object, if it is still as it was read; raise as `apply` does. Never tried again."""
        body = {"preconditions": _identity(live), "propagationPolicy": "Background"}
        self._ask("DELETE", path, {}, body, "application/json")

    def stream(self, path: str, query: dict[str, str], lasts_s: float) -> Any:
        """Return the open answer of a watch, to be read and closed; raise what urllib3 raises."""
        url, headers = self._address(path, query)
        pool = self.client.rest_client.pool_manager
        return pool.request(
            "GET", url, headers=headers, preload_content=False, retries=False, timeout=lasts_s + ANSWER_S
        )

    def _ask(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        body: Obj | None = None,
        content_type: str = "",
    ) -> Obj | None:
        """Ask until there is an answer that trying again won't change; None for 404.

        A write is not asked again: what it was to rest on may be over. Raises Moved after the pause.
        """
        pause = PAUSE_S if method == "GET" else self._pause_s
        while True:
            status, answer, wait_s = self._once(method, path, query or {}, body, content_type)
            if status in (200, 201, 202):
                if method != "GET":
                    self._pause_s = PAUSE_S
                return answer
            if status == 404:
                self._last = str(answer.get("message") or "")
                return None
            if status not in (0, *BUSY):
                raise _refused(method, path, status, answer)
            pause_s = max(pause, wait_s or 0.0)
            if pause_s >= self.left_s:
                said = answer.get("message") or status
                raise PlatformUnavailable(
                    f"the Kubernetes API at {self.client.configuration.host} does not do {method} {path} in "
                    f"time: {said}"
                )
            time.sleep(pause_s)
            pause = min(5.0, pause * 2)
            if method != "GET":
                self._pause_s = pause
                raise Moved(str(answer.get("message") or f"HTTP {status}"))

    def _once(
        self, method: str, path: str, query: dict[str, str], body: Obj | None, content_type: str
    ) -> tuple[int, Obj, float | None]:
        """Return the status (0: no answer), the answer, and how long to wait before another try."""
        from urllib3.exceptions import HTTPError

        url, headers = self._address(path, query)
        if body is not None:
            headers["Content-Type"] = content_type
        data = None if body is None else json.dumps(body).encode()
        pool = self.client.rest_client.pool_manager
        # A look at the end still has to say what is wrong.
        timeout = max(LAST_S, min(ANSWER_S, self.left_s))
        try:
            # Without urllib3's own tries: they would sleep as long as a Retry-After says.
            got = pool.request(method, url, body=data, headers=headers, retries=False, timeout=timeout)
        except (HTTPError, OSError) as error:
            return 0, {"message": f"no answer ({error})"}, None
        try:
            answer = json.loads(got.data)
        except ValueError:
            answer = {"message": got.data[:200].decode(errors="replace")}
        wait = got.headers.get("Retry-After", "")
        return got.status, answer if isinstance(answer, dict) else {}, float(wait) if wait.isdigit() else None

    def _address(self, path: str, query: dict[str, str]) -> tuple[str, dict[str, str]]:
        headers: dict[str, str] = {"Accept": "application/json", "User-Agent": MANAGER}
        pairs: list[tuple[str, str]] = list(query.items())
        self.client.update_params_for_auth(headers, pairs, ["BearerToken"])
        login = headers.get("authorization", "")
        if not login.isascii() or not login.isprintable():
            # Said here, since http.client would quote the header.
            raise PlatformRejected(
                "the connection's token has a character that no header can have; remove line breaks and what "
                "is not ASCII"
            )
        asked = f"?{urlencode(pairs)}" if pairs else ""
        return f"{self.client.configuration.host}{path}{asked}", headers

    def _said(self) -> str:
        return f" ({self._last})" if self._last else ""


def _identity(live: Obj) -> dict[str, str]:
    return {k: str(live["metadata"][k]) for k in ("uid", "resourceVersion")}


def _refused(method: str, path: str, status: int, answer: Obj) -> Exception:
    message = str(answer.get("message") or f"HTTP {status}")
    causes = (answer.get("details") or {}).get("causes") or []
    if status == 409 and any(c.get("reason") == "FieldManagerConflict" for c in causes):
        fields = "; ".join(f"{c.get('field')}: {c.get('message')}" for c in causes)
        return Owned(path, fields)
    if status == 409:
        return Moved(message)
    if status == 401:
        return PlatformUnavailable(
            f"the Kubernetes API does not take the connection's login ({message}): it may have expired"
        )
    if status == 403 and "quota" not in message and "admission" not in message:
        return PlatformRejected(
            f"relman may not {method} {path}: {message}; deploy/kubernetes-rbac.yaml has the rights it needs"
        )
    return PlatformRejected(f"the Kubernetes API refuses {method} {path}: {message}")

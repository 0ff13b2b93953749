"""The cluster as a whole: an HTTP server, the store behind it, its controllers, and what tests order."""

from __future__ import annotations

import json
import secrets
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any, Self
from urllib.parse import urlsplit

from relman_plugins.testing.kube.api import Api, Request, parse
from relman_plugins.testing.kube.controllers import Controllers
from relman_plugins.testing.kube.faults import Fault, Faults
from relman_plugins.testing.kube.resources import BY_KIND, ApiError, Obj
from relman_plugins.testing.kube.store import Store
from relman_plugins.testing.kube.tls import HOST, self_signed

Rule = tuple[str, str]
"""A verb and ``plural.group/subresource``."""


class Cluster:
    """A context manager: a server at ``url`` that takes ``token``, on a loopback port, self-signed."""

    def __init__(self, *namespaces: str) -> None:
        self.store = Store()
        self.faults = Faults()
        self.token = secrets.token_hex(8)
        """What requests must carry; another one makes those with the old one fail with 401."""
        self.allowed: set[Rule] | None = None
        """What the caller may do; None: everything."""
        self.asked: list[Rule] = []
        """What was asked of objects, in order."""
        self.writes: list[tuple[str, str]] = []
        """Method and path of each request that wrote, dry runs left out, in order."""
        self._controllers = Controllers(self.store, self.faults)
        self._api = Api(self.store, self.faults, self._controllers.kubelet.job_pods.log)
        self._lock = Lock()
        for name in ("default", *namespaces):
            self.namespace(name)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # or each answer waits 40 ms for the acknowledgement of its head

            def do_GET(self) -> None:
                outer._serve(self)

            do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - the names are the protocol's

            def log_message(self, *_: Any) -> None:
                """Print nothing."""

        context, self._certificate = self_signed()
        self._http = ThreadingHTTPServer((HOST, 0), Handler)
        self._http.daemon_threads = True
        # The handshake is for the request's own thread: a client that stays silent must not stop the others.
        self._http.socket = context.wrap_socket(
            self._http.socket, server_side=True, do_handshake_on_connect=False
        )
        self.url = f"https://{HOST}:{self._http.server_port}"

    def __enter__(self) -> Self:
        self._controllers.start()
        Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._api.cut()
        self._http.shutdown()
        self._http.server_close()
        self._controllers.stop()

    def namespace(self, name: str) -> None:
        """Create a namespace."""
        made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        self.store.put(BY_KIND["Namespace"], made)

    def kubeconfig(self) -> Obj:
        """Return what a client needs, as a kubeconfig document."""
        server = {"server": self.url, "certificate-authority-data": b64encode(self._certificate).decode()}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "emulated",
            "clusters": [{"name": "emulated", "cluster": server}],
            "users": [{"name": "relman", "user": {"token": self.token}}],
            "contexts": [{"name": "emulated", "context": {"cluster": "emulated", "user": "relman"}}],
        }

    def image(self, part: str, fate: str | None) -> None:
        """Order what becomes of containers whose image contains ``part``, by `Faults.images`; None: start."""
        if fate is None:
            self.faults.images.pop(part, None)
        else:
            self.faults.images[part] = fate
        self._controllers.kick()

    def overdue(self, deployment: str) -> None:
        """Let a Deployment's deadline for progress be over, as long as it is not complete."""
        self._controllers.kubelet.overdue.add(deployment)
        self._controllers.kick()

    def expire(self, namespace: str, job: str) -> None:
        """Let the deadline of a Job be over."""
        self._controllers.jobs.expire(self.store.get(BY_KIND["Job"], namespace, job))

    def quota(self, namespace: str, pods: int | None) -> None:
        """Allow a namespace so many pods; None: any number."""
        self.faults.quota.pop(namespace, None)
        if pods is not None:
            self.faults.quota[namespace] = pods
        self._controllers.kick()

    def lose_node(self, name: str = "node-1") -> None:
        """Lose a node with its pods: they are made anew elsewhere."""
        self._controllers.kubelet.lost.add(name)
        self._controllers.kick()

    def evict(self, pod: str) -> None:
        """Let a node have no room for a pod: it stays as failed, and its ReplicaSet makes another."""
        self._controllers.kubelet.evicted.add(pod)
        self._controllers.kick()

    def routes_are_taken(self, taken: bool, gateway: str | None = None) -> None:
        """Say whether gateways take HTTPRoutes and Ingresses get addresses, or whether one gateway does."""
        if gateway is None:
            self._controllers.gateway = taken
        elif taken:
            self._controllers.deaf.discard(gateway)
        else:
            self._controllers.deaf.add(gateway)
        self._controllers.kick()

    def endpoints_follow(self, follow: bool) -> None:
        """Say whether EndpointSlices follow the Services and their pods."""
        self._controllers.endpoints = follow
        self._controllers.kick()

    def cut_watches(self) -> None:
        """Close all watches."""
        self._api.cut()

    def forget(self) -> None:
        """Let every resource version so far be too old for a watch."""
        self.store.forget()

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        method, request, cuts = handler.command, parse(handler.command, handler.path), self._api.cuts
        fault: Fault | None = None
        try:
            if handler.headers.get("Authorization") != f"Bearer {self.token}":
                raise ApiError(401, "Unauthorized", "Unauthorized")
            if request is None:
                if method != "GET":
                    raise ApiError(404, "NotFound", "the server could not find the requested resource")
                return _answer(handler, 200, self._api.discovery(handler.path))
            self._note(method, request, handler.path)
            said = "" if request.query.get("dryRun") else body.decode()
            fault = self.faults.next(request.verb, request.resource.name, said)
            if fault and fault.until:
                fault.until.wait(60)
            elif fault and fault.error:
                raise fault.error
            elif fault and not fault.after:
                return _hang_up(handler)
            if request.subresource == "log":
                return _text(handler, self._api.log(request))
            if request.verb == "watch":
                return self._watch(handler, request, cuts)
            kind, agent = handler.headers.get("Content-Type") or "", handler.headers.get("User-Agent") or ""
            status, answer = self._api.do(request, body, kind, agent)
            if fault and not fault.until:
                return _hang_up(handler)
            _answer(handler, status, answer)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            _answer(handler, 500, ApiError(500, "InternalError", f"{type(error).__name__}: {error}").status())
        except ApiError as error:
            _answer(handler, error.code, error.status(), error.retry_after)

    def _note(self, method: str, request: Request, target: str) -> None:
        # Applying what is not there creates it, and needs the right to.
        creates = request.verb == "patch" and not self.store.find(
            request.resource.kind, request.namespace, request.name
        )
        with self._lock:
            self.asked += [request.rule, *([("create", request.rule[1])] if creates else [])]
            if method != "GET" and request.query.get("dryRun") != "All":
                self.writes.append((method, urlsplit(target).path))
        needed = {request.rule, ("create", request.rule[1]) if creates else request.rule}
        if self.allowed is not None and not needed <= self.allowed:
            raise ApiError(
                403,
                "Forbidden",
                f'{request.resource.name} "{request.name}" is forbidden: User "relman" cannot {request.verb} '
                f'resource "{request.resource.plural}" in API group "{request.resource.group}" in the '
                f'namespace "{request.namespace}"',
            )

    def _watch(self, handler: BaseHTTPRequestHandler, request: Request, cuts: int) -> None:
        events = self._api.watch(request, cuts)
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        try:
            for event in events:
                _chunk(handler, event)
            _chunk(handler, None)
        except OSError:
            return


def _chunk(handler: BaseHTTPRequestHandler, event: Obj | None) -> None:
    line = b"" if event is None else json.dumps(event).encode() + b"\n"
    handler.wfile.write(b"%x\r\n%b\r\n" % (len(line), line))
    handler.wfile.flush()


def _answer(handler: BaseHTTPRequestHandler, status: int, body: Obj, retry_after: int | None = None) -> None:
    raw = json.dumps(body).encode()
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(raw)))
    if retry_after is not None:
        handler.send_header("Retry-After", str(retry_after))
    handler.end_headers()
    handler.wfile.write(raw)


def _text(handler: BaseHTTPRequestHandler, raw: bytes) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "text/plain")
    handler.send_header("Content-Length", str(len(raw)))
    handler.end_headers()
    handler.wfile.write(raw)


def _hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True
    handler.connection.close()

"""A server that speaks what Jira, GitHub and GitLab answer about one issue, as they document it."""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any, Self
from urllib.parse import unquote, urlsplit

LOGIN = "Basic " + base64.b64encode(b"bot:secret").decode()


class Trackers:
    """Issues by path. ``broken`` is the status of every answer, or a body that is none."""

    def __init__(self) -> None:
        self.issues: dict[str, Any] = {}
        self.broken: int | str | None = None
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = unquote(urlsplit(self.path).path)
                outer.asked.append(path)
                if isinstance(outer.broken, int):
                    self.say(outer.broken, {"message": "password=hunter2"})
                elif self.headers["Authorization"] not in (LOGIN, "Bearer secret"):
                    self.say(401, {"message": "no"})
                elif isinstance(outer.broken, str):
                    self.say(200, outer.broken)
                elif path in outer.issues:
                    self.say(200, outer.issues[path])
                else:
                    self.say(404, {"errorMessages": ["Issue does not exist or you do not have permission"]})

            def say(self, status: int, body: Any) -> None:
                raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def jira(self, key: str, title: str = "Cart", *, kind: str = "Bug", category: str = "new") -> None:
        status = {"name": "In Progress", "statusCategory": {"id": 4, "key": category, "name": "…"}}
        fields = {"summary": title, "issuetype": {"name": kind, "subtask": False}, "status": status}
        self.issues[f"/rest/api/2/issue/{key}"] = {"id": "10002", "key": key, "fields": fields}

    def github(self, n: int, *labels: str, state: str = "open", pull: bool = False) -> None:
        said = {
            "number": n,
            "title": "Cart",
            "state": state,
            "labels": [{"id": 1, "name": x} for x in labels],
        }
        more = {"pull_request": {"url": "…"}} if pull else {}
        self.issues[f"/repos/shop/checkout/issues/{n}"] = said | more

    def gitlab(self, n: int, *labels: str, state: str = "opened") -> None:
        said = {"iid": n, "title": "Cart", "state": state, "labels": list(labels), "issue_type": "issue"}
        self.issues[f"/api/v4/projects/shop/checkout/issues/{n}"] = said

    def connection(self, **more: Any) -> Any:
        """What Airflow would have of it."""
        port = self._server.server_port
        host = {"host": "127.0.0.1", "schema": "http", "port": port, "login": "bot", "password": "secret"}
        return SimpleNamespace(**({"extra_dejson": {}} | host | more))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()

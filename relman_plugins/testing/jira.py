"""A small Jira: issues by its REST API, and approvals of Jira Service Management, in their shapes, over HTTP.

It knows the paths that relman asks below ``/rest/api/3`` and ``/rest/servicedeskapi``, and basic
authentication. Like the real one it finds a new issue by a search only some time later (``index()``), answers
404 both to what is not there and to what may not be seen, and moves an issue only along its transitions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from relman_plugins.testing.tickets_server import Answer, TicketsServer

USER, PASSWORD = "relman@shop.example", "an-api-token"

STATUSES = {
    "Awaiting approval": "new",
    "Awaiting implementation": "indeterminate",
    "Implementing": "indeterminate",
    "Completed": "done",
    "Failed": "done",
    "Canceled": "done",
    "On hold": "indeterminate",
}
"""Status → its category."""
_MOVES = {
    "Awaiting approval": ("Awaiting implementation", "Canceled"),
    "Awaiting implementation": ("Implementing", "Canceled"),
    "Implementing": ("Completed", "Failed", "Canceled"),
    "On hold": ("Implementing", "Canceled"),
}
_NAMES = {
    "summary": "Summary",
    "status": "Status",
    "labels": "Labels",
    "components": "Components",
    "customfield_10050": "Planned start",
    "customfield_10051": "Planned end",
    "customfield_10060": "CAB decision",
}
_ISSUE = re.compile(r"/rest/api/3/issue/([A-Z]+-[0-9]+)(/comment|/transitions)?")
_APPROVAL = re.compile(r"/rest/servicedeskapi/request/([A-Z]+-[0-9]+)/approval")


class JiraServer(TicketsServer):
    """The server; a context manager. Issues are their ``fields``, by key."""

    def __init__(self) -> None:
        super().__init__(USER, PASSWORD)
        self.issues: dict[str, dict[str, Any]] = {}
        self.approvals: dict[str, list[str]] = {}
        """Final decisions by key, oldest first; without a list the issue is in no service project."""
        self.comments: dict[str, list[dict[str, Any]]] = {}
        self._found: set[str] = set()

    def issue(
        self,
        key: str,
        status: str = "Awaiting implementation",
        approvals: list[str] | None = None,
        **fields: Any,
    ) -> dict[str, Any]:
        """Add an issue that is approved, and return its fields; ``fields`` say what is other."""
        self.issues[key] = {"status": status_of(status), "components": [{"id": "1", "name": "checkout"}]}
        self.issues[key] |= {"customfield_10050": None, "customfield_10051": None} | fields
        self.approvals[key] = ["approved"] if approvals is None else approvals
        self.index()
        return self.issues[key]

    def index(self) -> None:
        """Let searches find every issue that there is by now."""
        self._found = set(self.issues)

    def refused(self) -> Answer:
        """Answer a request without the right login."""
        return error(401, "Client must be authenticated to access this resource.")

    def done(self, method: str, path: str, body: bytes) -> Answer:
        """Do what is asked for, and answer it."""
        url = urlsplit(path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        given = json.loads(body) if body else {}
        if url.path == "/rest/api/3/myself":
            return ok({"accountId": "5b10", "displayName": "relman", "active": True})
        if url.path == "/rest/api/3/field":
            return ok([{"id": id_, "name": name, "custom": id_[0] == "c"} for id_, name in _NAMES.items()])
        if url.path == "/rest/api/3/search/jql":
            label = query["jql"].partition('labels = "')[2].partition('"')[0]
            keys = [k for k in self.issues if k in self._found and label in self.issues[k].get("labels", ())]
            return ok({"issues": [{"id": "1", "key": key} for key in keys], "isLast": True})
        if url.path == "/rest/api/3/issue" and method == "POST":
            return self._created(given)
        if found := _APPROVAL.fullmatch(url.path):
            return self._approvals(found[1])
        if (found := _ISSUE.fullmatch(url.path)) and found[1] in self.issues:
            return self._of(found[1], found[2] or "", method, given)
        return error(404, "Issue does not exist or you do not have permission to see it.")

    def _of(self, key: str, part: str, method: str, given: dict[str, Any]) -> Answer:
        fields = self.issues[key]
        comments = self.comments.setdefault(key, [])
        status = fields["status"]["name"]
        moves = {str(n): to for n, to in enumerate(_MOVES.get(status, ()), start=11)}
        match method, part:
            case "GET", "":
                names = {name: _NAMES.get(name, name) for name in fields}
                return ok({"id": "10001", "key": key, "fields": fields, "names": names})
            case "GET", "/comment":
                return ok({"comments": comments[::-1][:100], "total": len(comments), "startAt": 0})
            case "POST", "/comment":
                comments.append({"id": str(len(comments) + 1), **given})
                return ok(comments[-1], 201)
            case "GET", "/transitions":
                listed = [{"id": id_, "name": f"To {to}", "to": status_of(to)} for id_, to in moves.items()]
                return ok({"expand": "transitions", "transitions": listed})
            case "POST", "/transitions" if to := moves.get(given["transition"]["id"]):
                fields["status"] = status_of(to)
                return 204, {}, b""
        return error(400, "The transition is not valid.")

    def _created(self, given: dict[str, Any]) -> Answer:
        fields = given["fields"]
        if not fields.get("summary") or "key" not in fields.get("project", {}):
            return error(400, "You must specify a summary of the issue.")
        key = f"{fields['project']['key']}-{len(self.issues) + 1}"
        empty: dict[str, Any] = {"components": [], "customfield_10050": None, "customfield_10051": None}
        self.issues[key] = {"status": status_of("Awaiting approval"), **empty, **fields}
        self.approvals[key] = ["pending"]
        return ok({"id": "10002", "key": key, "self": f"{self.url}/rest/api/3/issue/10002"}, 201)

    def _approvals(self, key: str) -> Answer:
        if key not in self.approvals:
            return error(404, "The issue is no request.")
        rounds = [
            {"id": str(n), "name": "CAB", "finalDecision": d} for n, d in enumerate(self.approvals[key])
        ]
        return ok({"size": len(rounds), "start": 0, "limit": 50, "isLastPage": True, "values": rounds})


def status_of(name: str) -> dict[str, Any]:
    """Return a status as an issue shows it."""
    return {"id": "1", "name": name, "statusCategory": {"id": 4, "key": STATUSES[name], "name": name}}


def ok(body: Mapping[str, Any] | list[Any], status: int = 200) -> Answer:
    """Return an answer with a body."""
    return status, {}, json.dumps(body).encode()


def error(status: int, message: str) -> Answer:
    """Return an error in Jira's shape."""
    return status, {}, json.dumps({"errorMessages": [message], "errors": {}}).encode()

"""A small ServiceNow: the Table API of change requests, over HTTP, in the shapes of the real one.

It knows ``GET``, ``POST`` and ``PATCH`` of ``/api/now/table/change_request``, basic authentication, queries
of the form ``field=value``, ``sysparm_fields``, ``sysparm_limit`` and ``sysparm_display_value=all``, and the
order of states: a change can only go to the next one, is closed only with a code and notes, and what is over
stays. Displayed times are those of an account in Los Angeles in winter, eight hours behind UTC.
"""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from relman_plugins.testing.tickets_server import Answer, TicketsServer

TABLE = "/api/now/table/change_request"
_ITEMS = "/api/now/table/cmdb_ci"
USER, PASSWORD = "relman", "a-password"
STATES = {
    "-5": "New",
    "-4": "Assess",
    "-3": "Authorize",
    "-2": "Scheduled",
    "-1": "Implement",
    "0": "Review",
    "3": "Closed",
    "4": "Canceled",
}
_NEXT = {"-5": "-4", "-4": "-3", "-3": "-2", "-2": "-1", "-1": "0", "0": "3"}
_TIMES = ("start_date", "end_date")
_FORMAT = "%Y-%m-%d %H:%M:%S"


class ServiceNowServer(TicketsServer):
    """The server; a context manager. Records are plain mappings of a field's name to its value."""

    def __init__(self) -> None:
        super().__init__(USER, PASSWORD)
        self.records: list[dict[str, str]] = []
        self.items = {"checkout": uuid.uuid4().hex}
        """Configuration items: name → id."""
        self.readonly: set[str] = set()
        """Fields that the account may not write: they are left out, and nothing is said."""
        self.notes: dict[str, list[str]] = {}
        """Work notes by the number of a change, oldest first."""

    def change(self, number: str, **fields: str) -> dict[str, str]:
        """Add a change that is scheduled and approved, and return it; ``fields`` say what is other."""
        good = {"state": "-2", "approval": "approved", "cmdb_ci": "checkout"}
        record = self._new(number) | good | fields
        self.records.append(record)
        return record

    def _new(self, number: str) -> dict[str, str]:
        empty = dict.fromkeys((*_TIMES, "cmdb_ci", "correlation_id", "close_code", "close_notes"), "")
        return empty | {"number": number, "sys_id": uuid.uuid4().hex, "on_hold": "false"}

    def refused(self) -> Answer:
        """Answer a request without the right login."""
        return _error(401, "User Not Authenticated", "Required to provide Auth information")

    def done(self, method: str, path: str, body: bytes) -> Answer:
        """Do what is asked for, and answer it."""
        url = urlsplit(path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path == _ITEMS and method == "GET":
            wanted = query["sysparm_query"].partition("=")[2]
            items = [{"name": n, "sys_id": i} for n, i in self.items.items() if n == wanted]
            return _result(200, [_shown(one, query) for one in items])
        if not url.path.startswith(TABLE):
            return _error(404, "Requested URI does not represent any resource", "")
        if method == "GET":
            return self._listed(query)
        given = {name: value for name, value in json.loads(body).items() if name not in self.readonly}
        if method == "POST":
            record = self._new(f"CHG{30001 + len(self.records):07}") | {"state": "-5"}
            named = {id_: name for name, id_ in self.items.items()}
            item = named.get(given.get("cmdb_ci", ""), "")
            self.records.append(record | {"approval": "not requested"} | given | {"cmdb_ci": item})
            return _result(201, _shown(self.records[-1], query))
        record = next((r for r in self.records if r["sys_id"] == url.path.rpartition("/")[2]), {})
        if not record:
            return _error(
                404, "No Record found", "Record doesn't exist or ACL restricts the record retrieval"
            )
        return self._patched(record, given, query)

    def _listed(self, query: dict[str, str]) -> Answer:
        field, _, value = query.get("sysparm_query", "").partition("=")
        # A real instance ignores what it does not understand, and answers with whatever there is.
        found = [r for r in self.records if not value or r.get(field) == value]
        limit = int(query.get("sysparm_limit", "10000"))
        notes = {r["number"]: "\n".join(self.notes.get(r["number"], ())) for r in found}
        return _result(200, [_shown(r | {"work_notes": notes[r["number"]]}, query) for r in found[:limit]])

    def _patched(self, record: dict[str, str], given: dict[str, str], query: dict[str, str]) -> Answer:
        state = given.get("state", record["state"])
        if state != record["state"]:
            closing = {**record, **given}
            if state != "4" and _NEXT.get(record["state"]) != state:
                return _error(403, "Operation Failed", "Operation against file 'change_request' was aborted")
            if state == "3" and not (closing["close_code"] and closing["close_notes"]):
                return _error(403, "Operation Failed", "Data Policy Exception: close_code is mandatory")
        elif record["state"] in ("3", "4") and "work_notes" not in given:
            return _error(403, "Operation Failed", "the change is over")
        if note := given.pop("work_notes", ""):
            self.notes.setdefault(record["number"], []).append(note)
        record.update(given)
        return _result(200, _shown(record, query))


def _result(status: int, found: Any) -> Answer:
    return status, {}, json.dumps({"result": found}).encode()


def _error(status: int, message: str, detail: str) -> Answer:
    body = {"error": {"message": message, "detail": detail}, "status": "failure"}
    return status, {}, json.dumps(body).encode()


def _shown(record: dict[str, str], query: dict[str, str]) -> dict[str, Any]:
    fields = query.get("sysparm_fields", "").split(",") if query.get("sysparm_fields") else list(record)
    return {name: _field(name, record[name]) for name in fields if name in record}


def _field(name: str, value: str) -> Any:
    if name == "cmdb_ci":
        # A reference: the value is an id, and what people read is displayed. None is an empty text.
        link = "https://instance.example/api/now/table/cmdb_ci/1"
        return {"display_value": value, "link": link, "value": "a" * 32} if value else ""
    if name in _TIMES and value:
        local = datetime.strptime(value, _FORMAT).replace(tzinfo=UTC) - timedelta(hours=8)
        return {"display_value": local.strftime(_FORMAT), "value": value}
    shown = {"state": STATES.get(value, value), "approval": value.title()}.get(name, value)
    return {"display_value": shown, "value": value}

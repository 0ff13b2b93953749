"""Change requests in ServiceNow, by its Table API.

Sources: the Table API (``/api/now/table/change_request``) for shapes; ServiceNow's knowledge article
KB0534905 for times, which are UTC in ``value`` and in the time zone of the account in ``display_value``; the
state model of change requests (-5 new, -4 assess, -3 authorize, -2 scheduled, -1 implement, 0 review,
3 closed, 4 canceled; an instance may have others, which are called by what it displays).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import httpx

from relman_plugins.clients.http import TIMEOUT_S, client, request
from relman_plugins.clients.tickets.base import MAX_BYTES, Approval, Ticket, read
from relman_plugins.errors import ClientRejected, ClientUnavailable

_TABLE = "api/now/table/change_request"
_FIELDS = "sys_id,number,state,approval,start_date,end_date,cmdb_ci"
_NUMBER = re.compile(r"[A-Z]{2,10}[0-9]{4,20}", re.ASCII)
_SYS_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_STATES = {
    "-5": "new",
    "-4": "assess",
    "-3": "authorize",
    "-2": "scheduled",
    "-1": "implement",
    "0": "review",
    "3": "closed",
    "4": "canceled",
}
_OVER = frozenset({"3", "4"})
_APPROVALS = {
    "approved": Approval.APPROVED,
    "rejected": Approval.REJECTED,
    "requested": Approval.PENDING,
    "not requested": Approval.PENDING,
    "": Approval.PENDING,
}


class ServiceNow:
    """One instance. Use it as a context manager, or close it; it connects at the first question."""

    def __init__(
        self,
        base_url: str,
        *,
        timeout: float = TIMEOUT_S,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
    ) -> None:
        """Remember where the instance is; the arguments are those of ``clients.http.client``."""
        self.base_url = base_url.rstrip("/") + "/"
        wanted = {"Accept": "application/json", **(headers or {})}
        self._http: httpx.Client = client(self.base_url, timeout=timeout, headers=wanted, auth=auth)

    def find(self, number: str) -> Ticket | None:
        """Return the change request with this number, as ``Tickets.find`` says."""
        # The number is put into a query language in which ^ and = have a meaning.
        if not _NUMBER.fullmatch(number):
            raise ClientRejected(
                f"{number[:60]!r} is no number of a change request; expected one like CHG0030001"
            )
        asked = {
            "sysparm_query": f"number={number}",
            "sysparm_fields": _FIELDS,
            "sysparm_display_value": "all",
            "sysparm_limit": "2",
        }
        rows = read(request(self._http, "GET", _TABLE, params=asked, max_bytes=MAX_BYTES)).get("result")
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise _nonsense(number, "result", rows)
        if len(rows) > 1:
            raise ClientRejected(f"more than one change request is called {number}: ask who keeps ServiceNow")
        return self._ticket(number, rows[0]) if rows else None

    def _ticket(self, number: str, row: dict[str, Any]) -> Ticket:
        found, _ = _field(number, row, "number")
        if found != number:
            # An instance that ignores a query it does not understand answers with any record.
            raise _nonsense(number, "number", found)
        state, shown_as = _field(number, row, "state")
        approval, _ = _field(number, row, "approval")
        if not state or approval not in _APPROVALS:
            raise _nonsense(number, "state" if not state else "approval", state and approval)
        sys_id, _ = _field(number, row, "sys_id")
        if not _SYS_ID.fullmatch(sys_id):
            raise _nonsense(number, "sys_id", sys_id)
        return Ticket(
            number=number,
            state=_STATES.get(state, re.sub(r"\W+", "_", (shown_as or state).strip().lower())),
            over=state in _OVER,
            approval=_APPROVALS[approval],
            starts=_time(number, row, "start_date"),
            ends=_time(number, row, "end_date"),
            configuration_item=_field(number, row, "cmdb_ci")[1],
            url=f"{self.base_url}change_request.do?sys_id={sys_id}",
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _field(number: str, row: dict[str, Any], name: str) -> tuple[str, str]:
    """Return a field's value and what is displayed for it; a field that the account can't read is missing."""
    field = row.get(name)
    if not isinstance(field, dict):
        raise _nonsense(number, name, field)
    value, displayed = field.get("value"), field.get("display_value")
    if not isinstance(value, str | None) or not isinstance(displayed, str | None):
        raise _nonsense(number, name, field)
    return value or "", displayed or ""


def _time(number: str, row: dict[str, Any], name: str) -> datetime | None:
    value, _ = _field(number, row, name)
    if not value:
        return None
    try:
        return datetime.strptime(value, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError as error:
        raise _nonsense(number, name, value) from error


def _nonsense(number: str, name: str, found: object) -> ClientUnavailable:
    return ClientUnavailable(
        f"ServiceNow's answer about {number} has {name} {str(found)[:80]!r}, which is not understood; "
        "may relman's account read that field?"
    )

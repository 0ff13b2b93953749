"""Change requests in ServiceNow, by its Table API.

Sources: the Table API (``/api/now/table/change_request``) for shapes; ServiceNow's knowledge article
KB0534905 for times, which are UTC in ``value`` and in the time zone of the account in ``display_value``; the
state model of change requests (-5 new, -4 assess, -3 authorize, -2 scheduled, -1 implement, 0 review,
3 closed, 4 canceled; an instance may have others, which are called by what it displays).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from relman_plugins.clients.tickets.base import Server, words
from relman_plugins.domain.ticket import Approval, Draft, Ending, Ticket, normal
from relman_plugins.domain.ticket_number import number_in
from relman_plugins.errors import ClientRejected

_TABLE = "api/now/table/change_request"
_FIELDS = "sys_id,number,state,approval,start_date,end_date,cmdb_ci,on_hold"
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
_SCHEDULED, _IMPLEMENT = "-2", "-1"
_CLOSING = (_SCHEDULED, _IMPLEMENT, "0", "3")
"""A change goes from each of these to the next only."""
_FORMAT = "%Y-%m-%d %H:%M:%S"
_ITEM = re.compile(r"[^\^\r\n\x00]{1,200}")
_APPROVALS = {
    "approved": Approval.APPROVED,
    "rejected": Approval.REJECTED,
    "requested": Approval.PENDING,
    "not requested": Approval.PENDING,
    "": Approval.PENDING,
}


class ServiceNow(Server):
    """One instance. Use it as a context manager, or close it; it connects at the first question."""

    system = "ServiceNow"

    def find(self, number: str) -> Ticket | None:
        """Return the change request with this number, as ``Tickets.find`` says."""
        # The number is put into a query language in which ^ and = have a meaning.
        if not number or number_in("servicenow", number) != number:
            raise ClientRejected(
                f"{number[:60]!r} is no number of a change request; expected one like CHG0030001"
            )
        rows = self._rows(f"number={number}", number)
        if len(rows) > 1:
            raise ClientRejected(f"more than one change request is called {number}: ask who keeps ServiceNow")
        return self._ticket(number, rows[0]) if rows else None

    def created(self, correlation: str) -> str | None:
        """Return the number of the change request with a correlation id, as ``Tickets.created`` says."""
        rows = self._rows(f"correlation_id={correlation}", correlation, fields="number,correlation_id")
        for row in rows:
            if self._field(correlation, row, "correlation_id")[0] != correlation:
                raise self.nonsense(correlation, "correlation_id", row.get("correlation_id"))
        return self._number(rows[0]) if rows else None

    def _number(self, row: Any) -> str:
        number = self._field("a new change", row, "number")[0] if isinstance(row, dict) else ""
        if not number or number_in("servicenow", number) != number:
            raise self.nonsense("a new change", "number", number)
        return number

    def create(self, draft: Draft) -> str:
        """Create a change request, as ``Tickets.create`` says."""
        body: dict[str, str] = draft.fields | {
            "type": draft.kind,
            "short_description": draft.summary[:160],
            "description": draft.description,
            "correlation_id": draft.correlation,
            "correlation_display": "relman",
        }
        if draft.item:
            body["cmdb_ci"] = self._item(draft.item)
        if draft.starts and draft.ends:
            body |= {"start_date": f"{draft.starts:{_FORMAT}}", "end_date": f"{draft.ends:{_FORMAT}}"}
        sent = {"sysparm_display_value": "all", "sysparm_fields": "number,correlation_id"}
        row = self.asked("POST", _TABLE, params=sent, json=body).get("result")
        number = self._number(row)
        self._took(number, row, correlation_id=draft.correlation)
        return number

    def note(self, number: str, key: str, text: str) -> None:
        """Add a work note, as ``Tickets.note`` says."""
        row = self._row(number, "sys_id,number,work_notes")
        mark = f"[{key}]"
        if mark not in self._field(number, row, "work_notes")[1]:
            self._patch(number, row, {"work_notes": f"{text}\n\n{mark}"})

    def begin(self, number: str, states: Collection[str], ending: Ending) -> None:
        """Move a scheduled change on to *Implement*, as ``Tickets.begin`` says."""
        row = self._row(number, "sys_id,number,state")
        if self._field(number, row, "state")[0] == _SCHEDULED and "implement" in states:
            self._patch(number, row, {"state": _IMPLEMENT})

    def end(self, number: str, ending: Ending, *, good: bool | None, text: str) -> None:
        """Close a change state by state, or cancel it, as ``Tickets.end`` says."""
        row = self._row(number, "sys_id,number,state")
        state = self._field(number, row, "state")[0]
        if state in _OVER:
            return
        if good is None:
            self._patch(number, row, {"state": "4"})
            return
        if state not in _CLOSING:
            called = _STATES.get(state, state)
            raise ClientRejected(f"{number} is in state {called}, from which a change can't be closed")
        for following in _CLOSING[_CLOSING.index(state) + 1 :]:
            more = {}
            if following == _CLOSING[-1]:
                code = ending.succeeded if good else ending.otherwise
                more = {"close_code": code, "close_notes": text}
            self._patch(number, row, {"state": following, **more})

    def _item(self, name: str) -> str:
        """Return the id of the one configuration item of a name."""
        if not _ITEM.fullmatch(name):
            raise ClientRejected(f"{name[:60]!r} can't be looked for: no ^ and no line ends in a name")
        asked = {
            "sysparm_query": f"name={name}",
            "sysparm_fields": "sys_id,name",
            "sysparm_limit": "2",
            "sysparm_display_value": "all",
        }
        rows = self.asked("GET", "api/now/table/cmdb_ci", params=asked).get("result")
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise self.nonsense(name, "result", rows)
        if len(rows) != 1 or self._field(name, rows[0], "name")[0] != name:
            found = "more than one configuration item" if len(rows) > 1 else "no configuration item"
            raise ClientRejected(f"ServiceNow has {found} called {name!r}, so no change is created for it")
        return self._field(name, rows[0], "sys_id")[0]

    def _row(self, number: str, fields: str) -> dict[str, Any]:
        rows = self._rows(f"number={number}", number, fields=fields)
        if len(rows) != 1 or self._field(number, rows[0], "number")[0] != number:
            raise ClientRejected(f"ServiceNow has no change request {number} that relman's account can see")
        return rows[0]

    def _patch(self, number: str, row: dict[str, Any], body: dict[str, str]) -> None:
        sys_id, _ = self._field(number, row, "sys_id")
        if not _SYS_ID.fullmatch(sys_id):
            raise self.nonsense(number, "sys_id", sys_id)
        sent = {"sysparm_display_value": "all", "sysparm_fields": "number,state"}
        answer = self.asked("PATCH", f"{_TABLE}/{sys_id}", params=sent, json=body).get("result")
        if "state" in body:
            self._took(number, answer, state=body["state"])

    def _took(self, number: str, row: Any, **written: str) -> None:
        """Raise unless what was written is there: what an account may not write is left out unsaid."""
        for name, value in written.items():
            if not isinstance(row, dict) or self._field(number, row, name)[0] != value:
                raise ClientRejected(
                    f"ServiceNow answered for {number}, and did not take its {name}; give the connection's "
                    "account the right to write that field"
                )

    def check(self) -> str:
        """Ask for one change request, whichever, as ``Tickets.check`` says."""
        seen = self._rows("ORDERBYDESCsys_created_on", "any change request", limit=1)
        found = "" if seen else "; but the account sees no change request at all"
        return f"ServiceNow answers about change requests{found}."

    def _rows(self, query: str, about: str, limit: int = 2, fields: str = _FIELDS) -> list[dict[str, Any]]:
        asked = {
            "sysparm_query": query,
            "sysparm_fields": fields,
            "sysparm_display_value": "all",
            "sysparm_limit": str(limit),
        }
        rows = self.asked("GET", _TABLE, params=asked).get("result")
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise self.nonsense(about, "result", rows)
        return rows

    def _ticket(self, number: str, row: dict[str, Any]) -> Ticket:
        found, _ = self._field(number, row, "number")
        if found != number:
            # An instance that ignores a query it does not understand answers with any record.
            raise self.nonsense(number, "number", found)
        state, shown_as = self._field(number, row, "state")
        approval, _ = self._field(number, row, "approval")
        if not state or approval not in _APPROVALS:
            raise self.nonsense(number, "state" if not state else "approval", state and approval)
        sys_id, _ = self._field(number, row, "sys_id")
        if not _SYS_ID.fullmatch(sys_id):
            raise self.nonsense(number, "sys_id", sys_id)
        _, item = self._field(number, row, "cmdb_ci")
        # Older instances have no such field.
        on_hold = self._field(number, row, "on_hold")[0] if "on_hold" in row else ""
        return Ticket(
            number=number,
            state=_STATES.get(state) or words(normal(shown_as or state), 60),
            over=state in _OVER,
            approval=_APPROVALS[approval],
            starts=self._time(number, row, "start_date"),
            ends=self._time(number, row, "end_date"),
            items=(words(item),) if item else (),
            held=on_hold in ("true", "1"),
            url=f"{self.page}change_request.do?sys_id={sys_id}",
        )

    def _field(self, number: str, row: dict[str, Any], name: str) -> tuple[str, str]:
        """Return a field's value and what is displayed for it; one that the account can't read is missing."""
        field = row.get(name)
        if field == "":
            # What refers to nothing comes as an empty text.
            return "", ""
        if not isinstance(field, dict):
            raise self.nonsense(number, name, field)
        value, displayed = field.get("value"), field.get("display_value")
        if not isinstance(value, str | None) or not isinstance(displayed, str | None):
            raise self.nonsense(number, name, field)
        return value or "", displayed or ""

    def _time(self, number: str, row: dict[str, Any], name: str) -> datetime | None:
        value, _ = self._field(number, row, name)
        if not value:
            return None
        try:
            return datetime.strptime(value, _FORMAT).replace(tzinfo=UTC)
        except ValueError as error:
            raise self.nonsense(number, name, value) from error

"""Changes in Jira, by its REST API: issues, and the approvals of Jira Service Management.

Sources: Jira Cloud's platform API, version 3 (``/rest/api/3/issue``; custom fields are known by ids such as
``customfield_10050``, which ``expand=names`` translates; times have an offset; a status has a category, of
which ``done`` is the end), and Jira Service Management's ``/rest/servicedeskapi/request/{key}/approval``
(``finalDecision``: ``approved``, ``declined`` or ``pending``, one for each time that approval was asked for).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from relman_plugins.clients.http import TIMEOUT_S, client
from relman_plugins.clients.tickets.base import Server, words
from relman_plugins.domain.ticket import Approval, Ticket, TicketFields, normal, number_in
from relman_plugins.errors import ClientRejected

_WANTED = "*all,-comment,-description,-attachment,-worklog,-issuelinks,-subtasks"
_DONE = "done"
_DECISIONS = {
    "approved": Approval.APPROVED,
    "declined": Approval.REJECTED,
    "rejected": Approval.REJECTED,
    "pending": Approval.PENDING,
}


class Jira(Server):
    """One site. Use it as a context manager, or close it; it connects at the first question."""

    system = "Jira"

    def __init__(
        self,
        base_url: str,
        *,
        timeout: float = TIMEOUT_S,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        fields: TicketFields | None = None,
    ) -> None:
        """Remember where the site is; ``fields`` say where in an issue what is asked stands."""
        self.base_url = base_url.rstrip("/") + "/"
        self._fields = fields or TicketFields()
        wanted = {"Accept": "application/json", "X-ExperimentalApi": "opt-in", **(headers or {})}
        super().__init__(client(self.base_url, timeout=timeout, headers=wanted, auth=auth))

    def find(self, number: str) -> Ticket | None:
        """Return the issue with this key, as ``Tickets.find`` says."""
        # The key becomes a part of the path.
        if not number or number_in("jira", number) != number:
            raise ClientRejected(f"{number[:60]!r} is no key of an issue; expected one like OPS-42")
        asked = {"fields": _WANTED, "expand": "names"}
        try:
            issue = self.asked("GET", f"rest/api/3/issue/{number}", params=asked)
        except ClientRejected as error:
            if error.status != 404:
                raise
            # The same status has a host that is no Jira, or knows no such account.
            self.check()
            return None
        return self._ticket(number, issue)

    def check(self) -> str:
        """Ask Jira who is asking, as ``Tickets.check`` says."""
        name = self.asked("GET", "rest/api/3/myself").get("displayName")
        if not isinstance(name, str):
            raise self.nonsense("the connection's account", "displayName", name)
        return f"Jira answers to {words(name)}."

    def _ticket(self, number: str, issue: dict[str, Any]) -> Ticket:
        if (key := issue.get("key")) != number:
            if isinstance(key, str) and number_in("jira", key) == key:
                raise ClientRejected(f"{number} is called {key} now; start the release with that")
            raise self.nonsense(number, "key", key)
        fields, names = issue.get("fields"), issue.get("names")
        if not isinstance(fields, dict) or not isinstance(names, dict):
            raise self.nonsense(number, "fields", type(fields).__name__)
        status = fields.get("status")
        name = status.get("name") if isinstance(status, dict) else None
        category = status.get("statusCategory") if isinstance(status, dict) else None
        if not isinstance(name, str) or not normal(name) or not isinstance(category, dict):
            raise self.nonsense(number, "status", name)
        wanted = self._fields
        return Ticket(
            number=number,
            state=words(normal(name), 60),
            over=category.get("key") == _DONE,
            approval=self._approval(number, fields, names),
            starts=self._time(number, wanted.start, fields, names),
            ends=self._time(number, wanted.end, fields, names),
            items=self._items(number, fields, names),
            url=f"{self.base_url}browse/{number}",
        )

    def _approval(self, number: str, fields: dict[str, Any], names: dict[str, Any]) -> Approval:
        if self._fields.approval is not None:
            said = _names(self._value(number, self._fields.approval, fields, names))
            return _DECISIONS.get(normal(said[0]), Approval.PENDING) if len(said) == 1 else Approval.PENDING
        if not self._fields.approvals:
            return Approval.PENDING
        try:
            body = self.asked("GET", f"rest/servicedeskapi/request/{number}/approval")
        except ClientRejected as error:
            if error.status != 404:
                raise
            raise ClientRejected(
                f"{number} is in no service project that the account may see, so Jira knows of no approvals; "
                "name a field in fields.approval, or set approved: false and ask for a state"
            ) from error
        rounds = body.get("values")
        if not isinstance(rounds, list) or body.get("isLastPage") is False:
            raise self.nonsense(number, "approvals", rounds)
        try:
            found = [_DECISIONS[one["finalDecision"]] for one in sorted(rounds, key=lambda r: int(r["id"]))]
        except (KeyError, TypeError, ValueError) as error:
            raise self.nonsense(number, "approvals", rounds) from error
        # Asked for several times, or of several: all must have answered, and the last word counts.
        return Approval.PENDING if not found or Approval.PENDING in found else found[-1]

    def _items(self, number: str, fields: dict[str, Any], names: dict[str, Any]) -> tuple[str, ...]:
        if not self._fields.configuration_item:
            return ()
        value = self._value(number, self._fields.configuration_item, fields, names)
        found = _names(value)
        if value and not found:
            raise self.nonsense(number, self._fields.configuration_item, value)
        return tuple(words(name) for name in found)

    def _time(
        self, number: str, field: str | None, fields: dict[str, Any], names: dict[str, Any]
    ) -> datetime | None:
        if field is None:
            return None
        value = self._value(number, field, fields, names)
        if value is None:
            return None
        try:
            at = datetime.fromisoformat(value)
        except (TypeError, ValueError) as error:
            raise self.nonsense(number, field, value) from error
        if at.tzinfo is None:
            # A day alone does not say when in it.
            raise self.nonsense(number, field, value)
        return at.astimezone(UTC)

    def _value(self, number: str, field: str, fields: dict[str, Any], names: dict[str, Any]) -> Any:
        """Return the value of a field by its id, or by the name that people see."""
        if field in fields:
            return fields[field]
        same = [id_ for id_, name in names.items() if str(name).casefold() == field.casefold()]
        if len(same) != 1:
            many = f"has {len(same)} fields" if same else "has no field"
            raise ClientRejected(
                f"{number} {many} called {field!r}; name it in the gate's fields by its id, as in "
                "customfield_10050 (Jira's settings, or /rest/api/3/field, show it)"
            )
        return fields.get(same[0])


def _names(value: Any) -> list[str]:
    """Return the names in a field's value: a text, an option, a component, or a list of such."""
    if isinstance(value, list):
        return [name for one in value for name in _names(one)]
    if isinstance(value, dict):
        value = next((value[k] for k in ("value", "name", "displayName") if value.get(k)), None)
    return [value] if isinstance(value, str) and value else []

"""Changes in Jira, by its REST API: issues, and the approvals of Jira Service Management.

Sources: Jira Cloud's platform API, version 3 (``/rest/api/3/issue``; custom fields are known by ids such as
``customfield_10050``, which ``expand=names`` translates; times have an offset; a status has a category, of
which ``done`` is the end), and Jira Service Management's ``/rest/servicedeskapi/request/{key}/approval``
(``finalDecision``: ``approved``, ``declined`` or ``pending``, one for each time that approval was asked for).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from relman_plugins.clients.http import TIMEOUT_S
from relman_plugins.clients.tickets.base import Server, words
from relman_plugins.domain.ticket import Approval, Draft, Ending, Ticket, TicketFields, normal
from relman_plugins.domain.ticket_number import number_in
from relman_plugins.errors import ClientRejected

_WANTED = "*all,-comment,-description,-attachment,-worklog,-issuelinks,-subtasks"
_DONE = "done"
MOST_ITEMS = 50
"""Configuration items of an issue that are looked at."""

_DECISIONS = {
    "approved": Approval.APPROVED,
    "declined": Approval.REJECTED,
    "rejected": Approval.REJECTED,
    "pending": Approval.PENDING,
}


class Jira(Server):
    """One site. Use it as a context manager, or close it; it connects at the first question."""

    system = "Jira"
    settles_s = 300.0
    """A search finds a new issue only when it is in the index, mostly within seconds."""

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
        self._fields = fields or TicketFields()
        wanted = {"X-ExperimentalApi": "opt-in", **(headers or {})}
        super().__init__(base_url, timeout=timeout, headers=wanted, auth=auth)

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

    def created(self, correlation: str) -> str | None:
        """Return the key of the issue with a label, as ``Tickets.created`` says."""
        asked = {"jql": f'labels = "{correlation}"', "fields": "key", "maxResults": "2"}
        issues = self.asked("GET", "rest/api/3/search/jql", params=asked).get("issues")
        if not isinstance(issues, list):
            raise self.nonsense(correlation, "issues", issues)
        return self._key(issues[0]) if issues else None

    def create(self, draft: Draft) -> str:
        """Create an issue, as ``Tickets.create`` says; its label makes it findable, some time later."""
        fields: dict[str, Any] = {**draft.fields}
        fields |= {name: {"value": value} for name, value in draft.options.items()}
        fields |= {
            "project": {"key": draft.project},
            "issuetype": {"name": draft.kind},
            "summary": draft.summary[:250],
            "description": _document(draft.description),
            "labels": [draft.correlation],
        }
        if draft.item and self._fields.configuration_item == "components":
            fields["components"] = [{"name": draft.item}]
        planned = ((self._fields.start, draft.starts), (self._fields.end, draft.ends))
        for field, at in planned:
            if field and at:
                fields[self._id(field)] = f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.000+0000}"
        for decision in map(self._id, draft.decisions if draft.fields or draft.options else ()):
            if decision in draft.fields or decision in draft.options:
                raise ClientRejected(
                    f"the issue is not created with {decision} filled in: a gate looks there for an "
                    "approval, and that is for people to give; take it out of create"
                )
        return self._key(self.asked("POST", "rest/api/3/issue", json={"fields": fields}))

    def note(self, number: str, key: str, text: str) -> None:
        """Add a comment, as ``Tickets.note`` says."""
        path, mark = f"rest/api/3/issue/{number}/comment", f"[{key}]"
        asked = {"orderBy": "-created", "maxResults": "100"}
        comments = self.asked("GET", path, params=asked).get("comments")
        if not isinstance(comments, list):
            raise self.nonsense(number, "comments", comments)
        if mark not in json.dumps(comments, ensure_ascii=False):
            self.asked("POST", path, json={"body": _document(f"{text}\n\n{mark}")})

    def begin(self, number: str, states: Collection[str], ending: Ending) -> None:
        """Move an issue to the first status that it passes on its way, as ``Tickets.begin`` says."""
        allowed = [normal(name) for name in ending.through if normal(name) in states]
        state, over = self._state(number)
        # From where somebody has put it to stop the change, only people take it on.
        if not over and state in states and allowed and state != allowed[0]:
            self._move(number, allowed[0])

    def end(self, number: str, ending: Ending, *, good: bool | None, text: str) -> None:
        """Move an issue to the status of its end, as ``Tickets.end`` says."""
        wanted = ending.unused if good is None else ending.succeeded if good else ending.otherwise
        target, left = normal(wanted), [normal(name) for name in ending.through]
        state, over = self._state(number)
        while not over and state != target:
            if self._move(number, target):
                return
            way = next((name for name in left if self._move(number, name)), None)
            if way is None:
                raise ClientRejected(
                    f"{number} is in status {state}; no transition leads to {wanted} from there"
                )
            left.remove(way)
            state = way

    def _state(self, number: str) -> tuple[str, bool]:
        issue = self.asked("GET", f"rest/api/3/issue/{number}", params={"fields": "status"})
        fields = issue.get("fields")
        return self._status(number, fields if isinstance(fields, dict) else {})

    def _move(self, number: str, target: str) -> bool:
        """Take the transition to a status (normal); False when there is none from where the issue is."""
        path = f"rest/api/3/issue/{number}/transitions"
        for one in self.asked("GET", path).get("transitions") or ():
            to = one.get("to") if isinstance(one, dict) else None
            if isinstance(to, dict) and normal(str(to.get("name"))) == target:
                self.asked("POST", path, json={"transition": {"id": str(one.get("id"))}})
                return True
        return False

    def _key(self, issue: Any) -> str:
        key = issue.get("key") if isinstance(issue, dict) else None
        if not isinstance(key, str) or not key or number_in("jira", key) != key:
            raise self.nonsense("a new issue", "key", key)
        return key

    def _id(self, field: str) -> str:
        """Return the id of a field by its id or the name that people see."""
        known = self.listed("rest/api/3/field")
        same = [str(f.get("id")) for f in known if str(f.get("name")).casefold() == field.casefold()]
        if any(f.get("id") == field for f in known):
            return field
        if len(same) != 1:
            raise ClientRejected(f"Jira has {len(same)} fields called {field!r}; name it by its id")
        return same[0]

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
        state, over = self._status(number, fields)
        wanted = self._fields
        return Ticket(
            number=number,
            state=state,
            over=over,
            approval=self._approval(number, fields, names),
            starts=self._time(number, wanted.start, fields, names),
            ends=self._time(number, wanted.end, fields, names),
            items=self._items(number, fields, names),
            url=f"{self.page}browse/{number}",
        )

    def _status(self, number: str, fields: dict[str, Any]) -> tuple[str, bool]:
        """Return the status of an issue, as it is compared, and whether that is an end."""
        status = fields.get("status")
        name = status.get("name") if isinstance(status, dict) else None
        category = status.get("statusCategory") if isinstance(status, dict) else None
        if not isinstance(name, str) or not normal(name) or not isinstance(category, dict):
            raise self.nonsense(number, "status", name)
        return words(normal(name), 60), category.get("key") == _DONE

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
        return tuple(words(name) for name in found[:MOST_ITEMS])

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


def _document(text: str) -> dict[str, Any]:
    """Return text as a document of Atlassian's format: a paragraph for each that is there."""
    paragraphs = [p.strip() for p in text.split("\n\n") if p.strip()]
    content = [{"type": "paragraph", "content": [{"type": "text", "text": p}]} for p in paragraphs]
    return {"type": "doc", "version": 1, "content": content}


def _names(value: Any) -> list[str]:
    """Return the names in a field's value: a text, an option, a component, or a list of such."""
    if isinstance(value, list):
        return [name for one in value for name in _names(one)]
    if isinstance(value, dict):
        value = next((value[k] for k in ("value", "name", "displayName") if value.get(k)), None)
    return [value] if isinstance(value, str) and value else []

"""New Relic's NerdGraph, asked for what an NRQL query gives.

https://docs.newrelic.com/docs/apis/nerdgraph/examples/nerdgraph-nrql-tutorial/.
"""

from __future__ import annotations

import math
import re
from typing import Any

from relman_plugins.clients.metrics.base import Access, Answer, Question, fill, unshown
from relman_plugins.clients.metrics.web import WebSource, list_of, number_of, object_of
from relman_plugins.errors import ClientRejected

TIMEOUT_S = 15
"""Seconds that New Relic gives a query; it would be 5."""

_ASKED = (
    "query ($account: Int!, $nrql: Nrql!, $timeout: Seconds) "
    "{ actor { account(id: $account) { nrql(query: $nrql, timeout: $timeout) { results } } } }"
)


class NewRelic(WebSource):
    """An account of New Relic: the connection's password is a user key, its extra has ``account_id``."""

    kind = "newrelic"

    def signs_in(self, access: Access) -> dict[str, str]:
        """Sign in by the user key."""
        return {"API-Key": access.password}

    def auth(self, access: Access) -> None:
        """New Relic knows no basic authentication."""

    async def number(self, question: Question) -> Answer:
        """Ask for one row with one number; ``$window`` is whole seconds, such as ``38 seconds``.

        A percentile, which New Relic puts into an object of its own, is that number.
        """
        window = None if question.window_s is None else f"{math.ceil(question.window_s)} seconds"
        rows = await self._rows(fill(question, lambda _, value: _escaped(value), window))
        if not rows:
            return Answer(None, "the query gave no row")
        if len(rows) > 1:
            raise ClientRejected(
                f"the query gives {len(rows)} rows; expected one number: leave out FACET and TIMESERIES"
            )
        return self._only(rows[0])

    async def check(self) -> str:
        """Ask for a number that needs no data."""
        await self._rows("SELECT count(*) FROM Transaction SINCE 1 minute ago")
        return "New Relic answers queries."

    async def _rows(self, nrql: str) -> list[Any]:
        account = self.access.extra.get("account_id")
        if not str(account or "").isdecimal():
            raise ClientRejected("the connection has no account_id (a number) in its extra field")
        variables = {"account": int(str(account)), "nrql": nrql, "timeout": TIMEOUT_S}
        sent = {"query": _ASKED, "variables": variables}
        body = object_of(await self.asked("POST", "graphql", json=sent), self)
        errors = list_of(body.get("errors") or [], self)
        if errors:
            said = unshown(object_of(errors[0], self).get("message") or "no reason given")
            raise ClientRejected(f"New Relic refused the query: {said}")
        found: Any = body.get("data")
        for name in ("actor", "account", "nrql"):
            found = object_of(found, self).get(name)
        return list_of(object_of(found, self).get("results"), self)

    def _only(self, row: object) -> Answer:
        value: Any = row
        while isinstance(value, dict):
            if len(value) != 1:
                names = ", ".join(unshown(name, 30) for name in list(value)[:4])
                raise ClientRejected(f"the query gives {len(value)} values ({names}); expected one number")
            (value,) = value.values()
        if isinstance(value, str):
            raise ClientRejected(f"the query gives text ({unshown(value, 40)!r}); expected a number")
        number = number_of(value, self)
        return Answer(None, "the query gave null") if number is None else Answer(number)


def _escaped(value: str) -> str:
    """Return a value that stays in the quotes of NRQL that it stands in."""
    if "\n" in value or "\r" in value:
        raise ClientRejected("a value has a line break in it, which no text of NRQL can have")
    return re.sub(r"[\\'\"`]", lambda m: f"\\{m[0]}", value)

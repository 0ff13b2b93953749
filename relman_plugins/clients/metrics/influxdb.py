"""InfluxDB's query API for InfluxQL, which versions 1, 2 and 3 answer alike.

https://docs.influxdata.com/influxdb/v1/tools/api/#query-http-endpoint,
https://docs.influxdata.com/influxdb3/clustered/api/data-api/query-data/.
"""

from __future__ import annotations

import re

from relman_plugins.clients.metrics.base import Access, Answer, Question, fill, unshown
from relman_plugins.clients.metrics.web import WebSource, list_of, number_of, object_of
from relman_plugins.errors import ClientRejected, ClientUnavailable

_READS = re.compile(r"\s*select\b", re.IGNORECASE)
_WRITES = re.compile(r"\binto\b|;\s*\S", re.IGNORECASE)
_PART = re.compile(
    r"""
    (?P<quoted>'(?:[^'\\]|\\.)*' | "(?:[^"\\]|\\.)*")
  | (?P<comment>-- | /\*)
  | (?P<before>=~ | !~ | [,(] | \b(?:select|from|by)\b)\s* (?P<regex>/(?!\*)(?:[^/\\\n]|\\.)*/)
  | (?P<doubtful>\.\s*/)
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
"""What hides quotes and semicolons. Where a slash comes after anything else it divides."""


class InfluxDb(WebSource):
    """An InfluxDB. The connection's extra field names the ``database``, and may have a ``token``."""

    kind = "influxdb"

    def signs_in(self, access: Access) -> dict[str, str]:
        """Sign in by the token, in the one way that all versions with tokens know."""
        token = access.extra.get("token")
        return {"Authorization": f"Token {token}"} if token else {}

    async def number(self, question: Question) -> Answer:
        """Ask for one row of one column that is a number, beside its time.

        ``$window`` is a duration such as ``37250ms``. Only one statement that reads is sent: version 1 writes
        by GET, too.
        """
        window = None if question.window_s is None else f"{max(1, round(question.window_s * 1000))}ms"
        query = fill(question, lambda _, value: _escaped(value), window)
        if not _READS.match(query) or _WRITES.search(_PART.sub(_bare, query)):
            raise ClientRejected("the query can't be asked: it must be one SELECT, without INTO")
        fields = {"q": query, "epoch": "ms"} | self._database()
        body = object_of(await self.asked("GET", "query", params=fields), self)
        listed = [] if body.get("error") else list_of(body.get("results"), self)
        results = [object_of(one, self) for one in listed]
        errors = [unshown(one["error"]) for one in (body, *results) if one.get("error")]
        if errors:
            raise ClientRejected(f"InfluxDB refused the query: {errors[0]}")
        if len(results) != 1:
            raise ClientRejected(f"the query is {len(results)} statements; expected one")
        series = [object_of(one, self) for one in list_of(results[0].get("series") or [], self)]
        if any(one.get("partial") for one in (results[0], *series)):
            raise ClientUnavailable("InfluxDB answers only in part: what lacks could be what is bad")
        if len(series) > 1:
            raise ClientRejected(f"the query gives {len(series)} series; expected one: leave out GROUP BY")
        return self._only(series[0]) if series else Answer(None, "the query gave no series")

    async def check(self) -> str:
        """Ask for the database's retention policies: unlike ``/ping`` that needs a login."""
        body = object_of(
            await self.asked("GET", "query", params={"q": "SHOW RETENTION POLICIES"} | self._database()), self
        )
        for result in list_of(body.get("results"), self):
            if error := object_of(result, self).get("error"):
                raise ClientRejected(f"InfluxDB refuses: {unshown(error)}")
        return "InfluxDB answers queries."

    def _database(self) -> dict[str, str]:
        name = self.access.extra.get("database")
        if not name:
            raise ClientRejected("the connection names no database; put it into its extra field")
        return {"db": str(name)}

    def _only(self, series: object) -> Answer:
        found = object_of(series, self)
        columns = list_of(found.get("columns"), self)
        rows = [list_of(row, self) for row in list_of(found.get("values") or [], self)]
        if len(rows) > 1:
            raise ClientRejected(
                f"the query gives {len(rows)} rows; expected one number: leave out GROUP BY time()"
            )
        if not rows:
            return Answer(None, "the query gave no row")
        if len(rows[0]) != len(columns):
            raise self.nonsense("a row has not its columns")
        values = [v for name, v in zip(columns, rows[0], strict=True) if name != "time"]
        if len(values) != 1:
            raise ClientRejected(f"the query gives {len(values)} columns; expected one number")
        if isinstance(values[0], str):
            raise ClientRejected(f"the query gives text ({unshown(values[0], 40)!r}); expected a number")
        number = number_of(values[0], self)
        return Answer(None, "the query gave null") if number is None else Answer(number)


def _bare(match: re.Match[str]) -> str:
    if match["comment"]:
        raise ClientRejected("the query can't be asked: write the comment in it beside the query")
    if match["regex"] and "\\\\/" in match["regex"]:
        raise ClientRejected(
            "the query can't be asked: two backslashes stand before a slash in a regular expression, which "
            "ends there or goes on; write [\\\\] for a backslash"
        )
    if match["doubtful"]:
        raise ClientRejected(
            "the query can't be asked: a slash after a dot could begin a regular expression or divide; "
            "give the measurement's name instead, or put a digit behind the dot"
        )
    return f"{match['before'] or ''} '' "


def _escaped(value: str) -> str:
    if "\n" in value or "\r" in value:
        raise ClientRejected("a value has a line break in it, which no text of InfluxQL can have")
    return re.sub(r"""[\\'"]""", lambda m: f"\\{m[0]}", value)

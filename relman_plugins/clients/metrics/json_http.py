"""Any JSON over HTTP: one number at one place of an answer.

A query is ``/path?with=parameters $.json.path``. Places are those of JSONPath (RFC 9535), followed by
python-jsonpath.
"""

from __future__ import annotations

import asyncio
import json
import math
from typing import Any
from urllib.parse import quote

from relman_plugins.clients.http import shown
from relman_plugins.clients.metrics.base import Answer, Question, fill, unshown
from relman_plugins.clients.metrics.web import NoJson, WebSource
from relman_plugins.domain.json_query import compiled, read
from relman_plugins.errors import ClientError, ClientRejected, ClientUnavailable


class JsonHttp(WebSource):
    """A server that answers in JSON, whatever it is."""

    kind = "json"
    dated = False

    async def number(self, question: Question) -> Answer:
        """GET what the query says, and take the one number at its JSONPath.

        Values are percent-encoded in the path, and escaped in the JSONPath; ``$window`` is whole seconds.
        Text is no number, even if it looks like one; neither are true and false.
        """
        try:
            query = read(question.query)
        except ValueError as error:
            raise ClientRejected(f"the query can't be asked: {error}") from error
        window = None if question.window_s is None else str(math.ceil(question.window_s))
        path = fill(question._replace(query=query.path), lambda _, v: quote(v, safe=""), window)
        if {".", ".."} & set(path.partition("?")[0].split("/")):
            raise ClientRejected("a value would lead the path of the query elsewhere")
        pointer = fill(question._replace(query=query.pointer), lambda _, v: _escaped(v), window)
        body = await self.asked("GET", path.removeprefix("/"))
        # A large answer takes its time, and the event loop is everybody's.
        return await asyncio.to_thread(self._at, body, pointer)

    async def check(self) -> str:
        """Ask for the address itself: any answer of HTTP will do, for only a query says what there is."""
        try:
            await self.asked("GET", "")
        except ClientError as error:
            if error.status in (None, 401, 403) and not isinstance(error, NoJson):
                raise
        return "The server answers."

    def _at(self, body: Any, pointer: str) -> Answer:
        where = f"the answer of {shown(self.address)}"
        try:
            found = compiled(pointer).findall(body)
        except (ValueError, RecursionError) as error:
            raise ClientRejected(f"{pointer} can't be followed in {where}: {unshown(error)}") from error
        if not found:
            return Answer(None, f"nothing stands at {pointer} in {where}")
        if len(found) > 1:
            raise ClientRejected(
                f"{len(found)} values stand at {pointer} in {where}; expected one: name it by its place or a "
                "filter"
            )
        value = found[0]
        if value is None:
            return Answer(None, f"null stands at {pointer} in {where}")
        if isinstance(value, bool) or not isinstance(value, int | float):
            told = unshown(json.dumps(value, default=str), 60)
            raise ClientUnavailable(f"{told} stands at {pointer} in {where}; expected a number")
        try:
            number = float(value)
        except OverflowError as error:
            raise ClientUnavailable(f"a number too large stands at {pointer} in {where}") from error
        return Answer(None, f"NaN stands at {pointer} in {where}") if math.isnan(number) else Answer(number)


def _escaped(value: str) -> str:
    """Return a value that stays in the quotes of a JSONPath that it stands in."""
    return "".join(c if c.isalnum() or c in "._-+" else f"\\u{ord(c):04x}" for c in value)

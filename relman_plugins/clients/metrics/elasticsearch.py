"""Elasticsearch's and OpenSearch's count API: how many documents match, such as errors that a version logged.

A query is ``INDEX LUCENE``. https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-count,
https://www.elastic.co/docs/reference/query-languages/query-dsl/query-dsl-query-string-query.
"""

from __future__ import annotations

import math
import re
from urllib.parse import quote

from relman_plugins.clients.metrics.base import Access, Answer, Question, fill, period
from relman_plugins.clients.metrics.web import WebSource, object_of
from relman_plugins.domain.log_query import read
from relman_plugins.errors import ClientRejected, ClientUnavailable

TIME_FIELD = "@timestamp"
"""Where documents have their time, unless ``time_field`` of the connection's extra says otherwise."""

_SPECIAL = re.compile(r"""[-+=&|!(){}\[\]^"~*?:\\/ ]""")


class Elasticsearch(WebSource):
    """A cluster that holds logs."""

    kind = "elasticsearch"

    def signs_in(self, access: Access) -> dict[str, str]:
        """Sign in by ``api_key`` of the extra field (as its creation gave it, encoded), if there is one."""
        key = access.extra.get("api_key")
        return {"Authorization": f"ApiKey {key}"} if key else {}

    async def number(self, question: Question) -> Answer:
        """Count the documents of the last ``over_s`` (or ``window_s``) seconds that match.

        The cluster's own clock says what is now. A count of only some shards is an error, an index that is
        not there no data.
        """
        try:
            index, lucene = read(question.query)
        except ValueError as error:
            raise ClientRejected(f"the query can't be asked: {error}") from error
        index = fill(question._replace(query=index), lambda _, value: _in_index(value))
        lucene = fill(question._replace(query=lucene), lambda _, value: _escaped(value))
        field = str(self.access.extra.get("time_field") or TIME_FIELD)
        since = {"range": {field: {"gte": f"now-{math.ceil(period(question))}s", "lte": "now"}}}
        matching = {"query_string": {"query": lucene, "lenient": False}}
        body = object_of(
            await self.asked(
                "POST",
                f"{quote(index, safe='*,-_.')}/_count",
                json={"query": {"bool": {"filter": [matching, since]}}},
            ),
            self,
        )
        shards, count = object_of(body.get("_shards"), self), body.get("count")
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise self.nonsense("there is no count")
        if shards.get("failed") != 0:
            raise ClientUnavailable(
                f"only some of the shards of {index} have been counted ({shards.get('failed')} of "
                f"{shards.get('total')} failed): what lacks could be what is bad"
            )
        if not shards.get("total"):
            return Answer(None, f"there is no index {index}")
        return Answer(float(count))

    async def check(self) -> str:
        """Ask for its name."""
        if "version" not in object_of(await self.asked("GET", ""), self):
            raise self.nonsense("it does not say its version")
        return "Elasticsearch answers."


def _in_index(value: str) -> str:
    if not re.fullmatch(r"[\w.+-]*", value, re.ASCII):
        raise ClientRejected("a value has characters that no index's name can have")
    return value.lower()


def _escaped(value: str) -> str:
    if "<" in value or ">" in value:
        raise ClientRejected("a value has < or > in it, which Lucene's queries can't have")
    return _SPECIAL.sub(lambda m: f"\\{m[0]}", value)

"""Numbers of log lines, by Loki and by Elasticsearch."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from typing import Any

import pytest

from relman_plugins.clients.metrics.base import Question
from relman_plugins.domain.log_query import read
from relman_plugins.errors import ClientRejected, ClientUnavailable
from tests.clients.metrics.asking import ask, vector
from tests.clients.metrics.vendors import Asked, Vendor

Serving = Callable[..., str]
ERRORS = 'sum(count_over_time({app="$service", version="$version"} |= "ERROR" [$window])) or vector(0)'
ASKED = Question(ERRORS, service="shop", version="1.1.0", stable="1.0.0", window_s=37.25)


def test_loki_counts_lines_of_a_version(serving: Serving) -> None:
    loki = Vendor(lambda _: vector(12))
    url = serving(loki)
    assert ask("loki", url, ASKED, headers={"X-Scope-OrgID": "shop"}).value == 12
    assert (loki.last.method, loki.last.path) == ("GET", "/loki/api/v1/query")
    assert loki.last.headers["x-scope-orgid"] == "shop"
    sent = 'sum(count_over_time({app="shop", version="1.1.0"} |= "ERROR" [37250ms])) or vector(0)'
    assert loki.last.query == {"query": sent}
    ask("loki", url, ASKED._replace(version='x"} or {a="'))
    assert 'version="x\\x22} or {a=\\x22"}' in loki.last.query["query"]


def test_loki_gives_a_series_in_nanoseconds(serving: Serving) -> None:
    def answer(asked: Asked) -> Any:
        start, step = int(asked.query["start"]) / 1e9, float(asked.query["step"])
        values = [[start + n * step, str(n)] for n in range(21)]
        data = {"resultType": "matrix", "result": [{"metric": {}, "values": values}]}
        return {"status": "success", "data": data}

    loki = Vendor(answer)
    asked = Question("rate({a='b'}[1m])", over_s=60, take="max")
    assert ask("loki", serving(loki), asked).value == 20
    assert loki.last.path == "/loki/api/v1/query_range"
    assert int(loki.last.query["end"]) == pytest.approx(time.time() * 1e9, abs=5e9)


def test_lines_are_no_number(serving: Serving) -> None:
    streams = {"status": "success", "data": {"resultType": "streams", "result": []}}
    with pytest.raises(ClientRejected, match=r"gives a streams; expected one number: use count_over_time"):
        ask("loki", serving(Vendor(streams)), "{app='shop'}")


LUCENE = 'logs-$service-* log.level:error AND service.version:"$version"'
COUNTED = {"count": 5, "_shards": {"total": 3, "successful": 3, "skipped": 0, "failed": 0}}


def test_elasticsearch_counts_documents_of_a_version(serving: Serving) -> None:
    cluster = Vendor(COUNTED)
    url = serving(cluster)
    assert ask("elasticsearch", url, ASKED._replace(query=LUCENE), auth=("reader", "x")).value == 5
    assert (cluster.last.method, cluster.last.path) == ("POST", "/logs-shop-*/_count")
    assert cluster.last.headers["authorization"] == "Basic " + base64.b64encode(b"reader:x").decode()
    matching, since = cluster.last.json["query"]["bool"]["filter"]
    lucene = 'log.level:error AND service.version:"1.1.0"'
    assert matching == {"query_string": {"query": lucene, "lenient": False}}
    assert since == {"range": {"@timestamp": {"gte": "now-38s", "lte": "now"}}}
    extra = {"api_key": "a2V5", "time_field": "time"}
    asked = ASKED._replace(query=LUCENE, window_s=None, over_s=300, version='1.1.0" OR a:"')
    assert ask("elasticsearch", url, asked, extra=extra).value == 5
    assert cluster.last.headers["authorization"] == "ApiKey a2V5"
    matching, since = cluster.last.json["query"]["bool"]["filter"]
    assert since == {"range": {"time": {"gte": "now-300s", "lte": "now"}}}
    assert matching["query_string"]["query"].endswith(r'"1.1.0\"\ OR\ a\:\""')


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (COUNTED | {"_shards": {"total": 3, "successful": 2, "failed": 1}}, r"1 of 3 failed"),
        (COUNTED | {"_shards": {}}, "only some of the shards"),
        (COUNTED | {"count": True}, "there is no count"),
        (COUNTED | {"count": -1}, "there is no count"),
        (COUNTED | {"count": "5"}, "there is no count"),
        ({"count": 5}, "an object is missing"),
        ([], "an object is missing"),
        (b"<html>", "is no JSON"),
    ],
)
def test_counts_that_are_none(serving: Serving, body: Any, said: str) -> None:
    with pytest.raises(ClientUnavailable, match=said):
        ask("elasticsearch", serving(Vendor(body)), Question("logs-* a:b", over_s=60))


def test_no_index_is_no_data_and_a_wrong_one_an_error(serving: Serving) -> None:
    none = Vendor({"count": 0, "_shards": {"total": 0, "successful": 0, "skipped": 0, "failed": 0}})
    url = serving(none)
    assert ask("elasticsearch", url, Question("logs-* a:b", over_s=60)).nothing == "there is no index logs-*"
    none.status, none.body = 404, {"error": {"reason": "no such index [logs]"}, "status": 404}
    with pytest.raises(ClientRejected, match=r"404: .*no such index"):
        ask("elasticsearch", url, Question("logs a:b", over_s=60))
    for query in ("logs-*", "_all a:b", "/x a:b", "a/b c:d", "-logs a:b", "lo?gs a:b"):
        with pytest.raises(ValueError, match="index"):
            read(query)
    with pytest.raises(ClientRejected, match="over what time"):
        ask("elasticsearch", url, "logs-* a:b")
    with pytest.raises(ClientRejected, match="no index's name"):
        ask("elasticsearch", url, Question("logs-$service a:b", service="a/b", over_s=60))
    with pytest.raises(ClientRejected, match="< or >"):
        ask("elasticsearch", url, Question("logs-* a:$service", service="a<b", over_s=60))

"""The query client against a real Prometheus, and against servers that lie."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relman_plugins.clients.metrics import prometheus as module
from relman_plugins.clients.metrics.base import Access, Question
from relman_plugins.clients.metrics.prometheus import Prometheus
from relman_plugins.errors import ClientRejected, ClientUnavailable
from tests.clients.metrics.asking import ask, replying, vector

real = pytest.mark.real
Serving = Callable[..., str]


def number(url: str, query: str | Question) -> float | None:
    return ask("prometheus", url, query).value


@real
def test_a_vector_of_one_and_a_scalar(prometheus: str) -> None:
    assert number(prometheus, "up") == 1.0
    assert number(prometheus, "scalar(up) * 2") == 2.0
    assert number(prometheus, "1 / 0 * up") == math.inf


@real
def test_nothing_is_none_and_says_why(prometheus: str) -> None:
    assert ask("prometheus", prometheus, "no_such_metric") == (None, "no series has a value")
    asked = Question('up{version="$version"}', version="1.2.0")
    assert "no series of version 1.2.0 has a value" in ask("prometheus", prometheus, asked).nothing
    assert "NaN" in ask("prometheus", prometheus, "vector(0) / 0").nothing
    assert number(prometheus, "scalar(no_such_metric)") is None


@real
def test_more_than_one_series_is_refused_with_advice(prometheus: str) -> None:
    with pytest.raises(ClientRejected, match=r"gives \d+ series .*__name__.*wrap it in sum"):
        number(prometheus, '{__name__=~"go_.+"}')
    with pytest.raises(ClientRejected, match=r"gives \d+ series .*__name__.*wrap it in sum"):
        number(prometheus, Question('{__name__=~"go_.+"}', over_s=5))
    with pytest.raises(ClientRejected, match=r"gives a matrix; expected one number"):
        number(prometheus, "up[1m]")


@real
def test_a_wrong_query_is_refused_in_prometheuss_words(prometheus: str) -> None:
    with pytest.raises(ClientRejected, match=r"answered 400: .*parse error"):
        number(prometheus, "sum(")
    with pytest.raises(ClientRejected, match="answered 422"):
        number(prometheus, "label_replace(up, 'a', '$$1', 'b', '(')")


@real
def test_a_query_too_long_for_an_address(prometheus: str) -> None:
    assert number(prometheus, " + ".join(["up"] * 2000)) == 2000.0


@real
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.sampled_from("a\\\"'`\n\r{}$é€"), max_size=12), st.sampled_from("\"'"))
def test_a_value_never_leaves_its_string(prometheus: str, value: str, mark: str) -> None:
    query = f"count(up{{job=~{mark}prometheus{mark}, nothing!={mark}$service{mark}}})"
    assert number(prometheus, Question(query, service=value or "x")) == 1.0


@real
def test_rates_buckets_and_quantiles_by_version(prometheus: str) -> None:
    asked = Question("", version="1.1.0", stable="1.0.0", window_s=600.4)
    for query, value in {
        'sum(rate(requests_total{version="$version"}[10m]))': 4,
        'sum(rate(seconds_bucket{version="$version",le="0.5"}[10m]))': 3,
        'sum(increase(requests_total{version="$version"}[$window]))': 4 * 600.4,
        'histogram_quantile(0.5, sum by (le) (rate(seconds_bucket{version="$version"}[10m])))': 0.3,
        'histogram_quantile(0.99, sum by (le) (rate(seconds_bucket{version="$version"}[10m])))': 0.5,
        'sum(rate(requests_total{version="$stable"}[10m] offset 90m))': 10,
    }.items():
        assert number(prometheus, asked._replace(query=query)) == pytest.approx(value, rel=0.01), query


@real
def test_what_ended_an_hour_ago_is_not_now(prometheus: str) -> None:
    old = Question('requests_total{version="$version"}', version="1.0.0")
    assert number(prometheus, old) is None
    ended = ask("prometheus", prometheus, old._replace(over_s=2.5 * 3600))
    assert "gaps: the series has ended" in ended.nothing
    assert "has only gaps" in ask("prometheus", prometheus, old._replace(query="nothing", over_s=600)).nothing


@real
def test_a_series_is_asked_for_page_by_page(prometheus: str, monkeypatch: pytest.MonkeyPatch) -> None:
    long = Question("", version="1.1.0", over_s=40_000, take="max")
    for query, take, value in [
        ('rate(requests_total{version="$version"}[10m])', "mean", 4),
        ("vector(3)", "max", 3),
        ("vector(2)", "sum", 2 * 2667),
    ]:
        question = long._replace(query=query, take=take)
        whole = number(prometheus, question)
        assert whole == pytest.approx(value, rel=0.01)
        monkeypatch.setattr(module, "MOST_POINTS", 500)
        assert number(prometheus, question) == pytest.approx(whole, rel=1e-6)
        monkeypatch.undo()
    assert number(prometheus, long._replace(query="1 / 0", take="max")) == math.inf


def test_a_server_that_is_down() -> None:
    with pytest.raises(ClientUnavailable, match=r"GET http://127.0.0.1:9/api/v1/query got no answer"):
        number("http://127.0.0.1:9", "up")


LIES: dict[str, Any] = {
    "no JSON": b"<html>",
    "nothing": {},
    "a list": [],
    "null": None,
    "NaN as JSON": b'{"status": "success", "data": NaN}',
    "no result": {"status": "success", "data": {"resultType": "vector"}},
    "no labels": {"status": "success", "data": {"resultType": "vector", "result": [{}]}},
    "no pair": {
        "status": "success",
        "data": {"resultType": "vector", "result": [{"metric": {}, "value": 3}]},
    },
    "no time": {
        "status": "success",
        "data": {"resultType": "vector", "result": [{"metric": {}, "value": ["x", "1"]}]},
    },
    "true": {"status": "success", "data": {"resultType": "scalar", "result": [time.time(), True]}},
    "words": {"status": "success", "data": {"resultType": "scalar", "result": [time.time(), "many"]}},
    "nested": b"[" * 100_000,
}


@pytest.mark.parametrize("lie", LIES)
def test_something_that_is_not_prometheus(serving: Serving, lie: str) -> None:
    url = serving(replying(LIES[lie]))
    with pytest.raises(ClientUnavailable, match="did not answer as Prometheus does"):
        number(url, "up")


NO_SERIES = {"resultType": "matrix", "result": []}


def test_answers_that_lie_are_no_numbers(serving: Serving) -> None:
    twice = vector(1, 1)
    with pytest.raises(ClientRejected, match="gives 2 series"):
        number(serving(replying(twice)), "up")
    histogram = vector(1)
    histogram["data"]["result"][0]["histogram"] = [time.time(), {}]
    with pytest.raises(ClientRejected, match="native histogram"):
        number(serving(replying(histogram)), "up")
    asked = Question('up{version="$version"}', version="1.1.0", stable="1.0.0")
    other = serving(replying(vector(1, version="0.9.0")))
    with pytest.raises(ClientUnavailable, match=r"series of version '0.9.0', which was not asked for"):
        number(other, asked)
    assert number(other, "up") == 1
    partly = vector(1) | {"warnings": ["store 3 did not answer"]}
    with pytest.raises(ClientUnavailable, match="perhaps only in part: store 3 did not answer"):
        number(serving(replying(partly)), "up")
    for victoria, over in ((vector(1), None), ({"status": "success", "data": NO_SERIES}, 60)):
        url = serving(replying(victoria | {"isPartial": True}))
        with pytest.raises(ClientUnavailable, match="perhaps only in part: isPartial"):
            number(url, Question("up", over_s=over))
    assert number(serving(replying(vector(1) | {"isPartial": False})), "up") == 1
    hint = vector(1) | {"warnings": ["PromQL info: metric might not be a counter"], "infos": ["x"]}
    assert number(serving(replying(hint)), "up") == 1


@pytest.mark.parametrize(("apart", "said"), [(-95, "95 s behind"), (4000, "67 min ahead of")])
def test_a_clock_that_is_far_off_is_no_now(serving: Serving, apart: float, said: str) -> None:
    body = vector(1)
    body["data"]["result"][0]["value"][0] += apart
    with pytest.raises(ClientUnavailable, match=f"the clock of .* is {said} this machine's"):
        number(serving(replying(body)), "up")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (lambda start, step: [[start + step / 2, "1"]], "points of other times"),
        (lambda start, step: [[start - step, "1"]], "points of other times"),
        (lambda start, step: [[start]], "no pair"),
    ],
)
def test_a_range_of_other_points_is_no_answer(serving: Serving, values: Any, said: str) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        sent = {k: float(v[0]) for k, v in parse_qs(urlsplit(request.path).query).items() if k != "query"}
        found = [{"metric": {}, "values": values(sent["start"], sent["step"])}]
        data = {"status": "success", "data": {"resultType": "matrix", "result": found}}
        replying(data)(request)

    with pytest.raises(ClientUnavailable, match=said):
        number(serving(answer), Question("up", over_s=60))


def test_credentials_are_sent_and_never_shown(serving: Serving) -> None:
    seen: list[str | None] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        seen.append(request.headers["Authorization"])
        replying({"error": "who are you"}, 401)(request)

    url = serving(answer)
    with pytest.raises(ClientRejected, match="answered 401: who are you"):
        ask("prometheus", url, "up", auth=("reader", "s3cret"))
    assert seen[0] is not None
    assert seen[0].startswith("Basic ")
    with pytest.raises(ClientRejected) as caught:
        number(url.replace("//", "//reader:s3cret@"), "up")
    assert "s3cret" not in str(caught.value)


def test_values_are_filled_in(serving: Serving) -> None:
    seen: list[str] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        seen.append(parse_qs(urlsplit(request.path).query)["query"][0])
        replying(vector(1))(request)

    url = serving(answer)
    values = Question("", service="checkout", environment="qa", version="1.1.0", stable="1.0.0")
    for query, sent in {
        "$service-${environment} $version/$stable": "checkout-qa 1.1.0/1.0.0",
        'x{code=~"5..$",a="$$service"}': 'x{code=~"5..$",a="$service"}',
    }.items():
        number(url, values._replace(query=query))
        assert seen.pop() == sent
    number(url, Question("[$stable$track]", version="1"))
    assert seen.pop() == "[]"
    number(url, Question("[$track]", version="1", track="baseline"))
    assert seen.pop() == "[baseline]"
    with pytest.raises(ClientRejected, match=r"names \$zone; expected one of \$service"):
        number(url, "$zone")


def test_the_check_knows_a_server_that_is_none(serving: Serving) -> None:
    async def checked(url: str) -> str:
        client = Prometheus(Access(url))
        try:
            return await client.check()
        finally:
            await client.aclose()

    assert "answers queries" in asyncio.run(checked(serving(replying(vector(1)))))
    with pytest.raises(ClientUnavailable, match="does not know that"):
        asyncio.run(checked(serving(replying(vector(2)))))

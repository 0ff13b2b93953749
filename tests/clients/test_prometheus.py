"""The query client against a real Prometheus."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relman_plugins.clients.prometheus import Prometheus, fill
from relman_plugins.errors import ClientError, ClientRejected, ClientUnavailable

real = pytest.mark.real


def both(url: str, promql: str, at: datetime | None = None) -> float | None:
    """Ask synchronously and asynchronously; the two must agree."""

    async def ask() -> float | ClientError | None:
        async with Prometheus(url) as client:
            try:
                return await client.async_query(promql, at)
            except ClientError as error:
                return error

    async_answer = asyncio.run(ask())
    with Prometheus(url) as client:
        if isinstance(async_answer, ClientError):
            with pytest.raises(type(async_answer)) as caught:
                client.query(promql, at)
            raise caught.value
        answer = client.query(promql, at)
    assert answer == async_answer
    return answer


@real
def test_a_vector_of_one_and_a_scalar(prometheus: str) -> None:
    assert both(prometheus, "up") == 1.0
    assert both(prometheus, "scalar(up) * 2") == 2.0
    assert both(prometheus, "1 / 0 * up") == math.inf


@real
def test_nothing_is_none(prometheus: str) -> None:
    assert both(prometheus, "no_such_metric") is None
    assert both(prometheus, "vector(0) / 0") is None
    assert both(prometheus, "scalar(no_such_metric)") is None
    assert both(prometheus, "up", at=datetime.now(UTC) - timedelta(days=30)) is None


@real
def test_more_than_one_series_is_refused_with_advice(prometheus: str) -> None:
    with pytest.raises(ClientRejected, match=r"gives \d+ series .*__name__.*wrap it in sum"):
        both(prometheus, '{__name__=~"go_.+"}')
    with pytest.raises(ClientRejected, match=r"gives a matrix; expected one number"):
        both(prometheus, "up[1m]")


@real
def test_a_wrong_query_is_refused_in_prometheuss_words(prometheus: str) -> None:
    with pytest.raises(ClientRejected, match=r"answered 400: .*parse error"):
        both(prometheus, "sum(")
    with pytest.raises(ClientRejected, match="answered 422"):
        both(prometheus, "label_replace(up, 'a', '$1', 'b', '(')")


@real
def test_a_query_too_long_for_an_address(prometheus: str) -> None:
    assert both(prometheus, " + ".join(["up"] * 2000)) == 2000.0


@real
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.sampled_from("a\\\"'`\n\r{}$é€"), max_size=12), st.sampled_from("\"'"))
def test_a_value_never_leaves_its_string(prometheus: str, value: str, mark: str) -> None:
    query = fill(
        f"count(up{{job=~{mark}prometheus{mark}, nothing!={mark}$service{mark}}})", service=value or "x"
    )
    with Prometheus(prometheus) as client:
        assert client.query(query) == 1.0


def test_a_server_that_is_down() -> None:
    with pytest.raises(ClientUnavailable, match=r"GET http://127.0.0.1:9/api/v1/query got no answer"):
        both("http://127.0.0.1:9", "up")


def test_something_that_is_not_prometheus(serving: Callable[..., str]) -> None:
    for body in (
        b"<html>",
        b"{}",
        b'{"status": "success", "data": {"resultType": "vector", "result": [{}]}}',
    ):

        def answer(request: BaseHTTPRequestHandler, body: bytes = body) -> None:
            request.send_response(200)
            request.end_headers()
            request.wfile.write(body)

        with pytest.raises(ClientUnavailable, match="did not answer as Prometheus does"):
            both(serving(answer), "up")


def test_credentials_are_sent_and_never_shown(serving: Callable[..., str]) -> None:
    seen: list[str | None] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        seen.append(request.headers["Authorization"])
        request.send_response(401)
        request.end_headers()
        request.wfile.write(json.dumps({"error": "who are you"}).encode())

    url = serving(answer)
    with pytest.raises(ClientRejected, match="answered 401: who are you") as caught:
        Prometheus(url, auth=("reader", "s3cret")).query("up")
    assert seen[0] is not None
    assert seen[0].startswith("Basic ")
    with pytest.raises(ClientRejected) as caught:
        Prometheus(url.replace("//", "//reader:s3cret@")).query("up")
    assert "s3cret" not in str(caught.value)


def test_fill() -> None:
    values = {"service": "checkout", "environment": "qa", "version": "1.1.0", "stable": "1.0.0"}
    assert fill("$service-${environment} $version/$stable", **values) == "checkout-qa 1.1.0/1.0.0"
    assert fill('x{code=~"5..$",a="$$service"}', **values) == 'x{code=~"5..$",a="$service"}'
    assert fill("[$stable]", version="1", stable=None) == "[]"
    with pytest.raises(ClientRejected, match=r"names \$zone; expected one of \$service"):
        fill("$zone")


def test_a_time_without_a_zone_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="time zone"):
        Prometheus("http://127.0.0.1:9").query("up", at=datetime(2026, 1, 1))  # noqa: DTZ001 - the mistake

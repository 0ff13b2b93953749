"""One number of any JSON: what stands where, and what is none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from relman_plugins.clients.metrics.base import Access, Question
from relman_plugins.clients.metrics.registry import source
from relman_plugins.domain.json_query import read
from relman_plugins.errors import ClientRejected, ClientUnavailable
from tests.clients.metrics.asking import ask, replying

Serving = Callable[..., str]
BODY = {
    "errors": {"rate": 0.25, "text": "0.25", "none": None, "yes": True, "many": [1, 2]},
    "versions": [{"name": "1.0.0", "n": 7}, {"name": "1.1.0", "n": 3}, {"name": 'it\'s "x"', "n": 9}],
    "big": 10**400,
}


def test_a_number_by_its_place_and_by_a_filter(serving: Serving) -> None:
    url = serving(replying(BODY))
    asked = Question("", version="1.1.0")
    for query, value in {
        "/stats $.errors.rate": 0.25,
        "/stats   $['errors']['many'][1]": 2,
        "/stats $.versions[?@.name == '$version'].n": 3,
        "/stats $.versions[0].n": 7,
    }.items():
        assert ask("json", url, asked._replace(query=query)).value == value
    hostile = asked._replace(query="/stats $.versions[?@.name == '$version'].n", version='it\'s "x"')
    assert ask("json", url, hostile).value == 9
    assert ask("json", url, hostile._replace(version="' || true || '")).value is None


def test_what_is_none_says_what_stands_there(serving: Serving) -> None:
    url = serving(replying(BODY))
    assert "nothing stands at $.nowhere" in ask("json", url, "/ $.nowhere").nothing
    assert "null stands at $.errors.none" in ask("json", url, "/ $.errors.none").nothing
    for query, kind, said in [
        ("/ $.errors.text", ClientUnavailable, '"0.25" stands at .*; expected a number'),
        ("/ $.errors.yes", ClientUnavailable, "true stands at"),
        ("/ $.errors.many", ClientUnavailable, r"\[1, 2\] stands at"),
        ("/ $.errors", ClientUnavailable, "stands at"),
        ("/ $.versions[*].n", ClientRejected, "3 values stand at"),
        ("/ $.big", ClientUnavailable, "too large"),
    ]:
        with pytest.raises(kind, match=said):
            ask("json", url, query)


@pytest.mark.parametrize("body", [b"<html>", b"", b"[" * 100_000])
def test_answers_that_are_no_json(serving: Serving, body: bytes) -> None:
    with pytest.raises(ClientUnavailable, match="its answer is no JSON"):
        ask("json", serving(replying(body)), "/ $.a")


@pytest.mark.parametrize("body", [b'{"a": NaN}', [], None, 5])
def test_answers_that_have_no_number_there(serving: Serving, body: Any) -> None:
    assert ask("json", serving(replying(body)), "/ $.a").value is None


def test_values_stay_in_the_path(serving: Serving) -> None:
    seen: list[str] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        seen.append(request.path)
        replying(BODY)(request)

    url = serving(answer)
    asked = Question("/v/$version?s=$service&w=$window $.errors.rate", version="1/../2?x=1#y", window_s=37.2)
    ask("json", url + "/base", asked._replace(service="a&b"))
    assert seen == ["/base/v/1%2F..%2F2%3Fx%3D1%23y?s=a%26b&w=38"]
    with pytest.raises(ClientRejected, match="would lead the path"):
        ask("json", url + "/base", asked._replace(version=".."))


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("https://elsewhere.example/x $.a", "must begin with a path"),
        ("//elsewhere.example/x $.a", "must begin with a path"),
        ("stats $.a", "must begin with a path"),
        ("/a/../../b $.a", "leads upwards"),
        ("/stats", "stands a JSONPath"),
        ("/stats errors.rate", "is no JSONPath"),
        ("/stats $.a[", "is no JSONPath"),
        ("/stats $[?search(@.a, '(a+)+$')]", "is no JSONPath"),
    ],
)
def test_what_is_no_query(query: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read(query)


def test_the_check_wants_an_answer_and_a_login(serving: Serving) -> None:
    async def checked(url: str) -> str:
        client = source("json", Access(url))
        try:
            return await client.check()
        finally:
            await client.aclose()

    for good in (replying(b"<html>"), replying({}, 404), replying({}, 500)):
        assert asyncio.run(checked(serving(good))) == "The server answers."
    with pytest.raises(ClientRejected, match="401"):
        asyncio.run(checked(serving(replying({}, 401))))
    with pytest.raises(ClientUnavailable, match="got no answer"):
        asyncio.run(checked("http://127.0.0.1:9"))

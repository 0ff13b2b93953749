"""What a failed request means."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from threading import Event
from typing import Any

import httpx
import pytest

from relman_plugins.clients import http
from relman_plugins.errors import ClientError, ClientRejected, ClientUnavailable


def ask(url: str, timeout: float = 10.0, **kwargs: Any) -> httpx.Response:
    """Ask synchronously and asynchronously; both must end the same way."""

    async def ask_async() -> httpx.Response | ClientError:
        async with http.async_client(url, timeout=timeout) as client:
            try:
                return await http.async_request(client, "GET", "/x", **kwargs)
            except ClientError as error:
                return error

    second = asyncio.run(ask_async())
    with http.client(url, timeout=timeout) as client:
        if isinstance(second, ClientError):
            with pytest.raises(type(second)) as caught:
                http.request(client, "GET", "/x", **kwargs)
            raise caught.value
        first = http.request(client, "GET", "/x", **kwargs)
    assert first.content == second.content
    return first


def status(code: int, body: bytes = b"", **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(code)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(body)

    return answer


@pytest.mark.parametrize("code", [408, 425, 429, 500, 502, 503, 504])
def test_trying_again_can_help(serving: Callable[..., str], code: int) -> None:
    with pytest.raises(ClientUnavailable, match=f"answered {code}: not now") as caught:
        ask(serving(status(code, b'{"message": "not now"}', Retry_After="7")))
    assert caught.value.retry_after == 7.0


@pytest.mark.parametrize("code", [301, 302, 307, 400, 401, 403, 404, 409, 422])
def test_trying_again_changes_nothing(serving: Callable[..., str], code: int) -> None:
    with pytest.raises(ClientRejected, match=f"answered {code}"):
        ask(serving(status(code, Location="http://127.0.0.1:9/elsewhere")))


def test_a_good_answer_is_returned_whole(serving: Callable[..., str]) -> None:
    answer = ask(
        serving(status(200, b'{"a": "\xc3\xa9"}', Content_Type="application/json")), params={"q": "1"}
    )
    assert answer.json() == {"a": "é"}


def test_a_silent_server_is_a_time_out(serving: Callable[..., str]) -> None:
    released = Event()
    url = serving(lambda _: released.wait(30) and None)
    try:
        with pytest.raises(ClientUnavailable, match="got no answer: time-out"):
            ask(url, timeout=0.2)
    finally:
        released.set()


@pytest.mark.parametrize("begin", [b"", b"HTTP/1.1 200 OK\r\nX-", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_a_server_that_drips_holds_nobody(serving: Callable[..., str], begin: bytes) -> None:
    """Each byte is in time, in the status line, in a header or in the body; the whole never comes."""
    released, dripping = Event(), begin or b"HTTP/1.1"

    def drip(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(dripping)
        while not released.wait(0.02):
            try:
                request.wfile.write(b"x")
            except OSError:
                return

    url = serving(drip)
    try:
        with pytest.raises(ClientUnavailable, match=r"no whole answer within 0\.5 s: time-out"):
            ask(url, limit_s=0.5)
    finally:
        released.set()


def test_an_answer_without_end_is_not_read_to_its_end(serving: Callable[..., str]) -> None:
    with pytest.raises(ClientRejected, match="more than 1 MB"):
        ask(serving(status(200, b"x" * (2 << 20))), max_bytes=1 << 20)


def test_an_answer_that_is_cut_off(serving: Callable[..., str]) -> None:
    with pytest.raises(ClientUnavailable, match="got no answer"):
        ask(serving(status(200, b"x", Content_Length="100")))


def test_a_secret_in_the_address_is_not_shown(serving: Callable[..., str]) -> None:
    url = serving(status(404)).replace("//", "//user:s3cret@")
    with pytest.raises(ClientRejected) as caught:
        ask(url, params={"token": "t0ken"})
    assert "s3cret" not in str(caught.value)
    assert "t0ken" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["https://bob:s3cret@host:80a/", "https://bob:s3cr/et@host", "http://bob:s3c[ret@"]
)
def test_a_secret_in_what_is_no_address_is_not_shown(url: str) -> None:
    with pytest.raises(ClientRejected) as caught:
        http.client(url)
    assert "s3c" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "token", ["s3cr3t\n", "s3cr3t ", "s3cr3t\r\nX: 1", "s3cr3t\x00", "s3cr3té", "s3cr3t\u200b"]
)
@pytest.mark.parametrize("at_once", [True, False])
def test_a_secret_that_can_be_no_header_is_not_shown(
    serving: Callable[..., str], token: str, at_once: bool
) -> None:
    """Neither in the message nor in what a log shows with it; as the client's header and as a request's."""
    url, headers = serving(status(200)), {"Authorization": f"Bearer {token}"}

    def sync() -> None:
        with http.client(url, headers=headers if at_once else None) as client:
            http.request(client, "GET", "/x", **({} if at_once else {"headers": headers}))

    async def not_sync() -> None:
        async with http.async_client(url, headers=headers if at_once else None) as client:
            await http.async_request(client, "GET", "/x", **({} if at_once else {"headers": headers}))

    for asking in (sync, lambda: asyncio.run(not_sync())):
        with pytest.raises(ClientRejected, match="has a character that no header can have") as caught:
            asking()
        assert "s3cr3t" not in "".join(traceback.format_exception(caught.value))


def test_a_path_that_can_be_none_is_not_shown(serving: Callable[..., str]) -> None:
    path = "/x?token=s3cr3t\x00"
    with http.client(serving(status(200))) as client, pytest.raises(ClientRejected) as caught:
        http.request(client, "GET", path)
    assert "s3cr3t" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("url", ["ftp://x", "no address", "http://", "//x"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(ClientRejected, match="is not an address"):
        http.client(url)


def test_loopback_is_asked_directly(serving: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert ask(serving(status(200, b"here"))).text == "here"


def test_retry_after() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert http.retry_after_s("12") == 12.0
    assert http.retry_after_s("Thu, 01 Jan 2026 00:01:00 GMT", now) == 60.0
    assert http.retry_after_s("Wed, 31 Dec 2025 00:01:00 GMT", now) == 0.0
    assert [http.retry_after_s(v) for v in (None, "", "soon")] == [None, None, None]

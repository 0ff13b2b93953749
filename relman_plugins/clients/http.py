"""The one place that makes HTTP clients, and that says what a failed request means.

Everything that goes wrong comes out as one of two errors: ``ClientUnavailable`` (no answer, a time-out,
408, 425, 429, 5xx: trying again can help) or ``ClientRejected`` (any other answer that is not a success).
Redirects are not followed, since they would carry credentials to a place nobody configured. Messages show
addresses without user names, passwords and query strings.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

import httpx

from relman_plugins.errors import ClientError, ClientRejected, ClientUnavailable

TIMEOUT_S = 10.0
"""Default limit for connecting and for each read, in seconds."""

LIMIT_S = 60.0
"""Default limit for a request as a whole, in seconds: a server that drips holds nobody for ever."""

MAX_BYTES = 8 * 1024 * 1024
"""The largest answer that is read."""

_TRY_AGAIN = frozenset({408, 425, 429})
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

# Instead of what httpx and its codec say, and without a chain to that: they quote the header.
_NO_HEADER = (
    "a header made of the connection's login or token has a character that no header can have; "
    "remove blanks, line breaks and what is not ASCII"
)


def client(
    base_url: str,
    timeout: float = TIMEOUT_S,
    headers: Mapping[str, str] | None = None,
    auth: tuple[str, str] | None = None,
) -> httpx.Client:
    """Make a client for one server; safe to share between threads, to be closed by the caller.

    Args:
        base_url: Address that relative paths are added to.
        timeout: Seconds to wait for a connection, and for each read.
        headers: Sent with every request.
        auth: User name and password for HTTP basic authentication.

    Raises:
        ClientRejected: ``base_url`` is not an ``http`` or ``https`` address, or a header can't be one.
    """
    return httpx.Client(**_arguments(base_url, timeout, headers, auth))


def async_client(
    base_url: str,
    timeout: float = TIMEOUT_S,
    headers: Mapping[str, str] | None = None,
    auth: tuple[str, str] | None = None,
    kept_s: float = 5.0,
) -> httpx.AsyncClient:
    """Make an asynchronous client; the other arguments and the errors are those of ``client``.

    It belongs to the event loop that first uses it. ``kept_s`` is how long a connection stays open unused.
    """
    limits = httpx.Limits(keepalive_expiry=kept_s)
    return httpx.AsyncClient(**_arguments(base_url, timeout, headers, auth), limits=limits)


def request(
    http: httpx.Client,
    method: str,
    path: str,
    *,
    limit_s: float = LIMIT_S,
    max_bytes: int = MAX_BYTES,
    **kwargs: Any,
) -> httpx.Response:
    """Send a request and return its successful answer, read completely; on a connection of its own.

    ``limit_s`` is for everything from the connection to the last byte, ``max_bytes`` for the answer's body.
    ``kwargs`` are those of ``httpx.Client.build_request`` (``params``, ``json``, ``data``, ``headers``).

    Raises:
        ClientUnavailable: No answer, a time-out, 408, 425, 429 or 5xx; ``retry_after`` in seconds when told.
        ClientRejected: Any other answer than 2xx, or one larger than ``max_bytes``; a path or a header that
            can't be sent.
    """
    with _Deadline(limit_s) as deadline:
        asked = _built(http, method, path, extensions={"trace": deadline.trace}, **kwargs)
        # Kept open it might serve the next request, whose deadline does not know it.
        asked.headers["Connection"] = "close"
        try:
            answer = http.send(asked, stream=True)
            try:
                body = _bounded(answer.iter_bytes(), asked, max_bytes)
            finally:
                answer.close()
        except httpx.LocalProtocolError as error:
            raise _unsent(asked, error) from None
        except httpx.HTTPError as error:
            raise (_too_slow(asked, limit_s) if deadline.passed else _no_answer(asked, error)) from error
        if deadline.passed:
            # A body without a length just ends when its connection does.
            raise _too_slow(asked, limit_s)
    return _judged(asked, answer, body)


async def async_request(
    http: httpx.AsyncClient,
    method: str,
    path: str,
    *,
    limit_s: float = LIMIT_S,
    max_bytes: int = MAX_BYTES,
    rest: str = "retry-after",
    **kwargs: Any,
) -> httpx.Response:
    """Do what ``request`` does, without blocking the event loop.

    ``rest`` is the header that says in how many seconds to come back.
    """
    asked = _built(http, method, path, **kwargs)
    try:
        async with asyncio.timeout(limit_s):
            answer = await http.send(asked, stream=True)
            try:
                body = await _async_bounded(answer.aiter_bytes(), asked, max_bytes)
            finally:
                await answer.aclose()
    except TimeoutError as error:
        raise _too_slow(asked, limit_s) from error
    except httpx.LocalProtocolError as error:
        raise _unsent(asked, error) from None
    except httpx.HTTPError as error:
        raise _no_answer(asked, error) from error
    return _judged(asked, answer, body, rest)


def shown(url: httpx.URL | str) -> str:
    """Return an address that may be printed: without user name, password, query string and fragment."""
    return str(httpx.URL(url).copy_with(username=None, password=None, query=None, fragment=None))


def retry_after_s(value: str | None, now: datetime | None = None) -> float | None:
    """Read a ``Retry-After`` header, in seconds or as an HTTP date; None when absent or unreadable."""
    if not value:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - (now or datetime.now(UTC))).total_seconds())


def _arguments(
    base_url: str, timeout: float, headers: Mapping[str, str] | None, auth: tuple[str, str] | None
) -> dict[str, Any]:
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL:
        # Not quoted, and not with httpx's own words: a password may stand in what could not be read.
        raise ClientRejected(
            "the address can't be read: expected http://host or https://host, with a port of digits"
        ) from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise ClientRejected(f"{shown(url)!r} is not an address: expected http://host or https://host")
    try:
        sent = httpx.Headers({"User-Agent": "relman", **(headers or {})})
    except UnicodeEncodeError:
        raise ClientRejected(_NO_HEADER) from None
    return {
        "base_url": url,
        "timeout": timeout,
        "headers": sent,
        "auth": auth,
        "verify": _tls(),
        "follow_redirects": False,
        # A proxy from the environment cannot reach this machine's own loopback.
        "trust_env": url.host not in _LOOPBACK,
    }


def _built(http: httpx.Client | httpx.AsyncClient, method: str, path: str, **kwargs: Any) -> httpx.Request:
    try:
        return http.build_request(method, path, **kwargs)
    except UnicodeEncodeError:
        raise ClientRejected(_NO_HEADER) from None
    except httpx.InvalidURL:
        raise ClientRejected(f"a path under {shown(http.base_url)} is none: it can't be read") from None


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    # Loading the root certificates costs more than a request, so it is done once per process.
    return httpx.create_ssl_context()


class _Deadline:
    """Ends a request that takes too long, whatever it waits for.

    httpx has limits for the connection and for each read only. This one shuts the socket down from a thread,
    and the read that waits there ends at once.
    """

    def __init__(self, limit_s: float) -> None:
        self.passed = False
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()
        self._timer = threading.Timer(limit_s, self._end)
        self._timer.daemon = True

    def __enter__(self) -> _Deadline:
        self._timer.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._timer.cancel()

    def trace(self, name: str, info: Mapping[str, Any]) -> None:
        """Learn from httpx which socket it uses."""
        if name.endswith(("connect_tcp.complete", "start_tls.complete")):
            with self._lock:
                self._socket = info["return_value"].get_extra_info("socket")
            if self.passed:
                self._end()

    def _end(self) -> None:
        with self._lock:
            self.passed = True
            if self._socket is not None:
                try:
                    # The plain socket's own method: that of TLS would take the session away from the reader.
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
                except OSError:
                    return  # it is closed already


def _bounded(chunks: Iterator[bytes], asked: httpx.Request, most: int) -> bytes:
    body = bytearray()
    for chunk in chunks:
        _grow(body, chunk, asked, most)
    return bytes(body)


async def _async_bounded(chunks: AsyncIterator[bytes], asked: httpx.Request, most: int) -> bytes:
    body = bytearray()
    async for chunk in chunks:
        _grow(body, chunk, asked, most)
    return bytes(body)


def _grow(body: bytearray, chunk: bytes, asked: httpx.Request, most: int) -> None:
    body += chunk
    if len(body) > most:
        size = f"{most >> 20} MB" if most >= 1 << 20 else f"{most} bytes"
        raise ClientRejected(
            f"{asked.method} {shown(asked.url)} answered with more than {size}; ask for less"
        )


def _too_slow(asked: httpx.Request, limit_s: float) -> ClientUnavailable:
    return ClientUnavailable(
        f"{asked.method} {shown(asked.url)} got no whole answer within {limit_s:g} s: time-out"
    )


def _unsent(asked: httpx.Request, error: httpx.LocalProtocolError) -> ClientError:
    if "header" in str(error).lower():
        return ClientRejected(_NO_HEADER)
    return ClientUnavailable(f"{asked.method} {shown(asked.url)} could not be sent; the connection broke")


def _no_answer(asked: httpx.Request, error: httpx.HTTPError) -> ClientUnavailable:
    said = "time-out" if isinstance(error, httpx.TimeoutException) else str(error) or type(error).__name__
    return ClientUnavailable(f"{asked.method} {shown(asked.url)} got no answer: {said}")


def _judged(
    asked: httpx.Request, answer: httpx.Response, body: bytes, rest: str = "retry-after"
) -> httpx.Response:
    headers = [
        (k, v) for k, v in answer.headers.multi_items() if k not in {"content-encoding", "content-length"}
    ]
    whole = httpx.Response(answer.status_code, headers=headers, content=body, request=asked)
    if whole.is_success:
        return whole
    text = f"{asked.method} {shown(asked.url)} answered {whole.status_code}: {_reason(whole)}"
    error: ClientError = ClientRejected(text)
    if whole.status_code in _TRY_AGAIN or whole.is_server_error:
        error = ClientUnavailable(text, retry_after_s(whole.headers.get(rest)))
    error.status, error.said = whole.status_code, _reason(whole)
    error.challenge = whole.headers.get("WWW-Authenticate", "")
    raise error


def _reason(answer: httpx.Response) -> str:
    """Return what the server said, short enough for a log line."""
    said: Any = answer.text
    try:
        body = answer.json()
    except ValueError:
        body = None
    if isinstance(body, dict):
        said = next((body[k] for k in ("error", "message", "detail", "reason") if body.get(k)), said)
    text = " ".join(str(said).split())
    return text[:300] or answer.reason_phrase or "no reason given"

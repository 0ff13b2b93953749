"""The front door: one port, `/<environment>/<service>/<path>`, the traffic split by weight."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

import aiohttp
from aiohttp import StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage
from aiohttp.web_protocol import RequestHandler
from multidict import CIMultiDict
from yarl import URL

from relman_plugins.platforms.sandbox.deployment import Deployment
from relman_plugins.platforms.sandbox.metrics import Metrics
from relman_plugins.platforms.sandbox.replica import ANSWER_S, Replica

VERSION_HEADER = "X-Relman-Version"

MAX_BODY = 16 * 1024 * 1024
IN_ONE_PIECE = 256 * 1024
"""Answers up to this size are passed on whole; larger ones as they come."""

_HOP = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer",
     "transfer-encoding", "upgrade", "host", "content-length"}
)  # fmt: skip


def make_request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: RequestHandler,
    writer: AbstractStreamWriter,
    task: asyncio.Task[None],
) -> web.BaseRequest:
    """Return a request whose body may be as large as the front door allows."""
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=MAX_BODY)


class FrontDoor:
    """Passes requests on. `handle` is a handler for `aiohttp.web.Server`."""

    def __init__(self, deployments: Mapping[tuple[str, str], Deployment], metrics: Metrics) -> None:
        self._deployments, self._metrics = deployments, metrics
        # Connections are given up before common servers do, so that none closes under a request.
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=2)
        self._client = aiohttp.ClientSession(
            connector=connector,
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=ANSWER_S, connect=5),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def close(self) -> None:
        """Give up all connections."""
        await self._client.close()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        began = time.perf_counter()
        parts = request.raw_path.split("/", 3)
        deployment = self._deployments.get((parts[1], parts[2].partition("?")[0])) if len(parts) > 2 else None
        if deployment is None:
            return _error(404, f"nothing is deployed at {request.path}; expected /<environment>/<service>/…")
        target = deployment.route.pick()
        slot = deployment.slots.get(target) if target else None
        if slot is None:
            return _error(503, f"{deployment.service} in {deployment.environment} has no traffic yet")
        version = slot.record.revision.version
        replica = slot.next()
        answer: web.StreamResponse
        if replica is None:
            answer = _error(503, f"no replica of version {version} is ready", version)
        else:
            replica.in_flight += 1
            try:
                path = "/" + parts[3] if len(parts) > 3 else "/"
                answer = await self._pass_on(request, replica, path, version)
            finally:
                replica.in_flight -= 1
        self._metrics.count(
            deployment.environment,
            deployment.service,
            version,
            str(answer.status),
            time.perf_counter() - began,
            slot.record.track,
        )
        return answer

    async def _pass_on(
        self, request: web.BaseRequest, replica: Replica, path: str, version: str
    ) -> web.StreamResponse:
        body = await request.read() if request.can_read_body else None
        headers = CIMultiDict((k, v) for k, v in request.headers.items() if k.lower() not in _HOP)
        url = URL(f"http://127.0.0.1:{replica.record.port}{path}", encoded=True)
        try:
            async with self._client.request(
                request.method, url, headers=headers, data=body, allow_redirects=False
            ) as answer:
                back = CIMultiDict((k, v) for k, v in answer.headers.items() if k.lower() not in _HOP)
                back[VERSION_HEADER] = version
                if request.method == "HEAD" or (answer.content_length or IN_ONE_PIECE) < IN_ONE_PIECE:
                    return web.Response(status=answer.status, headers=back, body=await answer.read())
                return await _stream(request, answer, back)
        except TimeoutError:
            return _error(504, f"version {version} did not answer within {ANSWER_S:g} s", version)
        except (aiohttp.ClientError, OSError) as e:
            replica.suspect()
            return _error(502, f"version {version} gave no answer: {e}", version)


async def _stream(
    request: web.BaseRequest, answer: aiohttp.ClientResponse, headers: CIMultiDict[str]
) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, headers=headers)
    response.content_length = answer.content_length
    await response.prepare(request)
    try:
        async for chunk in answer.content.iter_chunked(64 * 1024):
            await response.write(chunk)
        await response.write_eof()
    except (aiohttp.ClientError, TimeoutError, OSError):
        # The status has left already: only a closed connection still says that the answer is not whole.
        if request.transport is not None:
            request.transport.close()
        response.force_close()
    return response


def _error(status: int, text: str, version: str | None = None) -> web.Response:
    headers = {VERSION_HEADER: version} if version else {}
    return web.json_response({"error": text}, status=status, headers=headers)

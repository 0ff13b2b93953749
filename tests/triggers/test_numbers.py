"""One poller for everybody who waits for a source: what a real server sees of five hundred who ask."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from relman_plugins.clients.metrics.base import Question
from relman_plugins.errors import ClientRejected, ClientUnavailable
from relman_plugins.triggers import numbers as module
from relman_plugins.triggers.numbers import SLOTS, Poller, numbers

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """A metrics server on this loop: what it was asked, by how many at once, over how many connections."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[str] = []
        self.connections: set[Any] = set()
        self.now = self.most = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.answers: list[dict[str, Any]] = []
        """What it answers first, instead of the number 1."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.connections.add(request.transport)
        self.asked.append(request.query["query"])
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self.gate.wait()
            if self.answers:
                return web.Response(**self.answers.pop(0))
            data = {"resultType": "scalar", "result": [time.time(), "1"]}
            return web.json_response({"status": "success", "data": data})
        finally:
            self.now -= 1

    async def until(self, asked: int) -> None:
        """Wait until so many questions have come."""
        async with asyncio.timeout(20):
            while len(self.asked) < asked:
                await asyncio.sleep(0.005)


@asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    server, app = Server(), web.Application()
    app.router.add_get("/api/v1/query", server.handle)
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        server.gate.set()
        await runner.cleanup()


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let Airflow have a connection."""

    def to(url: str, conn_id: str = "numbers", **more: Any) -> None:
        told = json.dumps({"conn_type": "http", "host": url} | more)
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", told)

    return to


def waits_for(conn_id: str, *queries: str) -> list[asyncio.Task[float | None]]:
    """Let one who waits, like a trigger, ask for each query."""

    async def one(query: str) -> float | None:
        async with numbers("prometheus", conn_id) as poller:
            return (await poller.number(Question(query))).value

    return [asyncio.create_task(one(query)) for query in queries]


def on_a_loop(test: Callable[[Server], Awaitable[None]]) -> None:
    async def run() -> None:
        async with serving() as server:
            await test(server)

    asyncio.run(asyncio.wait_for(run(), 60))


def test_five_hundred_who_ask_the_same_ask_once(connect: Callable[..., None]) -> None:
    async def test(server: Server) -> None:
        connect(server.url)
        server.gate.clear()
        waiting = waits_for("numbers", *["up"] * 500)
        await server.until(1)
        await asyncio.sleep(0)
        server.gate.set()
        assert await asyncio.gather(*waiting) == [1.0] * 500
        assert server.asked == ["up"]
        assert len(server.connections) == 1

    on_a_loop(test)


def test_five_hundred_who_ask_for_different_things_share_a_few_connections(
    connect: Callable[..., None],
) -> None:
    async def test(server: Server) -> None:
        connect(server.url)
        async with numbers("prometheus", "numbers"):  # a trigger that waits between two looks
            for _ in range(2):
                waiting = waits_for("numbers", *[f"up + {n % 250}" for n in range(500)])
                assert await asyncio.gather(*waiting) == [1.0] * 500
        assert sorted(server.asked) == sorted([f"up + {n}" for n in range(250)] * 2)
        assert server.most <= SLOTS
        assert len(server.connections) <= SLOTS

    on_a_loop(test)


def test_who_is_cancelled_leaves_the_others_waiting_and_the_last_takes_the_question_along(
    connect: Callable[..., None],
) -> None:
    async def test(server: Server) -> None:
        connect(server.url)
        server.gate.clear()
        first, second = waits_for("numbers", "up", "up")
        await server.until(1)
        first.cancel()
        await asyncio.wait([first])
        server.gate.set()
        assert await second == 1.0
        assert server.asked == ["up"]

        server.gate.clear()
        async with numbers("prometheus", "numbers") as poller:
            (alone,) = waits_for("numbers", "up")
            await server.until(2)
            alone.cancel()
            await asyncio.wait([alone])
            (again,) = waits_for("numbers", "up")
            await server.until(3)
            server.gate.set()
            assert await again == 1.0
            assert poller.users == 1

    on_a_loop(test)


def test_a_slow_source_holds_up_no_other(connect: Callable[..., None]) -> None:
    async def test(slow: Server) -> None:
        async with serving() as fast:
            connect(slow.url, "slow")
            connect(fast.url, "fast")
            slow.gate.clear()
            stuck = waits_for("slow", *[f"up + {n}" for n in range(500)])
            await slow.until(SLOTS)
            quick = waits_for("fast", *[f"up + {n}" for n in range(100)])
            assert await asyncio.gather(*quick) == [1.0] * 100
            assert len(slow.asked) == SLOTS
            slow.gate.set()
            assert await asyncio.gather(*stuck) == [1.0] * 500

    on_a_loop(test)


def test_all_who_wait_for_a_source_that_gives_no_answer_are_told_in_time(
    connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 1.0)

    async def test(slow: Server) -> None:
        connect(slow.url, "slow")
        slow.gate.clear()
        stuck = waits_for("slow", *[f"up + {n}" for n in range(500)])
        found = await asyncio.gather(*stuck, return_exceptions=True)
        assert all(isinstance(error, ClientUnavailable) for error in found)
        assert "connection 'slow' gave no answer within 1 s" in str(found[-1])
        assert len(slow.asked) <= 2 * SLOTS

    on_a_loop(test)


def test_what_can_help_is_tried_again_and_what_can_not_is_not(connect: Callable[..., None]) -> None:
    async def test(server: Server) -> None:
        connect(server.url)
        server.answers = [{"status": 503}, {"status": 502}]
        assert await waits_for("numbers", "up")[0] == 1.0
        assert len(server.asked) == 3
        server.answers = [{"status": 503}] * 3
        with pytest.raises(ClientUnavailable, match="answered 503"):
            await waits_for("numbers", "up")[0]
        assert len(server.asked) == 6
        server.answers = [{"status": 400, "text": "parse error"}]
        with pytest.raises(ClientRejected, match="parse error"):
            await waits_for("numbers", "up")[0]
        assert len(server.asked) == 7

    on_a_loop(test)


def test_a_source_that_asks_for_rest_gets_it_from_everybody(connect: Callable[..., None]) -> None:
    async def test(server: Server) -> None:
        connect(server.url)
        server.answers = [{"status": 429, "headers": {"Retry-After": "1"}}]
        async with numbers("prometheus", "numbers"):
            began = time.monotonic()
            assert await asyncio.gather(*waits_for("numbers", "up", "up + 1")) == [1.0, 1.0]
            assert time.monotonic() - began >= 1
            server.answers = [{"status": 429, "headers": {"Retry-After": "3600"}}]
            with pytest.raises(ClientUnavailable, match="answered 429"):
                await waits_for("numbers", "up")[0]
            asked = len(server.asked)
            with pytest.raises(
                ClientUnavailable, match=r"asked to be left alone for another (599|600) s"
            ) as told:
                await waits_for("numbers", "up + 2")[0]
            assert told.value.retry_after == pytest.approx(600, abs=5)
            assert len(server.asked) == asked

    on_a_loop(test)


def test_a_connection_that_was_changed_is_used_without_a_restart(
    connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(old: Server) -> None:
        async with serving() as new:
            connect(old.url)
            old.gate.clear()
            monkeypatch.setattr(module, "FRESH_S", 0.0)
            async with numbers("prometheus", "numbers"):
                (before,) = waits_for("numbers", "up")
                await old.until(1)
                connect(new.url)
                assert await waits_for("numbers", "up + 1")[0] == 1.0
                assert (old.asked, new.asked) == (["up"], ["up + 1"])
                old.gate.set()
                assert await before == 1.0

    on_a_loop(test)


def test_a_login_that_is_refused_is_read_again(connect: Callable[..., None]) -> None:
    async def test(server: Server) -> None:
        connect(server.url, login="reader", password="old")
        server.answers = [{"status": 401}]
        async with numbers("prometheus", "numbers"):
            with pytest.raises(ClientRejected, match="401"):
                await waits_for("numbers", "up")[0]
            connect(server.url, login="reader", password="new")
            assert await waits_for("numbers", "up")[0] == 1.0
        assert len(server.connections) == 2

    on_a_loop(test)


def test_a_connection_that_is_not_there_and_a_client_that_breaks_are_errors_with_words(
    connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(server: Server) -> None:
        with pytest.raises(ClientUnavailable, match="cannot read connection 'nowhere' of Prometheus"):
            await waits_for("nowhere", "up")[0]
        connect(server.url, extra={"token": "größer"})
        with pytest.raises(ClientRejected, match="has a character that no header can have") as told:
            await waits_for("numbers", "up")[0]
        assert "größer" not in str(told.value)
        connect("http://xn--a-ecp.ru")
        with pytest.raises(ClientUnavailable, match="what connection 'numbers' says can't be used"):
            await waits_for("numbers", "up")[0]
        assert await asyncio.gather(*waits_for("numbers"), return_exceptions=True) == []

    on_a_loop(test)


def test_connections_are_closed_when_nobody_waits(connect: Callable[..., None]) -> None:
    async def test(server: Server) -> None:
        connect(server.url)
        assert await waits_for("numbers", "up")[0] == 1.0
        assert await waits_for("numbers", "up")[0] == 1.0
        assert len(server.connections) == 2
        async with numbers("prometheus", "numbers") as poller:
            assert isinstance(poller, Poller)

    on_a_loop(test)

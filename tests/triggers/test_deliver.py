"""Delivering for a while, with one channel that never answers beside one that does."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from relman_plugins.domain.identity import Actor
from relman_plugins.ledger.api import Ledger
from relman_plugins.plan.model import Options, ReleasePlan
from relman_plugins.plan.routing import Route
from relman_plugins.testing.slack import TOKEN, SlackServer
from relman_plugins.triggers.deliver import DeliverTrigger
from tests.ledger.make import make_shape
from tests.waiting import eventually


@pytest.fixture
def silent() -> Iterator[int]:
    """A mail server that takes connections and says nothing."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(16)
        yield listening.getsockname()[1]


async def _run(seconds: float, meanwhile: Callable[[], Any]) -> dict[str, Any]:
    trigger = DeliverTrigger(seconds=seconds, deferred_at=time.time(), minimum_s=0)
    looking = asyncio.create_task(asyncio.to_thread(meanwhile))
    async for event in trigger.run():
        await looking
        return dict(event.payload)
    raise AssertionError("no event")


def test_a_channel_that_hangs_holds_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, silent: int
) -> None:
    monkeypatch.setenv("AIRFLOW__RELMAN__HOME", str(tmp_path))
    monkeypatch.setenv("AIRFLOW__RELMAN__MINIMUM_DEFERRAL", "0")
    monkeypatch.setenv("AIRFLOW__RELMAN__NOTIFIERS", "{no JSON")
    monkeypatch.setenv("AIRFLOW__RELMAN__BASE_URL", "https://airflow.example")
    extra = {"disable_ssl": True, "disable_tls": True, "from_email": "r@x.example", "timeout": 15}
    mail = {"conn_type": "smtp", "host": "127.0.0.1", "port": silent, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(mail))
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    ledger.migrate()
    routes = (
        Route(channel="email", addresses=("ops@x.example",)),
        Route(channel="pager", addresses=("",)),
        Route(channel="slack", addresses=("#releases",), connection="another_slack"),
    )
    shape = make_shape().model_copy(update={"routes": routes})
    with SlackServer() as server:
        slack = {"conn_type": "slack", "password": TOKEN, "extra": {"base_url": server.base_url}}
        monkeypatch.setenv("AIRFLOW_CONN_RELMAN_SLACK", json.dumps(slack))
        monkeypatch.setenv("AIRFLOW_CONN_ANOTHER_SLACK", json.dumps(slack))
        ledger.open_release(
            plan=ReleasePlan(shape=shape, options=Options(version="1.0.0")),
            dag_id="release__checkout",
            run_id="run-1",
            started_by=Actor(kind="person", id="carol", via="airflow"),
            conf={},
        )
        seen: list[int] = []

        def look() -> None:
            for channel in ("#rel-checkout", "#releases"):
                eventually(lambda channel=channel: len(server.messages(channel)) == 2, channel)
            seen.append(ledger.outbox.pending())

        payload = asyncio.run(asyncio.wait_for(_run(6, look), 60))
        assert seen
        assert payload["sent"] == 2
        assert "airflow.example/dags/release__checkout" in str(server.messages())
    assert {(b.channel, b.pending) for b in ledger.outbox.backlog()} == {("email", 1), ("pager", 1)}
    assert "[relman] notifiers is not valid JSON" in next(
        b.error or "" for b in ledger.outbox.backlog() if b.channel == "pager"
    )
    ledger.close()

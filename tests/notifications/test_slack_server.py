"""The Slack server is worth testing against: it answers slack_sdk and the provider's hook as Slack does."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from slack_sdk import WebClient  # noqa: TID253 - as a user of the server
from slack_sdk.errors import SlackApiError  # noqa: TID253 - as a user of the server

from relman_plugins.ledger.api import Ledger, ReleaseRecord
from relman_plugins.notifications.outbox import drain
from relman_plugins.notifications.slack import Slack, SlackRefused, connect
from relman_plugins.testing.slack import TOKEN, SlackServer, channel_id

NOW = datetime(2100, 1, 1, tzinfo=UTC)
NAME = "#rel-checkout"
ID = channel_id(NAME)


@pytest.fixture
def client(server: SlackServer) -> WebClient:
    return WebClient(token=TOKEN, base_url=server.base_url, retry_handlers=[])


def code(call: Callable[[], Any]) -> str:
    with pytest.raises(SlackApiError) as caught:
        call()
    return str(caught.value.response["error"])


def section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def test_a_conversation_through_the_sdk(client: WebClient, server: SlackServer) -> None:
    assert client.auth_test()["user"] == "relman"
    metadata = {"event_type": "relman_event", "event_payload": {"key": "k1"}}
    parent = client.chat_postMessage(channel=NAME, text="one", blocks=[section("one")], metadata=metadata)
    assert parent["channel"] == ID
    for i in range(3):
        client.chat_postMessage(channel=ID, text=f"answer {i}", thread_ts=parent["ts"])
    client.chat_update(channel=ID, ts=parent["ts"], text="uno", blocks=[section("uno")])
    history = client.conversations_history(channel=ID)["messages"]
    assert [m["text"] for m in history] == ["uno"]
    assert "metadata" not in history[0]
    replies = client.conversations_replies(channel=ID, ts=parent["ts"], limit=3)
    assert [m["text"] for m in replies["messages"]] == ["uno", "answer 0", "answer 1"]
    cursor = replies["response_metadata"]["next_cursor"]
    rest = client.conversations_replies(channel=ID, ts=parent["ts"], limit=3, cursor=cursor)
    assert [m["text"] for m in rest["messages"]] == ["answer 2"]
    assert client.users_info(user="U01ALICE")["user"]["id"] == "U01ALICE"
    assert server.transcript().splitlines()[:3] == ["#rel-checkout", "  ● uno (edited)", "      ↳ answer 0"]


def test_metadata_is_returned_when_asked_for(client: WebClient) -> None:
    metadata = {"event_type": "relman_event", "event_payload": {"key": "k1"}}
    client.chat_postMessage(channel=NAME, text="one", metadata=metadata)
    found = client.conversations_history(channel=ID, include_all_metadata=True)["messages"][0]
    assert found["metadata"]["event_payload"] == {"key": "k1"}


def test_form_encoding_is_understood_as_well(server: SlackServer) -> None:
    form = {"channel": NAME, "text": "form", "blocks": json.dumps([section("x")]), "token": TOKEN}
    answer = httpx.post(server.base_url + "chat.postMessage", data=form).json()
    assert answer["ok"]
    assert answer["message"]["blocks"] == [section("x")]


REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("channel_not_found", {"channel": "#nowhere", "text": "x"}),
    ("no_text", {"channel": NAME, "text": "", "blocks": []}),
    ("msg_too_long", {"channel": NAME, "text": "x" * 40_001}),
    ("thread_not_found", {"channel": NAME, "text": "x", "thread_ts": "1.000000"}),
    ("invalid_blocks", {"channel": NAME, "text": "x", "blocks": [section("y" * 3001)]}),
    ("invalid_blocks", {"channel": NAME, "text": "x", "blocks": [section("")]}),
    ("invalid_blocks", {"channel": NAME, "text": "x", "blocks": [{"type": "divider"}] * 51}),
    ("invalid_blocks", {"channel": NAME, "text": "x", "blocks": [{"type": "nonsense"}]}),
    ("invalid_metadata_format", {"channel": NAME, "text": "x", "metadata": {"event_type": "a b"}}),
]


@pytest.mark.parametrize(("error", "arguments"), REFUSED)
def test_limits_are_enforced(
    client: WebClient, server: SlackServer, error: str, arguments: dict[str, Any]
) -> None:
    assert code(lambda: client.chat_postMessage(**arguments)) == error
    assert server.messages() == []


def test_limits_themselves_pass(client: WebClient) -> None:
    blocks = [section("y" * 3000), *([{"type": "divider"}] * 49)]
    assert client.chat_postMessage(channel=NAME, text="x" * 40_000, blocks=blocks)["ok"]


def test_names_are_for_posting_only(client: WebClient) -> None:
    ts = client.chat_postMessage(channel=NAME, text="x")["ts"]
    assert code(lambda: client.chat_update(channel=NAME, ts=ts, text="y")) == "channel_not_found"
    assert code(lambda: client.conversations_history(channel=NAME)) == "channel_not_found"
    assert code(lambda: client.chat_update(channel=ID, ts="1.000000", text="y")) == "message_not_found"


def test_tokens_are_checked(server: SlackServer) -> None:
    assert code(WebClient(token="xoxb-no", base_url=server.base_url).auth_test) == "invalid_auth"
    assert code(WebClient(base_url=server.base_url).auth_test) == "not_authed"
    assert (
        code(lambda: WebClient(token=TOKEN, base_url=server.base_url).api_call("no.such")) == "unknown_method"
    )


def test_the_rate_limit_answers_429_with_retry_after() -> None:
    with SlackServer(rate=0.1, burst=2) as server:
        client = WebClient(token=TOKEN, base_url=server.base_url)
        for _ in range(2):
            client.chat_postMessage(channel=NAME, text="x")
        with pytest.raises(SlackApiError) as caught:
            client.chat_postMessage(channel=NAME, text="x")
        assert caught.value.response.status_code == 429
        assert 1 <= int(caught.value.response.headers["Retry-After"]) <= 10
        assert client.chat_postMessage(channel="#releases", text="other channels have their own")["ok"]


def test_faults_are_switched_over_http(client: WebClient, server: SlackServer) -> None:
    fault = {"kind": "server_error", "count": 1, "method": "auth.test"}
    assert httpx.post(server.url + "/_fault", json=fault).json() == {"ok": True}
    with pytest.raises(SlackApiError) as caught:
        client.auth_test()
    assert caught.value.response.status_code == 503
    assert client.auth_test()["ok"]


def test_messages_survive_the_server(tmp_path: Path) -> None:
    for text in ("one", "two"):
        with SlackServer(store=tmp_path / "slack.jsonl") as server:
            client = WebClient(token=TOKEN, base_url=server.base_url)
            client.chat_postMessage(channel=NAME, text=text)
    assert [m["text"] for m in server.messages()] == ["one", "two"]
    assert server.messages()[0]["ts"] < server.messages()[1]["ts"]


def test_the_program_says_where_it_is_and_stops_when_told(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    os.mkfifo(tmp_path / "ready.json.tmp")
    command = [sys.executable, "-m", "relman_plugins.testing.slack", "--ready-file", str(ready)]
    process = subprocess.Popen([*command, "--store", str(tmp_path / "s"), "--channel", "#only"])
    try:
        # Reading the pipe waits until the program writes what becomes the ready file.
        where = json.loads((tmp_path / "ready.json.tmp").read_text())
        client = WebClient(token=TOKEN, base_url=where["base_url"])
        assert client.chat_postMessage(channel="#only", text="hello")["ok"]
        assert where["pid"] == process.pid
        text = httpx.get(where["url"] + "/_transcript", params={"format": "text"}).text
        assert text == "#only\n  ● hello\n"
    finally:
        process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) in (0, -signal.SIGTERM)


@pytest.fixture
def hook(server: SlackServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Slack:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    connection = {"conn_type": "slack", "password": TOKEN, "extra": {"base_url": server.base_url}}
    monkeypatch.setenv("AIRFLOW_CONN_RELMAN_SLACK", json.dumps(connection))
    return connect()


def test_a_release_is_told_through_the_providers_hook(
    hook: Slack, server: SlackServer, ledger: Ledger, opened: Callable[..., ReleaseRecord]
) -> None:
    opened()
    server.fault("server_error_after", method="chat.postMessage")
    assert drain(ledger, hook, NOW).failed == 1
    result = drain(ledger, hook, NOW.replace(year=2101))
    assert (result.sent, result.pending) == (1, 0)
    assert len(server.messages()) == 2


def test_a_connection_that_is_missing_is_an_error_like_any_other(
    ledger: Ledger, opened: Callable[..., ReleaseRecord], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_NO_TOKEN", json.dumps({"conn_type": "slack"}))
    opened()
    result = drain(ledger, connect("no_token"), NOW)
    assert (result.sent, result.failed) == (0, 1)
    assert "no_token" in result.errors[0]


def test_a_channel_is_found_by_name_for_looking(server: SlackServer, slack: Slack) -> None:
    posted = slack.post(NAME, "x", [], metadata={"event_type": "e", "event_payload": {"key": "k"}})
    fresh = Slack(WebClient(token=TOKEN, base_url=server.base_url, retry_handlers=[]).api_call)
    assert fresh.find(NAME, None, "k") == posted
    assert fresh.find(NAME, None, "other") is None
    with pytest.raises(SlackRefused) as caught:
        fresh.find("#nowhere", None, "k")
    assert caught.value.code == "channel_not_found"


@pytest.fixture
def forgetful(server: SlackServer) -> Iterator[str]:
    """A way to the server that takes the first request along, and hangs up instead of bringing the answer."""
    listening = socket.create_server(("127.0.0.1", 0))
    port = httpx.URL(server.url).port

    def serve() -> None:
        for i in range(100):
            try:
                inner, _ = listening.accept()
            except OSError:
                return
            with inner, socket.create_connection(("127.0.0.1", port)) as outer:
                request = inner.recv(65536)
                while b"\r\n\r\n" not in request or (b"ost" in request[:4].lower() and not _whole(request)):
                    request += inner.recv(65536)
                outer.sendall(request)
                answer = b""
                while chunk := outer.recv(65536):
                    answer += chunk
                if i:
                    inner.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}/api/"
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    thread.join(timeout=10)


def _whole(request: bytes) -> bool:
    head, _, body = request.partition(b"\r\n\r\n")
    length = next((h for h in head.lower().split(b"\r\n") if h.startswith(b"content-length:")), b":0")
    return len(body) >= int(length.partition(b":")[2])


def test_a_hung_up_answer_is_not_repeated_behind_our_back(
    forgetful: str,
    server: SlackServer,
    ledger: Ledger,
    opened: Callable[..., ReleaseRecord],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connection = {"conn_type": "slack", "password": TOKEN, "extra": {"base_url": forgetful}}
    monkeypatch.setenv("AIRFLOW_CONN_RELMAN_SLACK", json.dumps(connection))
    opened()
    drain(ledger, connect(), NOW)
    drain(ledger, connect(), NOW.replace(year=2101))
    assert len([m for m in server.messages() if "thread_ts" not in m]) == 1
    assert len([m for m in server.messages() if "thread_ts" in m]) == 1


def test_where_any_channel_may_be_named_it_is_made_and_survives_the_server(tmp_path: Path) -> None:
    for text in ("one", "two"):
        with SlackServer(store=tmp_path / "slack.jsonl", founds=True) as server:
            client = WebClient(token=TOKEN, base_url=server.base_url, retry_handlers=[])
            posted = client.chat_postMessage(channel="#rel-rates", text="draft")
            client.chat_update(channel=channel_id("rel-rates"), ts=posted["ts"], text=text)
            with pytest.raises(SlackApiError, match="channel_not_found"):
                client.chat_postMessage(channel="Not a name", text="x")
    assert [m["text"] for m in server.messages("rel-rates")] == ["one", "two"]

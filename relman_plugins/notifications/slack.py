"""Slack as the outbox uses it: three calls, and errors that say whether trying again helps.

``connect`` makes it from an Airflow connection. Whoever makes the client otherwise must switch off
slack_sdk's own retries (``retry_handlers=[]``): they repeat a message whose answer got lost, and then it is
there twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from relman_plugins.clients.http import retry_after_s
from relman_plugins.errors import ClientRejected, ClientUnavailable
from relman_plugins.notifications.blocks import Block
from relman_plugins.plan.routing import CONNECTIONS, SLACK

TIMEOUT_S = 10
"""How long one call may take."""

EVENT_TYPE = "relman_event"
"""Type of the metadata that carries the key of an event; the payload is ``{"key": …}``."""

RETRY_AFTER_S = 30.0
"""How long to wait when Slack asks for a pause and does not say how long."""

_PAGES = 20
_PAGE = 200
_CHANNEL_ID = re.compile(r"[CGD][A-Z0-9]{8,}")
_TOKEN = re.compile(r"xox[a-z]-[\w-]+")


class Posted(NamedTuple):
    """Where a message is."""

    channel_id: str
    ts: str


class SlackRefused(ClientRejected):
    """Slack answered, and said no; ``code`` is its word for why, such as ``channel_not_found``."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class RateLimited(ClientUnavailable):
    """Slack asks for a pause of ``pause_s`` seconds; the call was not carried out."""

    def __init__(self, message: str, pause_s: float) -> None:
        super().__init__(message, pause_s)
        self.pause_s = pause_s


class SlackLike(Protocol):
    """What the outbox needs.

    Every method raises ``RateLimited``, ``SlackRefused``, or ``ClientUnavailable`` when it is not known
    whether the call was carried out.
    """

    def post(
        self,
        channel: str,
        text: str,
        blocks: list[Block],
        thread_ts: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> Posted:
        """Post a message to a channel (id or ``#name``), or into the thread of one."""

    def update(self, channel_id: str, ts: str, text: str, blocks: list[Block]) -> None:
        """Replace a message."""

    def find(self, channel: str, thread_ts: str | None, key: str) -> Posted | None:
        """Look for a message by the key in its metadata, in a thread or among the channel's latest."""


class Slack:
    """The real one, over ``slack_sdk``'s ``WebClient.api_call`` or the provider's ``SlackHook.call``."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call
        self._ids: dict[str, str] = {}

    def post(
        self,
        channel: str,
        text: str,
        blocks: list[Block],
        thread_ts: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> Posted:
        """Post a message; links in it are not unfurled."""
        body: dict[str, Any] = {
            "channel": channel,
            "text": text,
            "thread_ts": thread_ts,
            "metadata": metadata,
            "unfurl_links": False,
            "unfurl_media": False,
        }
        if blocks:
            body["blocks"] = blocks
        answer = self._ask("chat.postMessage", json={k: v for k, v in body.items() if v is not None})
        self._ids[channel] = str(answer["channel"])
        return Posted(str(answer["channel"]), str(answer["ts"]))

    def update(self, channel_id: str, ts: str, text: str, blocks: list[Block]) -> None:
        """Replace a message."""
        self._ask("chat.update", json={"channel": channel_id, "ts": ts, "text": text, "blocks": blocks})

    def find(self, channel: str, thread_ts: str | None, key: str) -> Posted | None:
        """Look for a message in a thread, or among the latest some thousand of a channel."""
        channel_id = self._id_of(channel)
        fields = {"channel": channel_id, "limit": _PAGE, "include_all_metadata": True}
        method = "conversations.history"
        if thread_ts is not None:
            fields["ts"], method = thread_ts, "conversations.replies"
        for answer in self._pages(method, fields):
            for message in answer.get("messages") or []:
                metadata = message.get("metadata") or {}
                if (metadata.get("event_payload") or {}).get("key") == key:
                    return Posted(channel_id, str(message["ts"]))
        return None

    def _id_of(self, channel: str) -> str:
        if _CHANNEL_ID.fullmatch(channel):
            return channel
        if channel not in self._ids:
            fields = {"limit": _PAGE, "exclude_archived": True, "types": "public_channel,private_channel"}
            wanted = channel.removeprefix("#")
            for answer in self._pages("conversations.list", fields):
                for known in answer.get("channels") or []:
                    if known.get("name") == wanted:
                        self._ids[channel] = str(known["id"])
                        return self._ids[channel]
            raise SlackRefused(f"Slack knows no channel {channel}", "channel_not_found")
        return self._ids[channel]

    def _pages(self, method: str, fields: dict[str, Any]) -> Any:
        cursor = ""
        for _ in range(_PAGES):
            answer = self._ask(
                method, http_verb="GET", params=fields | ({"cursor": cursor} if cursor else {})
            )
            yield answer
            cursor = (answer.get("response_metadata") or {}).get("next_cursor") or ""
            if not cursor:
                return

    def _ask(self, method: str, **kwargs: Any) -> dict[str, Any]:
        from slack_sdk.errors import SlackApiError

        try:
            answer = self._call(method, **kwargs)
        except SlackApiError as error:
            raise _meant(method, error) from error
        except Exception as error:
            # Whatever keeps us from telling (no connection, no network, a broken answer) must stay here.
            said = _TOKEN.sub("xox…", str(error)) or type(error).__name__
            raise ClientUnavailable(f"{method}: {said}") from error
        data: dict[str, Any] = answer.data
        return data


def connect(connection: str = CONNECTIONS[SLACK]) -> Slack:
    """Make it from an Airflow connection of type ``slack``; connects at the first call."""
    from airflow.providers.slack.hooks.slack import SlackHook

    return Slack(SlackHook(slack_conn_id=connection, timeout=TIMEOUT_S, retry_handlers=[]).call)


def _meant(method: str, error: Any) -> Exception:
    answer = error.response
    status, data = answer.status_code, answer.data if isinstance(answer.data, dict) else {}
    code = str(data.get("error") or "unknown_error")
    if status == 429 or code in ("ratelimited", "rate_limited"):
        headers = {k.lower(): v for k, v in dict(answer.headers).items()}
        pause = retry_after_s(headers.get("retry-after"))
        pause = RETRY_AFTER_S if pause is None else pause
        return RateLimited(f"{method}: Slack asks for a pause of {pause:.0f} s", pause)
    if status >= 500 or code in ("internal_error", "fatal_error", "service_unavailable", "request_timeout"):
        return ClientUnavailable(f"{method}: Slack answered {status}")
    details = "; ".join((data.get("response_metadata") or {}).get("messages") or [])
    return SlackRefused(f"{method}: {code}{': ' + details if details else ''}"[:500], code)

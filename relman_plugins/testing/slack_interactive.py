"""Members of the workspace who press buttons and type commands: what Slack sends, signed as Slack signs it.

A press is a POST of ``application/x-www-form-urlencoded`` with one field, ``payload``, to the address that
the app's configuration names, with an HMAC of time stamp and body. Slack waits three seconds for the answer;
so does this. A command is such a POST too, with fields of its own, to the address that its configuration
names; the answer is what the member sees. Sources: "Handling user interaction", "Implementing slash
commands", "Verifying requests from Slack", ``views.open``.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlencode

from relman_plugins.clients.http import client
from relman_plugins.errors import ClientError
from relman_plugins.testing.slack_rules import Refusal, check_message
from relman_plugins.testing.slack_store import Message, Store
from relman_plugins.testing.slack_views import check_view

SECRET = "relman-testing-signing-secret"  # noqa: S105 - of this server only
"""The signing secret when none is configured."""

PATIENCE_S = 3.0
"""How long Slack waits for an app's answer, and how long a trigger may open a form, in seconds."""


class Answer(NamedTuple):
    """What the app answered; ``status`` 0 is no answer in time, which Slack shows as a warning."""

    status: int
    body: str


class Request(NamedTuple):
    """A signed request, as it goes over the wire."""

    body: bytes
    headers: dict[str, str]


@dataclass
class Interactive:
    """The part of a workspace that answers back."""

    store: Store
    url: str = ""
    """Request URL of the app's configuration; empty: presses go nowhere."""
    commands: str = ""
    """Request URL of the command ``/relman``; empty: there is none."""
    secret: str = SECRET
    clock: Callable[[], float] = time.time
    patience_s: float = PATIENCE_S
    """More than Slack's own where the app has to share its machine with too much else."""
    private: list[dict[str, Any]] = field(default_factory=list)
    """What only one member sees: ``{channel, user, text, thread_ts}``, oldest first."""
    views: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Forms that are open, by id."""
    _triggers: dict[str, float] = field(default_factory=dict)

    def post_ephemeral(self, given: dict[str, Any]) -> dict[str, Any]:
        """Answer ``chat.postEphemeral``."""
        channel = self.store.resolve(given.get("channel"), names=True)
        user, text = str(given.get("user") or ""), given.get("text")
        if not user.startswith(("U", "W")):
            raise Refusal("user_not_in_channel")
        if not isinstance(text, str) or not text:
            raise Refusal("no_text")
        kept = {"channel": channel, "user": user, "text": text, "thread_ts": given.get("thread_ts")}
        self.private.append(kept)
        return {"message_ts": f"{self.clock():.6f}"}

    def open_view(self, given: dict[str, Any]) -> dict[str, Any]:
        """Answer ``views.open``: a trigger opens one form, within three seconds."""
        since = self._triggers.pop(str(given.get("trigger_id") or ""), None)
        if since is None:
            raise Refusal("invalid_trigger_id")
        if self.clock() - since > self.patience_s:
            raise Refusal("expired_trigger_id")
        check_view(given.get("view"))
        view = {"id": f"V{uuid.uuid4().hex[:10].upper()}", **given["view"]}
        self.views[view["id"]] = view
        return {"view": view}

    def pressing(self, user: str, action_id: str, channel: str, ts: str) -> Request:
        """Return what Slack sends when a member presses a button of a message."""
        message = next(m for m in self.store.messages(channel) if m["ts"] == ts)
        action = next(a for a in buttons_of(message) if a["action_id"] == action_id)
        trigger = f"{int(self.clock())}.{uuid.uuid4().int % 10**12}.{uuid.uuid4().hex}"
        self._triggers[trigger] = self.clock()
        return self.signed(
            {
                "type": "block_actions",
                "user": {"id": user, "username": user.lower(), "name": user.lower(), "team_id": "T0RELMAN"},
                "api_app_id": "A0RELMAN",
                "container": {
                    "type": "message",
                    "message_ts": ts,
                    "channel_id": channel,
                    "is_ephemeral": False,
                    **({"thread_ts": message["thread_ts"]} if "thread_ts" in message else {}),
                },
                "trigger_id": trigger,
                "team": {"id": "T0RELMAN", "domain": "relman"},
                "channel": {"id": channel, "name": self.store.channels.get(channel, "")},
                "message": message,
                "response_url": "https://hooks.slack.com/actions/T0RELMAN/1/relman",
                "actions": [{**action, "action_ts": f"{self.clock():.6f}"}],
            }
        )

    def sending(self, user: str, view_id: str, **fields: str) -> Request:
        """Return what Slack sends when a member sends a form; ``fields`` are by block id."""
        view = self.views[view_id]
        values = {
            block["block_id"]: {
                block["element"]["action_id"]: _filled(block["element"], fields.get(block["block_id"], ""))
            }
            for block in view["blocks"]
            if block["type"] == "input"
        }
        return self.signed(
            {
                "type": "view_submission",
                "team": {"id": "T0RELMAN", "domain": "relman"},
                "user": {"id": user, "username": user.lower(), "name": user.lower(), "team_id": "T0RELMAN"},
                "api_app_id": "A0RELMAN",
                "trigger_id": f"{int(self.clock())}.1.{uuid.uuid4().hex}",
                "view": {**view, "state": {"values": values}},
                "response_urls": [],
            }
        )

    def typing(self, user: str, text: str, channel: str, secret: str = "") -> Request:
        """Return what Slack sends when a member types ``/relman`` and a text in a channel."""
        for char, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
            text = text.replace(char, entity)
        fields = {
            "team_id": "T0RELMAN",
            "team_domain": "relman",
            "channel_id": channel,
            "channel_name": self.store.channels.get(channel, "directmessage"),
            "user_id": user,
            "user_name": user.lower(),
            "command": "/relman",
            "text": text,
            "api_app_id": "A0RELMAN",
            "is_enterprise_install": "false",
            "response_url": "https://hooks.slack.com/commands/T0RELMAN/1/relman",
            "trigger_id": f"{int(self.clock())}.1.{uuid.uuid4().hex}",
        }
        return self._signed(fields, secret)

    def signed(self, payload: Any, secret: str = "", at: float | None = None) -> Request:
        """Return a request with any payload, signed; by default with the app's secret, now."""
        text = payload if isinstance(payload, str) else json.dumps(payload)
        return self._signed({"payload": text}, secret, at)

    def _signed(self, fields: Mapping[str, str], secret: str, at: float | None = None) -> Request:
        from slack_sdk.signature import SignatureVerifier

        body = urlencode(fields).encode()
        stamp = str(int(self.clock() if at is None else at))
        signature = SignatureVerifier(secret or self.secret).generate_signature(timestamp=stamp, body=body)
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Slack-Request-Timestamp": stamp,
            "X-Slack-Signature": str(signature),
        }
        return Request(body, headers)

    def deliver(self, request: Request, to: str | None = None) -> Answer:
        """Send a request to the app, by default where presses go, and return its answer."""
        url = self.url if to is None else to
        if not url:
            return Answer(0, "")
        try:
            with client(url, timeout=self.patience_s) as http:
                answer = http.request("POST", url, content=request.body, headers=request.headers)
        except ClientError:
            return Answer(0, "")
        return Answer(answer.status_code, answer.text)

    def press(self, user: str, action_id: str, channel: str, ts: str) -> Answer:
        """Press a button."""
        return self.deliver(self.pressing(user, action_id, channel, ts))

    def type(self, user: str, text: str, channel: str) -> Answer:
        """Type ``/relman`` and a text; raise ``Refusal`` where Slack would not show what the app answers."""
        answer = self.deliver(self.typing(user, text, channel), self.commands)
        if answer.status == 200 and answer.body:
            said = json.loads(answer.body)
            check_message(said["text"], said.get("blocks"), None)
        return answer

    def send(self, user: str, view_id: str, **fields: str) -> Answer:
        """Send a form; it closes unless the app finds something wrong."""
        answer = self.deliver(self.sending(user, view_id, **fields))
        if answer.status == 200 and "response_action" not in answer.body:
            del self.views[view_id]
        return answer


def _filled(element: dict[str, Any], given: str) -> dict[str, Any]:
    """Return what an element holds: text, a time in seconds since 1970, or a choice among its options."""
    if element["type"] == "datetimepicker":
        return {"type": element["type"], "selected_date_time": int(given) if given else None}
    if element["type"] != "static_select":
        return {"type": element["type"], "value": given or None}
    chosen = next((o for o in element["options"] if o["value"] == given), None)
    return {"type": element["type"], "selected_option": chosen}


def buttons_of(message: Message) -> Iterator[dict[str, Any]]:
    """Yield the buttons of a message."""
    for block in message.get("blocks") or []:
        if block.get("type") == "actions":
            for element in block["elements"]:
                if element["type"] == "button":
                    yield {"block_id": block.get("block_id", ""), **element}

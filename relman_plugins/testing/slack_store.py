"""What a Slack workspace remembers: channels and their messages, kept in one file of JSON lines."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from relman_plugins.testing.slack_rules import Refusal

Message = dict[str, Any]
"""As Slack returns it: ``ts``, ``text``, ``blocks``, ``metadata``, ``thread_ts`` in a thread, ``edited``."""


class Store:
    """Channels and messages. Every change is appended to ``path``, when given, and read back from there."""

    def __init__(
        self,
        channels: Iterable[str],
        path: Path | None = None,
        clock: Callable[[], float] = time.time,
        *,
        founds: bool = False,
    ) -> None:
        """Open the workspace.

        Args:
            channels: Names, with or without ``#``.
            path: File of JSON lines; None keeps everything in memory.
            clock: Seconds since 1970, for the messages' time stamps.
            founds: Whether a channel that is not there is made when its name is asked for. Slack's own are
                made by people; for trying relman, whatever a spec names is there.
        """
        self._founds = founds
        self.channels = {channel_id(name): name.lstrip("#") for name in channels}
        self._messages: dict[str, dict[str, Message]] = {channel: {} for channel in self.channels}
        self._path = path
        self._clock = clock
        self._last = 0
        if path is not None and path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                entry = json.loads(line)
                if "name" in entry:
                    self.channels[entry["channel"]] = entry["name"]
                else:
                    self._keep(entry["channel"], entry["message"])

    def resolve(self, channel: Any, *, names: bool) -> str:
        """Return the id of a channel; ``names`` says whether its name is accepted as well."""
        if channel in self.channels:
            return str(channel)
        wanted = str(channel or "").removeprefix("#")
        found = next((i for i, name in self.channels.items() if name == wanted), None) if names else None
        if found is None and names and self._founds and re.fullmatch(r"[a-z0-9_-]{1,80}", wanted):
            found = channel_id(wanted)
            self.channels[found] = wanted
            self._messages.setdefault(found, {})
            self._append({"channel": found, "name": wanted})
        if found is None:
            raise Refusal("channel_not_found")
        return found

    def post(self, channel: str, message: Message) -> Message:
        """Add a message; an answer in a thread needs a parent."""
        thread = message.get("thread_ts")
        if thread is not None and thread not in self._messages[channel]:
            raise Refusal("thread_not_found")
        # Time stamps name messages, so that two in the same microsecond must still differ.
        self._last = max(self._last + 1, int(self._clock() * 1e6))
        ts = f"{self._last // 1_000_000}.{self._last % 1_000_000:06d}"
        return self._write(channel, {"type": "message", "ts": ts, **message})

    def update(self, channel: str, ts: str, changes: Message) -> Message:
        """Change a message in place."""
        before = self._messages[channel].get(ts)
        if before is None:
            raise Refusal("message_not_found")
        edits = before.get("edited", {}).get("count", 0) + 1
        return self._write(channel, {**before, **changes, "edited": {"ts": ts, "count": edits}})

    def messages(self, channel: str) -> list[Message]:
        """Return everything that was said in a channel, oldest first."""
        return list(self._messages[channel].values())

    def history(self, channel: str) -> list[Message]:
        """Return the messages outside threads, newest first."""
        return [m for m in reversed(self._messages[channel].values()) if "thread_ts" not in m]

    def replies(self, channel: str, ts: str) -> list[Message]:
        """Return a message and its thread, oldest first."""
        if ts not in self._messages[channel]:
            raise Refusal("thread_not_found")
        return [m for m in self._messages[channel].values() if ts in (m["ts"], m.get("thread_ts"))]

    def transcript(self) -> list[dict[str, Any]]:
        """Return the channels that have messages: ``{id, name, messages}``, oldest message first."""
        return [
            {"id": channel, "name": self.channels.get(channel, channel), "messages": list(messages.values())}
            for channel, messages in self._messages.items()
            if messages
        ]

    def _write(self, channel: str, message: Message) -> Message:
        self._append({"channel": channel, "message": message})
        self._keep(channel, message)
        return message

    def _append(self, entry: dict[str, Any]) -> None:
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")

    def _keep(self, channel: str, message: Message) -> None:
        self._messages.setdefault(channel, {})[message["ts"]] = message
        seconds, _, micro = message["ts"].partition(".")
        self._last = max(self._last, int(seconds) * 1_000_000 + int(micro))


def channel_id(name: str) -> str:
    """Return the id a channel has in every such workspace: a function of its name."""
    return "C" + hashlib.sha256(name.lstrip("#").encode()).hexdigest()[:9].upper()


def render_transcript(channels: Iterable[dict[str, Any]]) -> str:
    """Render what ``Store.transcript`` returned as a reader sees it, threads indented under their parent."""
    lines: list[str] = []
    for channel in channels:
        lines.append(f"#{channel['name']}")
        answers: dict[str, list[Message]] = {}
        for message in channel["messages"]:
            if "thread_ts" in message:
                answers.setdefault(message["thread_ts"], []).append(message)
        for message in channel["messages"]:
            if "thread_ts" not in message:
                lines += _indented(message, "  ", "● ")
                for answer in answers.get(message["ts"], []):
                    lines += _indented(answer, "      ", "↳ ")
    return "\n".join(lines)


def _indented(message: Message, margin: str, mark: str) -> list[str]:
    text = plain(message)
    if message.get("edited"):
        text += " (edited)"
    first, *rest = text.splitlines() or [""]
    return [margin + mark + first, *(margin + " " * len(mark) + line for line in rest)]


def plain(message: Message) -> str:
    """Return the words of a message without markup: those of its blocks, or else of its text."""
    parts = [_words(block) for block in message.get("blocks") or []]
    return "\n".join(p for p in parts if p) or _unmarked(str(message.get("text", "")))


def _unmarked(text: str) -> str:
    text = re.sub(r"<(@[A-Z0-9]+)>", r"\1", text)
    text = re.sub(r"<[^|>]*\|([^>]*)>", r"\1", text)
    text = re.sub(r"(?<!\w)\*([^*\n]+)\*(?!\w)", r"\1", text).replace("`", "")
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _words(block: Any) -> str:
    if not isinstance(block, dict):
        return ""
    match block.get("type"):
        case "context":
            return "  ".join(_words(e) for e in block["elements"])
        case "actions":
            return "  ".join(f"[{_words(e['text'])}]" for e in block["elements"])
        case "rich_text":
            return "\n".join(_words(e) for e in block["elements"])
        case "rich_text_quote":
            text = "".join(_words(e) for e in block["elements"])
            return "\n".join(f"│ {line}" for line in text.splitlines())
        case "rich_text_section" | "rich_text_preformatted":
            return "".join(_words(e) for e in block["elements"])
        case "text" | "plain_text":
            return str(block["text"])
        case "mrkdwn":
            return _unmarked(str(block["text"]))
    own = _words(block["text"]) if "text" in block else ""
    return "\n".join(p for p in (own, *(_words(f) for f in block.get("fields", []))) if p)

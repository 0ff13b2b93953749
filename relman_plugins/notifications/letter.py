"""An event as a letter: for channels that have neither threads nor messages that can be edited."""

from __future__ import annotations

import hashlib
import html
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from relman_plugins.domain.event import Event
from relman_plugins.domain.severity import severity_of
from relman_plugins.notifications.about import About, asker
from relman_plugins.notifications.blocks import Block
from relman_plugins.notifications.text import one_line
from relman_plugins.notifications.thread import thread_message

if TYPE_CHECKING:
    from relman_plugins.ledger.api import ReleaseRecord

MAX_SUBJECT = 150

_LINK = re.compile(r"<([^<>|]+)(?:\|([^<>]*))?>")
_BOLD = re.compile(r"(?<!\w)\*([^*\n]+)\*(?!\w)")
_CODE = re.compile(r"`([^`\n]*)`")
_PARTS = re.compile(r"(<[^<>]*>|`[^`\n]*`)")


class Letter(NamedTuple):
    """What is sent. All of it is data: nobody's text in it is a template or markup."""

    key: str
    """The event's key: what makes a second copy recognisable."""
    release: str
    event: str
    """Kind of the event."""
    severity: str
    environment: str
    address: str
    connection: str
    """Airflow connection id that the route names; may be empty."""
    subject: str
    """One line."""
    text: str
    html: str
    url: str
    """Where to look in Airflow; may be empty."""


def letter_of(
    release: ReleaseRecord, event: Event, about: About, address: str, connection: str = ""
) -> Letter | None:
    """Return the letter about an event; None for what is only a step on the way."""
    told = thread_message(event, about)
    if told is None:
        return None
    people = [*(event.data.get("people") or []), *(p.model_dump() for p in about.call)]
    names = {p.get("slack"): p.get("name") or p.get("id") for p in people if isinstance(p, dict)}
    url = about.gate_url(asker(event)) if about.can_act else about.run_url
    text = "\n\n".join(filter(None, (_text(block, names) for block in told.blocks)))
    page = "\n".join(filter(None, (_html(block, names) for block in told.blocks)))
    name = f"{release.pipeline} {release.version}"
    if url:
        text += f"\n\n{url}"
        page += f'\n<p><a href="{html.escape(url)}">{html.escape(name)} in Airflow</a></p>'
    return Letter(
        key=event.key,
        release=event.release_id,
        event=event.kind.value,
        severity=severity_of(event.kind, event.step, event.data).value,
        environment=event.environment or "",
        address=address,
        connection=connection,
        subject=one_line(f"{name}: {_text(told.blocks[0], names)}", MAX_SUBJECT),
        text=text,
        html=page,
        url=url,
    )


def message_id(key: str) -> str:
    """Return the ``Message-ID`` of an event or a release: the same for each copy, which mail systems see."""
    return f"<{hashlib.sha256(key.encode()).hexdigest()[:40]}@relman.invalid>"


def _text(block: Block, names: dict[Any, Any]) -> str:
    return "\n".join(_plain(words, names) if parsed else words for words, parsed in _words(block))


def _html(block: Block, names: dict[Any, Any]) -> str:
    tag = "blockquote" if block.get("type") == "rich_text" else "p"
    parts = (_marked(words, names) if parsed else html.escape(words) for words, parsed in _words(block))
    inner = "<br>\n".join(part.replace("\n", "<br>\n") for part in parts)
    return f"<{tag}>{inner}</{tag}>" if inner else ""


def _words(block: Block) -> list[tuple[str, bool]]:
    """Return the texts of a block, and whether Slack would give marks in them a meaning."""
    match block.get("type"):
        case "section":
            return [(block["text"]["text"], True)]
        case "context":
            return [(element["text"], True) for element in block["elements"]]
        case "rich_text":
            return [(part["text"], False) for quote in block["elements"] for part in quote["elements"]]
        case _:
            return []


def _plain(text: str, names: dict[Any, Any]) -> str:
    def link(found: re.Match[str]) -> str:
        target, words = found.group(1), found.group(2)
        if target.startswith("@"):
            return str(names.get(target[1:], target))
        return words or target

    text = _CODE.sub(r"\1", _BOLD.sub(r"\1", _LINK.sub(link, text)))
    return html.unescape(text)


def _marked(text: str, names: dict[Any, Any]) -> str:
    """Return ``mrkdwn``, which is escaped already, as HTML."""

    def link(found: re.Match[str]) -> str:
        target, words = html.unescape(found.group(1)), found.group(2)
        if target.startswith("@"):
            return html.escape(str(names.get(target[1:], target)))
        if target.startswith(("https://", "http://")):
            return f'<a href="{html.escape(target)}">{words or html.escape(target)}</a>'
        return words or ""

    def piece(text: str) -> str:
        if text.startswith("<"):
            return _LINK.sub(link, text)
        if text.startswith("`"):
            return _CODE.sub(r"<code>\1</code>", text)
        return _BOLD.sub(r"<b>\1</b>", text)

    # Each part by itself: a mark in an address or in code is none.
    return "".join(map(piece, _PARTS.split(text)))

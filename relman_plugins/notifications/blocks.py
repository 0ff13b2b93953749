"""Block Kit, as far as relman uses it: builders that keep Slack's limits whatever goes in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from relman_plugins.notifications.text import clean, cut

Block = dict[str, Any]

MAX_BLOCKS = 50
MAX_SECTION = 3000
"""Characters of one text object."""
MAX_HEADER = 150
MAX_QUOTE = 2500
"""Characters of one quotation: enough to judge by, without drowning the thread."""
MAX_FALLBACK = 1000
"""Characters of a message's own text, which notifications and screen readers show."""


class Message(NamedTuple):
    """What is posted: ``text`` for notifications and screen readers, ``blocks`` for the screen."""

    text: str
    """Escaped, at most ``MAX_FALLBACK`` characters."""
    blocks: list[Block]


def message(text: str, blocks: Sequence[Block] = ()) -> Message:
    """Make a message of escaped text and blocks; blocks beyond Slack's limit are dropped with a note."""
    kept = list(blocks) or [section(text)]
    if len(kept) > MAX_BLOCKS:
        kept = [*kept[: MAX_BLOCKS - 1], context(f"{len(kept) - MAX_BLOCKS + 1} more parts not shown")]
    return Message(_cut_escaped(text, MAX_FALLBACK), kept)


def header(text: str) -> Block:
    """Return a title; it is not parsed."""
    words = cut(clean(text) or "–", MAX_HEADER)
    return {"type": "header", "text": {"type": "plain_text", "emoji": False, "text": words}}


def section(*lines: str, more: int = 0) -> Block:
    """Return lines of ``mrkdwn`` that are escaped already; lines that do not fit are dropped with a note.

    ``more``: how many lines the caller left out, if that is above zero; the note counts them too.
    """
    return {"type": "section", "text": _mrkdwn(_fitting(lines, more))}


def sections(lines: Sequence[str], most: int) -> list[Block]:
    """Return lines like ``section`` in as few blocks as hold them, at most ``most``; the rest is counted."""
    found: list[Block] = []
    rest = [line for line in lines if line]
    while len(found) < most - 1 and (fits := _how_many(rest)) < len(rest):
        found.append(section(*rest[:fits]))
        rest = rest[fits:]
    return [*found, section(*rest)]


def context(*parts: str) -> Block:
    """Return small print: up to ten parts of ``mrkdwn`` that are escaped already."""
    return {"type": "context", "elements": [_mrkdwn(_fitting([part])) for part in parts[:10]]}


def quote(text: str) -> Block:
    """Return what somebody wrote, as they wrote it: not parsed, cut at ``MAX_QUOTE`` characters."""
    words = cut(clean(text).strip(), MAX_QUOTE) or "–"
    quoted = {"type": "rich_text_quote", "elements": [{"type": "text", "text": words}]}
    return {"type": "rich_text", "elements": [quoted]}


def _mrkdwn(text: str) -> dict[str, Any]:
    # Verbatim: names of channels and addresses in the text do not become links.
    return {"type": "mrkdwn", "text": text or "–", "verbatim": True}


def _fitting(lines: Sequence[str], more: int = 0) -> str:
    lines = [_cut_escaped(line, MAX_SECTION - 100) for line in lines if line]
    kept: list[str] = []
    more = max(0, more)
    for i, line in enumerate(lines):
        if sum(len(k) + 1 for k in kept) + len(line) > MAX_SECTION - 40:
            more += len(lines) - i
            break
        kept.append(line)
    return "\n".join([*kept, f"… and {more} more"] if more else kept)


def _how_many(lines: Sequence[str]) -> int:
    """Return how many lines stay when ``_fitting`` has room for no more."""
    size = 0
    for i, line in enumerate(lines):
        size += len(_cut_escaped(line, MAX_SECTION - 100)) + (i > 0)
        if size > MAX_SECTION - 40:
            return i
    return len(lines)


def _cut_escaped(text: str, limit: int) -> str:
    """Cut escaped text without leaving half an entity or half a link, which would break what follows."""
    if len(text) <= limit:
        return text
    short = text[: limit - 1]
    for opened, closed in (("&", ";"), ("<", ">")):
        at = short.rfind(opened)
        if at >= 0 and closed not in short[at:]:
            short = short[:at]
    return short + "…"

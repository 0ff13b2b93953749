"""What Slack refuses: the documented limits on messages, as pure functions.

Sources: Slack's reference pages for ``chat.postMessage``, Block Kit blocks and composition objects, and the
guide to message metadata.
"""

from __future__ import annotations

import re
from typing import Any

MAX_TEXT = 40_000
"""Characters of a message's own text."""

MAX_BLOCKS = 50
MAX_TEXT_OBJECT = 3000
MAX_HEADER = 150
MAX_FIELDS = 10
MAX_FIELD = 2000
MAX_CONTEXT = 10
MAX_METADATA = 8 * 1024
"""Characters of the metadata's JSON."""

_EVENT_TYPE = re.compile(r"[a-zA-Z0-9_]{1,80}")
_RICH = frozenset({"rich_text_section", "rich_text_quote", "rich_text_preformatted", "rich_text_list"})


class Refusal(Exception):
    """An answer with ``ok: false``: Slack's error code, and what it is about."""

    def __init__(self, code: str, *messages: str) -> None:
        super().__init__(code, *messages)
        self.code = code
        self.messages = list(messages)


def check_message(text: Any, blocks: Any, metadata: Any) -> None:
    """Raise ``Refusal`` when Slack would not take a message of this text, these blocks and this metadata."""
    if not isinstance(text, str):
        raise Refusal("invalid_arguments", "text must be a string")
    if not text and not blocks:
        raise Refusal("no_text")
    if len(text) > MAX_TEXT:
        raise Refusal("msg_too_long")
    if blocks is not None:
        check_blocks(blocks)
    if metadata is not None:
        _check_metadata(metadata)


def _check_metadata(metadata: Any) -> None:
    if not isinstance(metadata, dict) or not isinstance(metadata.get("event_payload"), dict):
        raise Refusal("invalid_metadata_format")
    if not _EVENT_TYPE.fullmatch(str(metadata.get("event_type", ""))):
        raise Refusal("invalid_metadata_format")
    if len(str(metadata)) > MAX_METADATA:
        raise Refusal("metadata_too_large")


def check_blocks(blocks: Any) -> None:
    """Raise ``Refusal`` when Slack would not take these blocks."""
    if not isinstance(blocks, list):
        raise Refusal("invalid_blocks_format")
    if len(blocks) > MAX_BLOCKS:
        raise Refusal("invalid_blocks", f"no more than {MAX_BLOCKS} items allowed [json-pointer:/blocks]")
    ids = [b["block_id"] for b in blocks if isinstance(b, dict) and "block_id" in b]
    if len(ids) != len(set(ids)):
        raise Refusal("invalid_blocks", "block_id must be unique")
    for i, block in enumerate(blocks):
        _check_block(block, f"/blocks/{i}")


def _check_block(block: Any, at: str) -> None:
    if not isinstance(block, dict):
        raise invalid(at, "must be an object")
    match block.get("type"):
        case "divider":
            return
        case "header":
            check_text(block.get("text"), f"{at}/text", MAX_HEADER, ("plain_text",))
        case "section":
            if "text" not in block and "fields" not in block:
                raise invalid(at, "needs text or fields")
            if "text" in block:
                check_text(block["text"], f"{at}/text", MAX_TEXT_OBJECT)
            _check_many(block.get("fields", []), f"{at}/fields", MAX_FIELDS, MAX_FIELD)
        case "context":
            if not block.get("elements"):
                raise invalid(f"{at}/elements", "must not be empty")
            _check_many(block["elements"], f"{at}/elements", MAX_CONTEXT, MAX_TEXT_OBJECT)
        case "actions":
            from relman_plugins.testing.slack_views import check_actions

            check_actions(block, at)
        case "rich_text":
            _check_rich(block.get("elements"), f"{at}/elements")
        case other:
            raise invalid(f"{at}/type", f"unsupported type: {other}")


def _check_many(texts: Any, at: str, most: int, length: int) -> None:
    if not isinstance(texts, list) or len(texts) > most:
        raise invalid(at, f"no more than {most} items allowed")
    for i, text in enumerate(texts):
        check_text(text, f"{at}/{i}", length)


def check_text(text: Any, at: str, most: int, kinds: tuple[str, ...] = ("plain_text", "mrkdwn")) -> None:
    """Raise ``Refusal`` when Slack would not take a text object."""
    if not isinstance(text, dict) or text.get("type") not in kinds:
        raise invalid(f"{at}/type", f"must be one of {', '.join(kinds)}")
    value = text.get("text")
    if not isinstance(value, str) or not value:
        raise invalid(f"{at}/text", "must be more than 0 characters")
    if len(value) > most:
        raise invalid(f"{at}/text", f"must be less than {most + 1} characters")


def _check_rich(elements: Any, at: str) -> None:
    if not isinstance(elements, list):
        raise invalid(at, "must be a list")
    for i, element in enumerate(elements):
        if not isinstance(element, dict) or element.get("type") not in _RICH:
            raise invalid(f"{at}/{i}/type", "unsupported type")
        for j, part in enumerate(element.get("elements") or []):
            if part.get("type") == "text" and not (isinstance(part.get("text"), str) and part["text"]):
                raise invalid(f"{at}/{i}/elements/{j}/text", "must be more than 0 characters")


def invalid(at: str, what: str) -> Refusal:
    """Return the refusal of a part of a message."""
    return Refusal("invalid_blocks", f"{what} [json-pointer:{at}]")

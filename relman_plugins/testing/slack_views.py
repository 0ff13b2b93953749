"""What Slack refuses of buttons and forms: the documented limits, as pure functions.

Sources: Slack's reference pages for the ``actions`` and ``input`` blocks, the button, the plain-text input,
the date and time picker, the confirmation dialog, and modal views.
"""

from __future__ import annotations

from typing import Any

from relman_plugins.testing.slack_rules import Refusal, check_blocks, check_text, invalid

MAX_ACTIONS = 25
MAX_ID = 255
MAX_BUTTON = 75
MAX_VALUE = 2000
MAX_CONFIRM = {"title": 100, "text": 300, "confirm": 30, "deny": 30}
MAX_VIEW_BLOCKS = 100
MAX_VIEW_WORDS = 24
"""Characters of a modal's title, and of its two buttons."""
MAX_PRIVATE = 3000
MAX_LABEL = 2000
MAX_INPUT = 3000
MAX_OPTIONS = 100
MAX_OPTION = 75

_WORDS = ("plain_text",)


def check_actions(block: dict[str, Any], at: str) -> None:
    """Raise ``Refusal`` when Slack would not take an ``actions`` block of buttons."""
    elements = block.get("elements")
    if not isinstance(elements, list) or not 1 <= len(elements) <= MAX_ACTIONS:
        raise invalid(f"{at}/elements", f"1 to {MAX_ACTIONS} items allowed")
    _check_id(block, "block_id", at)
    ids = [e.get("action_id") for e in elements if isinstance(e, dict)]
    if len(ids) != len(set(ids)):
        raise invalid(f"{at}/elements", "action_id must be unique")
    for i, element in enumerate(elements):
        here = f"{at}/elements/{i}"
        if not isinstance(element, dict) or element.get("type") != "button":
            raise invalid(f"{here}/type", "unsupported type")
        check_text(element.get("text"), f"{here}/text", MAX_BUTTON, _WORDS)
        _check_id(element, "action_id", here)
        if len(element.get("value", "")) > MAX_VALUE:
            raise invalid(f"{here}/value", f"must be less than {MAX_VALUE + 1} characters")
        if element.get("style", "primary") not in ("primary", "danger"):
            raise invalid(f"{here}/style", "must be primary or danger")
        for part, most in MAX_CONFIRM.items() if "confirm" in element else ():
            check_text(element["confirm"].get(part), f"{here}/confirm/{part}", most)


def check_view(view: Any) -> None:
    """Raise ``Refusal`` when Slack would not open a modal."""
    if not isinstance(view, dict) or view.get("type") != "modal":
        raise Refusal("invalid_arguments", "view must be a modal")
    for part in ("title", "submit", "close"):
        if part in view or part == "title":
            check_text(view.get(part), f"/view/{part}", MAX_VIEW_WORDS, _WORDS)
    if len(view.get("private_metadata", "")) > MAX_PRIVATE:
        raise invalid("/view/private_metadata", f"must be less than {MAX_PRIVATE + 1} characters")
    _check_id(view, "callback_id", "/view")
    blocks = view.get("blocks")
    if not isinstance(blocks, list) or len(blocks) > MAX_VIEW_BLOCKS:
        raise invalid("/view/blocks", f"no more than {MAX_VIEW_BLOCKS} items allowed")
    for i, block in enumerate(blocks):
        if isinstance(block, dict) and block.get("type") == "input":
            _check_input(block, f"/view/blocks/{i}")
    check_blocks([b for b in blocks if not (isinstance(b, dict) and b.get("type") == "input")])


def _check_input(block: dict[str, Any], at: str) -> None:
    check_text(block.get("label"), f"{at}/label", MAX_LABEL, _WORDS)
    _check_id(block, "block_id", at)
    element = block.get("element") or {}
    if "hint" in block:
        check_text(block["hint"], f"{at}/hint", MAX_LABEL, _WORDS)
    if element.get("type") == "static_select":
        options = element.get("options") or []
        if not 1 <= len(options) <= MAX_OPTIONS:
            raise invalid(f"{at}/element/options", f"1 to {MAX_OPTIONS} items allowed")
        for option in options:
            check_text(option.get("text"), f"{at}/element/options", MAX_OPTION, _WORDS)
        return
    if element.get("type") == "datetimepicker":
        return
    if element.get("type") != "plain_text_input":
        raise invalid(f"{at}/element/type", "unsupported type")
    if not 1 <= element.get("max_length", MAX_INPUT) <= MAX_INPUT:
        raise invalid(f"{at}/element/max_length", f"must be at most {MAX_INPUT}")


def _check_id(owner: dict[str, Any], key: str, at: str) -> None:
    if len(str(owner.get(key, ""))) > MAX_ID:
        raise invalid(f"{at}/{key}", f"must be less than {MAX_ID + 1} characters")

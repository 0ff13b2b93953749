"""What is said of the rollback of a release that had ended, in its thread and in its message. Pure."""

from __future__ import annotations

from typing import Any

from relman_plugins.domain.event import Event, Kind
from relman_plugins.ledger.rollbacks import Asked
from relman_plugins.notifications.blocks import Block, quote
from relman_plugins.notifications.text import code, person, plain


def asked(event: Event, data: dict[str, Any]) -> tuple[str | Block, ...]:
    """Return the sentence, escaped, and the blocks below it: somebody wants the rollback."""
    to = code((data.get("to") or {}).get("version", "?"))
    text = f"↩️ *{person(event.actor)} rolls {_where(event)} back to {to}*, after the release had ended"
    return (text, *_quoted(data.get("reason")))


def not_back(event: Event, data: dict[str, Any]) -> tuple[str | Block, ...]:
    """Return the sentence, escaped, and the blocks below it: it was refused, or did not work."""
    if event.kind is Kind.ROLLBACK_REFUSED:
        text = f"⛔ *{_where(event)} is not rolled back*: it was refused"
    elif data.get("final", True):
        text = f"🚨 *{_where(event)} is not rolled back*: it did not work, and is not tried any more"
    else:
        text = f"❌ {_where(event)}: a try to roll back broke; it is tried again"
    return (text, *_quoted(data.get("message")))


def standing(wanted: Asked) -> str:
    """Return what the message of the release says of it, escaped."""
    where = plain(wanted.environment, 80)
    if wanted.state == "finished":
        return f"*{where} rolled back since* to {code(wanted.to.version if wanted.to else '?')}"
    said = {"asked": "asked for", "refused": "refused", "failed": "*failed*"}[wanted.state]
    return f"rollback of {where} {said} ({person(wanted.actor)})"


def _where(event: Event) -> str:
    return plain(event.environment or event.release_id, 80)


def _quoted(text: Any) -> tuple[Block, ...]:
    return (quote(str(text)),) if text else ()

"""What a release's thread says of its gates beyond asking and deciding. Pure, like :mod:`.thread`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from relman_plugins.domain.event import Event, Kind
from relman_plugins.notifications.text import code, plain

_Written = tuple[Any, ...]


def _superseded(event: Event, data: dict[str, Any]) -> _Written:
    by = f"{code(data['version'])} ({code(data['by'])})"
    who = (
        f"{plain(event.actor.name or event.actor.id, 80)} approved"
        if event.actor.kind == "person"
        else "was approved"
    )
    return (f"⏭️ Superseded by {by}, which {who} for {plain(event.environment or '?', 80)}",)


def again(data: dict[str, Any]) -> str:
    """Say that a question is asked again, since an approval has run out; nothing when it is not."""
    return " again, since an approval has run out," if data.get("renews") else ""


WRITERS: dict[Kind, Callable[[Event, dict[str, Any]], _Written]] = {
    Kind.RELEASE_SUPERSEDED: _superseded,
}

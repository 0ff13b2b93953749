"""What is said of a release's change ticket."""

from __future__ import annotations

from typing import Any

from relman_plugins.domain.event import Event, Kind
from relman_plugins.notifications.blocks import quote
from relman_plugins.notifications.text import code, moment, plain

Written = tuple[Any, ...]


def _waited(event: Event, data: dict[str, Any]) -> Written:
    ends = f"; gives up {moment(data['gives_up_at'])}" if data.get("gives_up_at") else ""
    where = plain(event.environment or event.step or event.release_id, 80)
    return (f"🎫 {where} waits for the ticket {code(data['number'])}{ends}", quote(str(data["why"])))


def _created(event: Event, data: dict[str, Any]) -> Written:
    where = plain(event.environment or event.step or event.release_id, 80)
    return (f"🎫 {where}: created the ticket {code(data['number'])} in {plain(data['system'], 20)}",)


WRITERS = {Kind.TICKET_CREATED: _created, Kind.TICKET_WAITED: _waited}
"""The messages of this module, by event."""

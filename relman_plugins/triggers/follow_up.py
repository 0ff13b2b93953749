"""Waiting for follow-ups of a release that has ended."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from relman_plugins.domain.event import Kind
from relman_plugins.domain.follow_up import GIVE, NONE
from relman_plugins.triggers.approval import ApprovalTrigger

if TYPE_CHECKING:
    from relman_plugins.ledger.api import Ledger


class FollowUpTrigger(ApprovalTrigger):
    """Wait until somebody has answered or the time is over, then close the Required Action.

    The event is ``{"state": "given" | "none" | "over"}``; whoever gets it reads the ledger again.
    """

    def _decided(self, ledger: Ledger) -> str | None:
        found = ledger.events(self.release_id, kinds=[Kind.FOLLOW_UP])
        if found:
            return "given" if found[0].data.get("items") else "none"
        return "over" if ledger.now() >= datetime.fromisoformat(self.expires_at) else None

    def _option(self, state: str) -> str:
        return GIVE if state == "given" else NONE

    def _said(self, state: str) -> dict[str, str]:
        found = self._book().events(self.release_id, kinds=[Kind.FOLLOW_UP])
        items = found[0].data.get("items") or () if found else ()
        return {
            f"{part}_{n}": str(item.get(part) or "")
            for n, item in enumerate(items, start=1)
            for part in ("what", "who", "by")
        }

"""Writing a step's events: to the ledger, and for steps that must never wait for it, else to the spool."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from relman_plugins.errors import LedgerError, LedgerUnavailable

if TYPE_CHECKING:
    from pathlib import Path

    from relman_plugins.domain.event import NewEvent
    from relman_plugins.ledger.api import Ledger


class Recorder:
    """Records the events of one release.

    A forward step gives no ``spool``: when the ledger does not answer, its events raise and it stops.
    Rollback, abort and teardown give one: what the ledger can't take now is written there and replayed
    later, once.
    """

    def __init__(
        self,
        release_id: str,
        ledger: Callable[[], Ledger],
        *,
        spool: Path | None = None,
        warn: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.release_id = release_id
        self._ledger = ledger
        self._spool = spool
        self._warn = warn

    def record(self, event: NewEvent) -> bool:
        """Record an event; a second one with its key is dropped. Say whether this is not known to be one.

        Raises:
            LedgerUnavailable: the ledger does not answer and there is no spool.
        """
        try:
            return self._ledger().record(self.release_id, event) is not None
        except LedgerError as error:
            if self._spool is None:
                raise
            from relman_plugins.ledger import spool

            spool.write(self._spool, self.release_id, event)
            self._warn(f"the ledger does not answer ({error}); the event {event.key} waits in {self._spool}")
            return True

    def ledger(self) -> Ledger:
        """Return the ledger; raise LedgerUnavailable when it does not answer."""
        return self._ledger()

    def ledger_or_none(self) -> Ledger | None:
        """Return the ledger when it answers."""
        try:
            ledger = self._ledger()
            ledger.check()
        except LedgerUnavailable as error:
            self._warn(f"going on without the ledger: {error}")
            return None
        return ledger

"""One departure of a train: what is due by now, and when there is something to do again.

Everything is decided by the ledger's clock and its journal, so that a task that is tried again, or a second
one, comes to the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from relman_plugins.domain.departure import TOO_LATE
from relman_plugins.domain.versions import is_newer, same_as
from relman_plugins.errors import RelmanError, recordable
from relman_plugins.plan.words import duration

if TYPE_CHECKING:
    from relman_plugins.ledger.api import Entry, Ledger
    from relman_plugins.plan.train import Source, Train

SECOND = timedelta(seconds=1)


@dataclass(frozen=True)
class Choice:
    """What goes with a departure."""

    version: str
    """Empty for nothing."""
    reason: str
    """Where the version is from, or why there is none."""
    data: dict[str, Any] = field(default_factory=dict)
    """``{added, by}``: the id of the entry that added it, and who did; empty for what a source gave."""


@dataclass(frozen=True)
class Departure:
    """A departure (UTC) of a pipeline's train. ``find`` asks a source for its version: ``version_from``."""

    ledger: Ledger
    pipeline: str
    train: Train
    departs: datetime
    find: Callable[[Source], str]

    def proceed(self) -> Entry | datetime:
        """Do what is due; return the departure's end, or when there is something to do again (UTC).

        Idempotent: what was recorded before counts.

        Raises:
            ClientError: where the version comes from can't be read; trying again can help.
            LedgerUnavailable: nothing is done without the record.
        """
        trains, now, departs = self.ledger.trains, self.ledger.now(), self.departs
        if (end := trains.ended(self.pipeline, departs)) is not None:
            return end
        if now - departs > TOO_LATE:
            ago = duration((now - departs) // timedelta(minutes=1) * 60)
            return self.fail(
                f"it was to depart {ago} ago; a departure is made up for within "
                f"{duration(TOO_LATE.total_seconds())}, not later"
            )
        if not self.train.departs.assets and self.train.departs.after(departs - SECOND) != departs:
            return self.fail("the schedule was changed, and this departure is not in it any more")
        closes = self.train.closes(departs)
        announce = departs - timedelta(seconds=self.train.announce_s)
        told = announce <= now < departs
        try:
            settled = self._settle() if now >= closes else None
        except RelmanError as error:
            if told:
                self._announce(_unknown(error), settled=False)
            raise
        if told:
            self._announce(settled, settled=settled is not None)
        if now < departs:
            return min(at for at in (closes, announce, departs) if at > now)
        chosen = settled or self._settle()
        if chosen.version and not chosen.data.get("added"):
            known = same_as(chosen.version, self.ledger.versions(self.pipeline))
            chosen = chosen if known is None else Choice("", f"nothing new: {known} was released before")
        return trains.end(
            self.pipeline,
            departs,
            version=chosen.version,
            reason=chosen.reason,
            data=chosen.data,
            channel=self.train.slack_channel,
        )

    def delay(self, reason: str) -> None:
        """Record, and tell once, that the departure waits for something that is away."""
        channel = self.train.slack_channel
        self.ledger.trains.note(self.pipeline, "delayed", self.departs, reason=reason, channel=channel)

    def fail(self, reason: str) -> Entry:
        """Record that the departure came to nothing, and why; return its end, which may be another."""
        return self.ledger.trains.fail(self.pipeline, self.departs, reason, self.train.slack_channel)

    def _settle(self) -> Choice:
        """Settle the version once and for all: what changes from here on waits for the next departure."""
        known = self.ledger.trains.of(self.pipeline, self.departs)
        entry = next((e for e in known if e.action == "settled"), None)
        if entry is None:
            chosen = self.choose()
            entry = self.ledger.trains.note(
                self.pipeline,
                "settled",
                self.departs,
                version=chosen.version,
                reason=chosen.reason,
                # Kept, not told: for when nothing comes of it.
                data=chosen.data | {"channel": self.train.slack_channel},
            )
        return Choice(entry.version, entry.reason, entry.data)

    def _announce(self, chosen: Choice | None, *, settled: bool) -> None:
        if any(e.action == "announced" for e in self.ledger.trains.of(self.pipeline, self.departs)):
            return
        state = self.ledger.trains.state(self.pipeline)
        try:
            chosen = chosen or self.choose()
        except RelmanError as error:
            chosen = _unknown(error)
        closes = self.train.closes(self.departs)
        held = state.held or state.skips.get(self.departs)
        self.ledger.trains.note(
            self.pipeline,
            "announced",
            self.departs,
            version=chosen.version,
            reason=chosen.reason,
            data={
                "closes": closes.isoformat(),
                "settled": settled,
                "stays": held.reason if held is not None else "",
            },
            channel=self.train.slack_channel,
        )

    def choose(self) -> Choice:
        """Return what would go by now: what somebody added in time, else what the source gives, if new.

        Raises:
            ClientError: as of :meth:`proceed`.
        """
        state = self.ledger.trains.state(self.pipeline, self.train.closes(self.departs), self.departs)
        if (added := state.added) is not None:
            by = added.actor.model_dump(mode="json")
            who = added.actor.name or added.actor.id
            return Choice(added.version, f"added by {who}: {added.reason}", {"added": added.id, "by": by})
        if (source := self.train.source) is None:
            late = f"; {state.later.version} came after the cut-off and waits" if state.later else ""
            return Choice("", f"nobody has added a version{late}")
        version = self.find(source)
        if not version:
            return Choice("", f"there is no version: {source}")
        released = self.ledger.versions(self.pipeline)
        if (known := same_as(version, released)) is not None:
            return Choice("", f"nothing new: {known} was released before")
        newer = next((r for r in released if is_newer(r, version)), None)
        if newer is not None and source.kind != "file":
            return Choice("", f"nothing new: {version} is older than {newer}, which was released before")
        return Choice(version, str(source))


def _unknown(error: RelmanError) -> Choice:
    """Return what is announced: found out again when it matters, and that it departs is worth saying."""
    return Choice("", f"not known yet: {recordable(error)}")

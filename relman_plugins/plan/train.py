"""A pipeline's train: when releases start by themselves, and of which version."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal

from relman_plugins.calendars.departures import Departures
from relman_plugins.domain.base import Frozen
from relman_plugins.plan.words import duration

SourceKind = Literal["file", "git", "directory", "registry", "index", "event"]

_NOUNS = {"git": "tag", "directory": "artefact", "registry": "image", "index": "package"}


class Source(Frozen):
    """Where the version comes from when nobody has added one."""

    kind: SourceKind
    place: str
    """A path relative to the spec folder, or the address of a repository; of events, the names of assets."""
    connection: str = ""
    """Airflow connection id that signs in to a repository's server."""
    prefix: str = ""
    """What names have before the version."""
    range: str = ""
    """Which versions count, as ``>=1.4,<2``; empty for any."""
    prereleases: bool = False

    def __str__(self) -> str:
        """Say where the version comes from."""
        if self.kind == "file":
            return f"what {self.place} says"
        if self.kind == "event":
            return 'the "version" in the event\'s extra'
        noun = f"{_NOUNS[self.kind]} {self.prefix}*" if self.prefix else _NOUNS[self.kind]
        within = f" within {self.range}" if self.range else ""
        early = ", pre-releases too" if self.prereleases else ""
        return f"the newest {noun} in {self.place}{within}{early}"


class Train(Frozen):
    """What a schedule comes to: ``Shape.schedule`` is one as JSON."""

    departs: Departures
    words: str
    """When it departs, for people."""
    source: Source | None = None
    """None: only what somebody adds."""
    cutoff_s: float = 0
    """How long before its departure the version is settled."""
    announce_s: float = 0
    """How long before its departure Slack is told; 0 for not at all."""
    slack_channel: str = ""

    @classmethod
    def of(cls, schedule: dict[str, Any]) -> Train:
        """Return the train of a shape's schedule."""
        return cls.model_validate(schedule)

    @property
    def lead(self) -> timedelta:
        """How long before a departure there is something to do."""
        return timedelta(seconds=max(self.cutoff_s, self.announce_s))

    def closes(self, departs: datetime) -> datetime:
        """Return until when a version may be added for a departure."""
        return departs - timedelta(seconds=self.cutoff_s)

    def describe(self) -> str:
        """Say in a sentence when it departs, with what."""
        what = f"{self.source}, unless somebody adds another version" if self.source else "what somebody adds"
        closes = f"; settled {duration(self.cutoff_s)} before" if self.cutoff_s else ""
        return f"departs {self.words} with {what}{closes}"

    def told(self) -> dict[str, Any]:
        """Return all of it by name, in words for people: two trains are the same when these are."""
        return {
            "departs": self.words,
            "version": str(self.source or "what somebody adds"),
            "settled before": duration(self.cutoff_s),
            "announced before": duration(self.announce_s),
            "told in": self.slack_channel,
            "signs in by": self.source.connection if self.source else "",
            "timetable": self.departs.model_dump_json(exclude_defaults=True),
            "source": self.source and self.source.model_dump_json(exclude_defaults=True),
        }

"""What a window gate of a plan waits for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from relman_plugins.calendars.answer import answer, closed_for, closings
from relman_plugins.calendars.model import Action, Always, Calendar, Closing, Question, StartedBy, TimeWindow
from relman_plugins.calendars.series import Span
from relman_plugins.calendars.weekly import Answer, Window, stamp
from relman_plugins.domain.base import Frozen
from relman_plugins.domain.identity import Actor

MOST_OPENINGS = 40
"""Openings and closings that are looked at, one after the other, for one that is long enough."""


MOST_ASKED = 8
"""Closings that people are asked about at once, so that they see all of them."""


def _lasts(begins: datetime, ends: datetime) -> float:
    return (ends - begins).total_seconds()


def starter(actor: Actor) -> StartedBy:
    """Return who started a release, as windows tell it: a train, whoever added the version, is a schedule."""
    return "person" if actor.kind == "person" and actor.via != "schedule" else "schedule"


class Look(Frozen):
    """All that there is to be said of a gate at one moment, for one release."""

    answer: Answer
    """Whether it goes through, why, and what comes next, by what people have let it past."""
    past: tuple[Closing, ...] = ()
    """The closings that it goes past, since people have let it."""
    asks: tuple[Closing, ...] = ()
    """All the closings that people would have to let it past; none while it is open, or that would not help.

    With those they have let it past before: who says yes now has seen everything that is gone past.
    """
    asks_at: datetime | None = None
    """When nothing else will close it any more, so that people could be asked."""


class Gate(Frozen):
    """An environment's own weekly windows, and the calendars that apply: all of them must be open."""

    windows: tuple[Window, ...] = ()
    calendars: tuple[Calendar, ...] = ()
    actions: tuple[Action | Always, ...] = ("deploy",)
    """What the step behind the gate does."""

    @classmethod
    def of(cls, args: Mapping[str, Any]) -> Gate:
        """Return the gate of a plan's step."""
        return cls.model_validate({key: args[key] for key in cls.model_fields if key in args})

    def all_calendars(self) -> tuple[Calendar, ...]:
        """Return the calendars, the environment's own windows as the first of them, without a name."""
        own = tuple(TimeWindow(effect="allow", weekly=window) for window in self.windows)
        return (*((Calendar(name="", windows=own),) if own else ()), *self.calendars)

    def answer(self, at: datetime, started_by: StartedBy, excepted: Collection[str] = ()) -> Answer:
        """Say whether the gate is open at ``at`` (aware) for such a release, why, and what comes next.

        Args:
            at: aware.
            started_by: who started the release.
            excepted: ids of closings that people have let the release past; those don't count.

        Raises:
            CalendarError: it can't be said: the gate stays shut.
        """
        return answer(self.all_calendars(), self._question(started_by, excepted), at)

    def look(
        self, at: datetime, started_by: StartedBy, need_s: float = 0.0, excepted: Collection[str] = ()
    ) -> Look:
        """Say all that decides whether a release goes through at ``at``, and who may change that.

        Args:
            at: aware.
            started_by: who started the release.
            need_s: for how many seconds it must stay open.
            excepted: ids of closings that people have let the release past.

        Raises:
            CalendarError: it can't be said: the gate stays shut.
        """
        said = self._fitting(at, started_by, need_s, excepted)
        if not any(window.unless for calendar in self.calendars for window in calendar.windows):
            return Look(answer=said)
        until = at + timedelta(seconds=max(need_s, 1))
        question = self._question(started_by)
        found = closings(self.all_calendars(), question, at, until)
        ends = at + timedelta(seconds=need_s)
        way = tuple(one for one in found if one.end > at and (one.start <= at or one.start < ends))
        if said.open:
            return Look(answer=said, past=tuple(one for one in way if one.id in excepted))
        firm = self._firm()._fitting(at, started_by, need_s, ())
        if not firm.open:
            return Look(answer=said, asks_at=firm.next_open)
        if len(way) > MOST_ASKED:
            many = f"{len(way)} closings are in the way, and people are asked about {MOST_ASKED} at most"
            return Look(answer=said.model_copy(update={"reasons": (*said.reasons, many)}))
        return Look(answer=said, asks=way)

    def _question(self, started_by: StartedBy, excepted: Collection[str] = ()) -> Question:
        return Question(actions=self.actions, started_by=started_by, excepted=frozenset(excepted))

    def _firm(self) -> Gate:
        """Return the gate with what leaves no room for exceptions."""
        firm = []
        for calendar in self.calendars:
            windows = tuple(window for window in calendar.windows if not window.unless)
            firm += [Calendar(name=calendar.name, windows=windows)] if windows else []
        return self.model_copy(update={"calendars": tuple(firm)})

    def _fitting(
        self, at: datetime, started_by: StartedBy, need_s: float, excepted: Collection[str]
    ) -> Answer:
        """Say as :meth:`answer` whether it is open at ``at``, and stays so for ``need_s`` seconds.

        If it doesn't, ``next_open`` is the beginning of the next opening that is long enough; None if none is
        among those that were looked at.
        """
        said = first = self.answer(at, started_by, excepted)
        if need_s <= 0:
            return first
        begins: datetime | None = at
        for _ in range(MOST_OPENINGS):
            if not said.open:
                begins = said.next_open
            elif said.next_close is None or begins is None or _lasts(begins, said.next_close) >= need_s:
                break
            else:
                begins = said.next_close
            if begins is None:
                break
            said = self.answer(begins, started_by, excepted)
        else:
            begins = None
        if begins == at or (not first.open and begins == first.next_open):
            return first
        least = f"the change takes {timedelta(seconds=round(need_s))} at least"
        why = f"open until {stamp(first.next_close)}, and {least}" if first.next_close else least
        then = (
            f"an opening that is long enough begins {stamp(begins)}"
            if begins
            else (f"none of the next {MOST_OPENINGS // 2} openings is long enough")
        )
        reasons = (why,) if first.open else first.reasons
        return Answer(open=False, reasons=(*reasons, then), next_open=begins)

    def closed(self, since: datetime, until: datetime, started_by: StartedBy) -> tuple[Span, ...]:
        """Return when the gate is closed for such a release, in order, from ``since`` to ``until`` (aware).

        Raises:
            CalendarError: it can't be said.
        """
        return tuple(closed_for(self.all_calendars(), self._question(started_by), since, until))

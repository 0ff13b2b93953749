"""What a window gate of a plan waits for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from relman_plugins.calendars.answer import answer, closed_for
from relman_plugins.calendars.model import Action, Always, Calendar, Question, StartedBy, TimeWindow
from relman_plugins.calendars.series import Span
from relman_plugins.calendars.weekly import Answer, Window, stamp
from relman_plugins.domain.base import Frozen
from relman_plugins.domain.identity import Actor

MOST_OPENINGS = 40
"""Openings and closings that are looked at, one after the other, for one that is long enough."""


def _lasts(begins: datetime, ends: datetime) -> float:
    return (ends - begins).total_seconds()


def starter(actor: Actor) -> StartedBy:
    """Return who started a release, as windows tell it: a train, whoever added the version, is a schedule."""
    return "person" if actor.kind == "person" and actor.via != "schedule" else "schedule"


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

    def answer(self, at: datetime, started_by: StartedBy) -> Answer:
        """Say whether the gate is open at ``at`` (aware) for such a release, why, and what comes next.

        Raises:
            CalendarError: it can't be said: the gate stays shut.
        """
        question = Question(actions=self.actions, started_by=started_by)
        return answer(self.all_calendars(), question, at)

    def fitting(self, at: datetime, started_by: StartedBy, need_s: float) -> Answer:
        """Say as :meth:`answer` whether it is open at ``at``, and stays so for ``need_s`` seconds.

        If it doesn't, ``next_open`` is the beginning of the next opening that is long enough; None if none is
        among those that were looked at.

        Raises:
            CalendarError: it can't be said.
        """
        said = first = self.answer(at, started_by)
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
            said = self.answer(begins, started_by)
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
        question = Question(actions=self.actions, started_by=started_by)
        return tuple(closed_for(self.all_calendars(), question, since, until))

    @property
    def leaves_room(self) -> bool:
        """Say whether there are windows that a release may go past, once people have approved that."""
        return any(window.unless for calendar in self.calendars for window in calendar.windows)

    def room(self, at: datetime, started_by: StartedBy) -> bool:
        """Say whether only what leaves room for exceptions keeps the gate closed at ``at`` (aware).

        Raises:
            CalendarError: it can't be said.
        """
        return bool(self.exceptions(self.answer(at, started_by), at, started_by))

    def exceptions(self, said: Answer, at: datetime, started_by: StartedBy) -> tuple[str, ...]:
        """Return what alone keeps the gate closed and leaves room for exceptions, each with its end.

        Nothing if anything else keeps it closed, too: then no exception would help.

        Args:
            said: what :meth:`answer` gave at ``at``.
            at: aware.
            started_by: who started the release.

        Raises:
            CalendarError: it can't be said.
        """
        if said.open or not self.leaves_room:
            return ()
        firm = []
        for calendar in self.calendars:
            windows = tuple(window for window in calendar.windows if not window.unless)
            firm += [Calendar(name=calendar.name, windows=windows)] if windows else []
        if not self.model_copy(update={"calendars": tuple(firm)}).answer(at, started_by).open:
            return ()
        return said.reasons[:-1]

"""What a window gate of a plan waits for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from relman_plugins.calendars.answer import answer
from relman_plugins.calendars.model import Action, Always, Calendar, Question, StartedBy, TimeWindow
from relman_plugins.calendars.weekly import Answer, Window
from relman_plugins.domain.base import Frozen
from relman_plugins.domain.identity import Actor


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

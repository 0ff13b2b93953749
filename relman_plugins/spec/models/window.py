"""Weekly windows as they are written."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from relman_plugins.spec.models.base import SpecModel

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Days = Annotated[tuple[Day, ...], Field(min_length=1, max_length=7)]

START_PATTERN = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"
END_PATTERN = r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"

Start = Annotated[str, StringConstraints(pattern=START_PATTERN)]
"""``HH:MM``, 00:00 to 23:59."""

End = Annotated[str, StringConstraints(pattern=END_PATTERN)]
"""``HH:MM``, 00:00 to 24:00."""

Zone = Annotated[str, StringConstraints(min_length=1, max_length=64)]
"""An IANA time zone."""


class Window(SpecModel):
    """A time of the week during which changes are allowed."""

    days: Days
    """The days on which the window opens."""
    from_: Start = Field(alias="from")
    """Opening, `HH:MM`, in `zone`."""
    to: End
    """Closing, `HH:MM` up to `24:00`; earlier than `from` means on the next day."""
    zone: Zone
    """IANA time zone."""

"""Counted work: rules come from strangers, and some would keep a computer busy for ever."""

from __future__ import annotations

from relman_plugins.errors import CalendarError

MOST_STEPS = 100_000
"""Days and times that are looked at for one answer: a third of a second."""


class Work:
    """Counts what is looked at, and ends it. The same question takes the same number of steps anywhere."""

    def __init__(self, most: int = MOST_STEPS) -> None:
        self.left = most
        self.most = most

    def spend(self, steps: int = 1) -> None:
        """Count ``steps``.

        Raises:
            CalendarError: more than allowed.
        """
        self.left -= steps
        if self.left < 0:
            raise CalendarError(
                f"gave up after {self.most:,} steps: the rule repeats too often, or never matches; "
                "make it coarser, give it an end, or ask about a shorter time"
            )

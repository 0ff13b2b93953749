"""Who answers at the gate: the person at the terminal, or alice by Airflow's public API."""

from __future__ import annotations

import select
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

CHOICES = {
    "a": "Approve",
    "approve": "Approve",
    "r": "Reject",
    "reject": "Reject",
    "b": None,
    "browser": None,
}


@dataclass(frozen=True)
class Question:
    """A gate that waits."""

    release_id: str
    says: str
    """What is approved, in one line."""
    url: str
    """Where it can be answered in a browser."""
    suggested: str
    """``Approve`` or ``Reject``: how the story goes on."""
    still_open: Callable[[], bool]
    """Whether nobody has answered yet."""


class Approver(Protocol):
    """Answers questions."""

    asks_a_person: bool

    def decide(self, question: Question) -> str | None:
        """Return ``Approve`` or ``Reject``, or None when it is, or will be, answered elsewhere."""
        ...


class Script:
    """Answers as the story goes."""

    asks_a_person = False

    def decide(self, question: Question) -> str | None:
        """Return the suggested answer."""
        return question.suggested


class Prompt:
    """Asks on the terminal, and stops asking when the answer came in the browser."""

    asks_a_person = True

    def decide(self, question: Question) -> str | None:
        """Ask until there is an answer here or somewhere else."""
        _write(
            f"\n{question.release_id} waits for you (you are alice; if you approve, bob does too).\n"
            f"  {question.says}\n"
            f"  In the browser instead, log in as alice with password alice: {question.url}\n"
        )
        while True:
            _write(f"  [a]pprove, [r]eject, answer in the [b]rowser; Enter for {question.suggested}: ")
            line = self._line(question)
            if line is None:
                _write("answered in the browser\n")
                return None
            if not line:
                return question.suggested
            if line in CHOICES:
                return CHOICES[line]
            _write(f'  "{line}" is none of them\n')

    def _line(self, question: Question) -> str | None:
        while question.still_open():
            ready, _, _ = select.select([sys.stdin], [], [], 1.0)
            if ready:
                line = sys.stdin.readline()
                # The terminal was closed: nobody can answer here any more.
                return line.strip().lower() if line else "b"
        return None


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()

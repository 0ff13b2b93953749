"""What is asked of a source of numbers, and what it answers."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from relman_plugins.domain.source import KINDS, Take
from relman_plugins.errors import ClientRejected

_PLACEHOLDER = re.compile(r"\$(?:(?P<escaped>\$)|(?P<name>[a-z_]+)|\{(?P<braced>[a-z_]+)\})")


class Question(NamedTuple):
    """One number that is wanted. Equal questions to one source have the same answer at the same time."""

    query: str
    """In the source's language, with ``$service``, ``$environment``, ``$version`` and the like in it."""
    service: str = ""
    environment: str = ""
    version: str = ""
    track: str = ""
    """``baseline`` when it is about a fresh baseline of that version; empty for everything else."""
    stable: str | None = None
    """The live version; None on a first deployment, where the query gets an empty text."""
    window_s: float | None = None
    """For counts: seconds since something began; the query has it as ``$window``."""
    over_s: float | None = None
    """Seconds of a series of which ``take`` makes one number; None asks for the number as it is now."""
    take: Take = "mean"


class Answer(NamedTuple):
    """What a source answered."""

    value: float | None
    """The number, which may be infinite; None when there is none, never NaN."""
    nothing: str = ""
    """Why there is none, where more can be said than that there was no value."""


class Access(NamedTuple):
    """Where a source is, and how one signs in there: what a connection says. Never shown, never recorded."""

    address: str
    headers: Mapping[str, str] = {}
    auth: tuple[str, str] | None = None
    password: str = ""
    extra: Mapping[str, Any] = {}
    """The connection's extra field."""

    def __repr__(self) -> str:
        return "Access(…)"


class Source(ABC):
    """A source of numbers. Cheap to make: it connects at the first question. It belongs to one event loop.

    Whatever it can't be sure of is no number: an answer that can't be right, or that is about something else
    than was asked, is an error with words.
    """

    kind: str
    """Name of its kind in specs."""

    @property
    def label(self) -> str:
        """What people call it."""
        return KINDS[self.kind].label

    @abstractmethod
    async def number(self, question: Question) -> Answer:
        """Ask for one number.

        Raises:
            ClientUnavailable: No answer, a time-out, 429 (``retry_after`` in seconds when told), 5xx, or an
                answer that can't be believed.
            ClientRejected: The query is wrong, or gives something else than one number.
        """

    @abstractmethod
    async def check(self) -> str:
        """Ask something that changes nothing; return what answers, in a sentence. Raises as ``number``."""

    @abstractmethod
    async def aclose(self) -> None:
        """Close the connections."""


def fill(question: Question, put: Callable[[str, str], str], window: str | None = None) -> str:
    """Fill in a query: ``$service``, ``$environment``, ``$version``, ``$stable``, ``$track``.

    ``$window`` is there for counts only, as ``window`` has it. ``${name}`` is the same as ``$name``, ``$$``
    is a dollar sign, and a dollar sign before anything else than a name (the end of a regular expression)
    stays. ``put`` gets name and value, and returns what stands in the query: escaped, so that a value cannot
    leave the text it stands in.

    Raises:
        ClientRejected: The query names something else, such as ``$zone``.
    """
    values = {
        "service": question.service,
        "environment": question.environment,
        "version": question.version,
        "track": question.track,
        "stable": question.stable or "",
    }
    values |= {"window": window} if window is not None else {}

    def filled(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        name = match["name"] or match["braced"]
        if name not in values:
            known = ", ".join(f"${v}" for v in values)
            raise ClientRejected(
                f"the query names ${name}; expected one of {known} (write $$ for a dollar sign)"
            )
        return put(name, values[name])

    return _PLACEHOLDER.sub(filled, question.query)


def period(question: Question) -> float:
    """Return the seconds up to now that a question is about, for sources that are told them beside it.

    Raises:
        ClientRejected: It says none.
    """
    seconds = question.over_s if question.over_s is not None else question.window_s
    if seconds is None:
        raise ClientRejected(
            "the metric does not say over what time; add over: and how long, such as over: 5m"
        )
    return seconds


def unshown(text: object, limit: int = 200) -> str:
    """Return what a server said in one line without what can't be seen, cut to ``limit`` characters."""
    return "".join(c for c in " ".join(str(text).split()) if c.isprintable())[:limit]

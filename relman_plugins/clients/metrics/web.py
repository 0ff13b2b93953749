"""What the sources share that are asked over HTTP and answer in JSON."""

from __future__ import annotations

import json
import math
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from itertools import pairwise
from typing import Any, ClassVar

import httpx

from relman_plugins.clients.http import TIMEOUT_S, async_client, async_request, shown
from relman_plugins.clients.metrics.base import Access, Answer, Question, Source, period, unshown
from relman_plugins.clients.metrics.series import TAIL, taken
from relman_plugins.errors import ClientUnavailable

LIMIT_S = 20.0
"""Seconds for one request as a whole."""

KEPT_S = 75.0
"""Seconds for which a connection stays open for the next look."""

SKEW_S = 30.0
"""So many seconds may a source's clock differ from this machine's: scrapes and windows are not finer."""


class NoJson(ClientUnavailable):
    """An answer that is no JSON."""


class WebSource(Source):
    """A source behind an HTTP address."""

    rest_header: ClassVar[str] = "retry-after"
    """The header that says in how many seconds to come back."""

    late_s: ClassVar[float] = 60.0
    """So many seconds may the newest point of a series be old in any case: it takes its time to be there."""

    dated: ClassVar[bool] = True
    """Whether its queries speak of its own now, so that the clock it answers by must be right."""

    def __init__(self, access: Access, *, timeout: float = TIMEOUT_S, clock: Callable[[], float] = time.time):
        """Remember where it is; ``clock`` tells seconds since the epoch.

        Raises:
            ClientRejected: The address is none.
        """
        self.access = access
        self.address = self.home(access).rstrip("/") + "/"
        self.clock = clock
        self._http: httpx.AsyncClient = async_client(
            self.address,
            timeout=timeout,
            headers={"Accept": "application/json", **access.headers, **self.signs_in(access)},
            auth=self.auth(access),
            kept_s=KEPT_S,
        )

    def home(self, access: Access) -> str:
        """Return the address that paths are added to."""
        return access.address

    def signs_in(self, access: Access) -> dict[str, str]:
        """Return the headers by which one signs in, beside the usual ones."""
        return {}

    def auth(self, access: Access) -> tuple[str, str] | None:
        """Return name and password for basic authentication."""
        return access.auth

    @abstractmethod
    async def number(self, question: Question) -> Answer:
        """Ask for one number; see ``Source``."""

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def asked(self, method: str, path: str, **kwargs: Any) -> Any:
        """Send a request (arguments as of ``clients.http.request``); return the JSON of its answer.

        Raises:
            ClientError: As ``request``; ClientUnavailable also when the answer is something else.
        """
        sent = self.clock()
        answer = await async_request(
            self._http, method, path, limit_s=LIMIT_S, rest=self.rest_header, **kwargs
        )
        if self.dated and "age" not in answer.headers:
            self._dated(answer.headers.get("date"), sent)
        try:
            # A server that writes NaN as JSON has it; Python reads it, and it is looked at as a number.
            return answer.json()
        except (ValueError, RecursionError) as error:
            raise NoJson(str(self.nonsense("its answer is no JSON"))) from error

    def nonsense(self, what: str) -> ClientUnavailable:
        """Return the error for an answer that can't be: ``what`` is wrong."""
        return ClientUnavailable(
            f"{shown(self.address)} did not answer as {self.label} does ({what}); "
            "check the address of the connection"
        )

    def in_time(self, told: float, since: float) -> None:
        """Compare what a source says is now with this machine's clock; ``since`` is when it was asked.

        Raises:
            ClientUnavailable: They differ by more than ``SKEW_S``: "the last minute" is another one there.
        """
        behind, ahead = since - told, told - self.clock()
        if max(behind, ahead) > SKEW_S:
            way = "ahead of" if ahead > 0 else "behind"
            raise ClientUnavailable(
                f"the clock of {shown(self.address)} is {span(max(behind, ahead))} {way} this machine's, so "
                "what it calls now is another time; set both by NTP"
            )

    def _dated(self, told: str | None, sent: float) -> None:
        """Compare the time at which an answer was made (RFC 9110, 6.6.1) with this machine's: ``in_time``."""
        try:
            at = parsedate_to_datetime(told or "")
        except ValueError:
            return  # a server without a clock sends none
        seconds = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
        # They are whole there, cut.
        self.in_time(seconds + (1.0 if seconds < sent else 0.0), sent)

    def one_of(self, pairs: Sequence[Any], sent: float, question: Question, spacing: float = 0.0) -> Answer:
        """Return the number that stands for pairs of time (seconds since the epoch) and value, oldest first.

        ``sent`` is when they were asked for, ``spacing`` how many seconds a point stands for, as far as that
        is told: at least as many as lie between the two that are closest.

        A source that lists only the points it has shows no gap at the end of a series, so none is no number
        whose newest point is older than two points, a quarter of the time asked for, and ``late_s``. A sum is
        one: where something is counted, no point means that nothing happened.

        Raises:
            ClientUnavailable: One is no such pair, two have one time, or they are out of order; the newest
                lies in the future, or the oldest before the time that was asked for.
        """
        times, values = self._points(pairs, sent)
        over = period(question)
        spacing = min(over, max(spacing, min((b - a for a, b in pairwise(times)), default=0.0)))
        if times and sent - over - times[0] > max(spacing, SKEW_S):
            raise self.nonsense("a point lies before the time that was asked for")
        old = sent - times[-1] if times else 0.0
        if question.take != "sum" and old > max(2 * spacing, TAIL * over, self.late_s):
            return Answer(None, f"the newest point is {span(old)} old: the series has ended")
        return taken(values, question.take)

    def _points(self, pairs: Sequence[Any], sent: float) -> tuple[list[float], list[float | None]]:
        times: list[float] = []
        values: list[float | None] = []
        last = -math.inf
        for pair in pairs:
            at = number_of(pair[0], self) if isinstance(pair, list | tuple) and len(pair) == 2 else None
            if at is None:
                raise self.nonsense("a point is no pair of time and value")
            if at <= last:
                raise self.nonsense("two points have one time, or are out of order")
            last = at
            times.append(at)
            values.append(number_of(pair[1], self))
        self.in_time(max(last, sent), sent)
        return times, values


def number_of(found: object, source: WebSource) -> float | None:
    """Return a number of JSON, or of a text of it; None for null and NaN.

    Raises:
        ClientUnavailable: It is something else: true is no number, and neither is a list.
    """
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int | float | str):
        raise source.nonsense(f"{unshown(json.dumps(found, default=str), 60)} is no number")
    try:
        value = float(found)
    except (ValueError, OverflowError) as error:
        raise source.nonsense(f"{unshown(found, 60)!r} is no number") from error
    return None if math.isnan(value) else value


def object_of(found: object, source: WebSource) -> Mapping[str, Any]:
    """Return an object of JSON; raise ClientUnavailable for something else."""
    if not isinstance(found, dict):
        raise source.nonsense("an object is missing")
    return found


def list_of(found: object, source: WebSource) -> list[Any]:
    """Return a list of JSON; raise ClientUnavailable for something else."""
    if not isinstance(found, list):
        raise source.nonsense("a list is missing")
    return found


def span(seconds: float) -> str:
    """Return a length of time in words."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"

"""What relman asks of a system that keeps defects: about issues that commits name, one by one.

Not by a search: a text that merely looks like a key (``UTF-8``) makes Jira refuse the whole of it. What a
server says of a failure is not repeated, since people are shown what comes of it.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import httpx

from relman_plugins.clients.http import client, request
from relman_plugins.domain.defect import Defect
from relman_plugins.errors import ClientError, ClientRejected, ClientUnavailable

MOST_ISSUES = 50
"""Issues that are asked about; of a change that names more, nobody knows all."""

LIMIT_S = 15.0
"""Seconds for one question."""

ALL_LIMIT_S = 60.0
"""Seconds for all of them."""

MAX_BYTES = 1024 * 1024
_GONE = frozenset({301, 404, 410})


class Defects(ABC):
    """One system. Asking changes nothing there."""

    system: str

    def __init__(
        self,
        base_url: str,
        project: str,
        kinds: Iterable[str],
        headers: Mapping[str, str],
        auth: tuple[str, str] | None,
    ) -> None:
        self.project = project
        self.kinds = frozenset(kind.casefold() for kind in kinds)
        self._http = client(base_url, headers={**self.headers(), **headers}, auth=auth)

    def headers(self) -> dict[str, str]:
        """Return what is sent with every question."""
        return {"Accept": "application/json"}

    @abstractmethod
    def named(self, issues: Sequence[str]) -> list[str]:
        """Return those of the issues that commits name which can be this system's."""

    @abstractmethod
    def address(self, issue: str) -> tuple[str, dict[str, str]]:
        """Return path and query of an issue."""

    @abstractmethod
    def read(self, issue: str, said: Mapping[str, Any]) -> Defect:
        """Return what an answer says; raise LookupError, TypeError or ValueError when it is none."""

    def open_among(self, issues: Sequence[str]) -> tuple[tuple[Defect, ...], str]:
        """Return the open defects among issues that commits name, and why these may not be all.

        Never raises for what the system says or does: then that is the reason.
        """
        named, found = self.named(issues), list[Defect]()
        started, missing = time.monotonic(), list[str]()
        for issue in named[:MOST_ISSUES]:
            if time.monotonic() - started > ALL_LIMIT_S:
                return tuple(found), f"{self.system} is too slow: it was not asked about all issues"
            try:
                defect = self.find(issue)
            except ClientError as error:
                return tuple(found), str(error)
            if defect is None:
                missing.append(issue)
            if defect is not None and defect.is_defect and defect.is_open:
                found.append(defect)
        # Without a project, a text that merely looks like a key of Jira's may be among those that are there.
        if missing and (self.project or len(missing) == len(named)):
            return tuple(found), f"{self.system} shows no {', '.join(missing[:5])}: may its account see them?"
        most = f"{len(named)} issues are named; {self.system} was asked about {MOST_ISSUES} of them"
        return tuple(found), most if len(named) > MOST_ISSUES else ""

    def find(self, issue: str) -> Defect | None:
        """Return an issue; None when there is none that the account may see.

        Raises:
            ClientUnavailable: no answer, or one that is not understood.
            ClientRejected: the account may not ask.
        """
        path, query = self.address(issue)
        try:
            answer = request(self._http, "GET", path, params=query, limit_s=LIMIT_S, max_bytes=MAX_BYTES)
        except ClientError as error:
            if error.status in _GONE:
                return None
            raise self._own_words(error) from error
        try:
            body = answer.json()
            return self.read(issue, body) if isinstance(body, dict) else self._nonsense(issue)
        except (LookupError, TypeError, ValueError, AttributeError, RecursionError):
            return self._nonsense(issue)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _nonsense(self, issue: str) -> Defect:
        raise ClientUnavailable(f"{self.system}'s answer about {issue} is not understood")

    def _own_words(self, error: ClientError) -> ClientError:
        status, host = error.status, self._http.base_url.host
        if status is None:
            return ClientUnavailable(f"{self.system} at {host} can't be asked: {_last(error)}")
        why = {401: "it does not take the connection's login", 403: "the connection's account may not ask"}
        return ClientRejected(f"{self.system} at {host}: {why.get(status, f'it answered {status}')}")


def title(said: object) -> str:
    """Return a title in one line without what can't be seen, cut."""
    return "".join(c for c in " ".join(str(said).split()) if c.isprintable())[:150]


def _last(error: ClientError) -> str:
    cause = error.__cause__
    return (
        "time-out" if isinstance(cause, httpx.TimeoutException) or "time-out" in str(error) else "no answer"
    )

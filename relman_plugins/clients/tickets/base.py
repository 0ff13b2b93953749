"""What relman asks of a system that keeps change tickets, whichever it is."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from types import TracebackType
from typing import Any, Protocol, Self, runtime_checkable

import httpx

from relman_plugins.clients.http import TIMEOUT_S, client, request, shown
from relman_plugins.domain.ticket import Draft, Ending, Ticket
from relman_plugins.errors import ClientError, ClientRejected, ClientUnavailable

MAX_BYTES = 1024 * 1024
"""The largest answer about one ticket that is read."""

LIMIT_S = 30.0
"""Seconds for one request as a whole."""

_KIND = re.compile(r"[\w.+-]{1,40}/[\w.+-]{1,40}", re.ASCII)
_HINTS = {
    401: "it does not take the connection's login; put a valid one into the connection",
    403: "the connection's account may not do that there; give it the right",
    404: "there is no such address; is the connection's host right, and may its account see that table?",
    429: "it gets too many requests",
}
_ELSEWHERE = "it sends elsewhere, where no login is taken along; give the connection the right host"


@runtime_checkable
class Tickets(Protocol):
    """A system that keeps change tickets. Everything it says is checked; nonsense is never an answer.

    What its methods raise is said in relman's own words, and may be recorded: a server's words are quoted
    only where nobody could do without them, and then short and in one line.
    """

    def find(self, number: str) -> Ticket | None:
        """Return a ticket by its number; None when there is none that this account can see.

        Raises:
            ClientUnavailable: No answer, or one that cannot be understood: trying again can help.
            ClientRejected: The number is none of this system, the account may not ask, or two tickets have
                the number.
        """
        ...

    settles_s: float
    """Seconds after which a ticket that a lost request has created is surely found by ``created``."""

    def created(self, correlation: str) -> str | None:
        """Return the number of the ticket that was created with a correlation; None when none is found.

        Raises as ``find``.
        """
        ...

    def create(self, draft: Draft) -> str:
        """Create a ticket, return its number. Not idempotent: ask ``created`` first. Raises as ``find``."""
        ...

    def note(self, number: str, key: str, text: str) -> None:
        """Add a note to a ticket, unless it has one with ``key``. Idempotent. Raises as ``find``."""
        ...

    def begin(self, number: str, states: Collection[str], ending: Ending) -> None:
        """Let a ticket say that its change goes on, if one of ``states`` (normal) does. Idempotent."""
        ...

    def end(self, number: str, ending: Ending, *, good: bool | None, text: str) -> None:
        """Close a ticket as successful or not; None: cancel it, since nothing came of it. Idempotent.

        Raises as ``find``; ClientRejected also when there is no way from the state that it is in.
        """
        ...

    def check(self) -> str:
        """Ask something that changes nothing; return who answers, in a sentence. Raises as ``find``."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Server:
    """What the clients of all systems share: one HTTP client, and answers that are objects of JSON."""

    system = ""
    """What people call the system."""
    settles_s = LIMIT_S + 60.0
    """What ``create`` has sent is done or lost by then."""

    def __init__(
        self,
        base_url: str,
        *,
        timeout: float = TIMEOUT_S,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
    ) -> None:
        """Remember where the system is; the arguments are those of ``clients.http.client``."""
        base_url = base_url.rstrip("/") + "/"
        wanted = {"Accept": "application/json", **(headers or {})}
        self._http: httpx.Client = client(base_url, timeout=timeout, headers=wanted, auth=auth)
        self.page = shown(base_url)
        """What addresses of tickets for people begin with: without the login that may stand in it."""

    def asked(self, method: str, path: str, **kwargs: Any) -> dict[str, Any]:
        """Send a request (arguments as of ``clients.http.request``); return the object in its answer.

        Raises:
            ClientError: As ``request``, in words that may be recorded; ClientUnavailable also when the
                answer is something else, such as the page of a proxy or of an instance that sleeps.
        """
        try:
            answer = request(self._http, method, path, limit_s=LIMIT_S, max_bytes=MAX_BYTES, **kwargs)
        except ClientError as error:
            raise self._own_words(error) from error
        return {} if answer.status_code == 204 else self._read(answer)

    def listed(self, path: str) -> list[dict[str, Any]]:
        """Do as ``asked``, for an answer that is a list of objects."""
        try:
            answer = request(self._http, "GET", path, limit_s=LIMIT_S, max_bytes=8 * MAX_BYTES)
        except ClientError as error:
            raise self._own_words(error) from error
        body = self._json(answer)
        if not isinstance(body, list):
            raise self._not_json(answer)
        return [one for one in body if isinstance(one, dict)]

    def nonsense(self, about: str, name: str, found: object) -> ClientUnavailable:
        """Return the error for a field that can't be what it is."""
        return ClientUnavailable(
            f"{self.system}'s answer about {about} has {name} {str(found)[:60]!r}, which is not understood; "
            "may the connection's account read that field?"
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _own_words(self, error: ClientError) -> ClientError:
        status = error.status
        if status is None:
            # What there is of it is relman's own, and what the network says.
            said = f"{self.system} can't be asked: {str(error)[:300]}"
        else:
            hint = _ELSEWHERE if 300 <= status < 400 else _HINTS.get(status, "")
            said = f"{self.system} ({self._http.base_url.host}) answered {status}"
            if status == 400 or (status == 403 and error.said):
                # Which field is missing, or may not be set, and which rule forbids it, nobody else knows.
                said_there = f"it does not take what was sent: {words(error.said, 160)}"
                hint = "; ".join(filter(None, [hint, said_there]))
            said += f": {hint}" if hint else ""
        if isinstance(error, ClientUnavailable):
            own: ClientError = ClientUnavailable(said, error.retry_after)
        else:
            own = ClientRejected(said)
        own.status = status
        return own

    def _read(self, answer: httpx.Response) -> dict[str, Any]:
        body = self._json(answer)
        if not isinstance(body, dict):
            raise self._not_json(answer)
        return body

    def _json(self, answer: httpx.Response) -> Any:
        try:
            return answer.json()
        except (ValueError, RecursionError):
            return None

    def _not_json(self, answer: httpx.Response) -> ClientUnavailable:
        kind = _KIND.match(answer.headers.get("content-type", ""))
        return ClientUnavailable(
            f"{shown(answer.request.url)} answered with {kind[0] if kind else 'no content type'}, "
            f"expected {self.system}'s JSON; look at the address with a browser: is it awake?"
        )


def words(text: str, limit: int = 100) -> str:
    """Return a name that a server gave, in one line without what can't be seen, cut to ``limit``."""
    return "".join(c for c in " ".join(text.split()) if c.isprintable())[:limit]

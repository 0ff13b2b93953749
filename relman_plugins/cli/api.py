"""The server, as the command line sees it: Airflow's public API and relman's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from relman_plugins.cli import config
from relman_plugins.cli.exits import Exit, Stop
from relman_plugins.clients.http import TIMEOUT_S, client, shown
from relman_plugins.errors import ClientRejected

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

RELMAN = "/relman/api/v1"
AIRFLOW = "/api/v2"
LONGEST_REASON = 1000
"""Characters that are shown of a refusal that repeats what it refuses."""


class Api:
    """A session with one server; logs in at the first request. Use as a context manager.

    Every failure is a :class:`Stop`: code 3 when the server can't be used, 1 when it refuses.
    """

    def __init__(
        self,
        url: str,
        user: str = "",
        password: str = "",
        token: str = "",
        *,
        sources: Mapping[str, str] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._user, self._password, self._token = user, password, token
        self.sources = dict(sources or {})
        """Where address and login came from, in words."""
        self.answered = False
        """Whether something has answered at the address yet."""
        if not token.isascii() or not token.isprintable() or token != token.strip():
            raise Stop(Exit.USAGE, f"{self.sources.get('token', '--token')}: this is no token")
        headers = {"X-Relman-Via": "cli", "Accept": "application/json"}
        try:
            self._http: httpx.Client = client(url.rstrip("/"), timeout_s, headers)
        except ClientRejected as error:
            raise Stop(Exit.USAGE, f"{self.sources.get('url', '--url')}: {error}") from error
        self.url = shown(url).rstrip("/")

    def __enter__(self) -> Api:
        return self

    def __exit__(self, *exc: object) -> None:
        self._http.close()

    def relman(self, method: str, path: str, **kwargs: Any) -> Any:
        """Ask relman's API; ``path`` begins with a slash and is already quoted."""
        return self._ask(method, RELMAN + path, **kwargs)

    def airflow(self, method: str, path: str, **kwargs: Any) -> Any:
        """Ask Airflow's public API."""
        return self._ask(method, AIRFLOW + path, **kwargs)

    def reach(self) -> None:
        """Stop unless a server answers at the address; needs no login."""
        self._send("GET", f"{AIRFLOW}/version")

    def log_in(self) -> None:
        """Get a token unless there is one; stop when user or password are wrong."""
        if self._token or not self._user:
            return
        body = {"username": self._user, "password": self._password}
        answer = self._send("POST", "/auth/token", json=body)
        if answer.status_code in {400, 401, 403}:
            raise Stop(
                Exit.ENVIRONMENT,
                f"{self.url} refused user {self._user!r}: {_reason(answer)}; {self._who()}",
            )
        self._token = str(_json(self._good(answer)).get("access_token", ""))

    def _ask(self, method: str, path: str, **kwargs: Any) -> Any:
        self.log_in()
        return _json(self._good(self._send(method, path, **kwargs), own=path.startswith(RELMAN)))

    def _send(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        import httpx

        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        try:
            answer = self._http.request(method, path, headers=headers, **kwargs)
        except httpx.HTTPError as error:
            said = (
                "time-out"
                if isinstance(error, httpx.TimeoutException)
                else str(error) or type(error).__name__
            )
            raise Stop(
                Exit.ENVIRONMENT,
                f"no answer from {self.url} ({said}); is Airflow's API server running there? "
                "--url or RELMAN_URL names another address",
            ) from error
        self.answered = True
        return answer

    def _who(self) -> str:
        """Say where the login came from, and how to give another one."""
        came = [
            f"{what} from {self.sources[what]}"
            for what in ("user", "password", "token")
            if what in self.sources
        ]
        note = f"{note}; " if (note := self.sources.get("note")) else ""
        said = f"{', '.join(came)}; " if came else ""
        return f"{note}{said}give --user and --password, or --token, or put them into {config.path()}"

    def _good(self, answer: httpx.Response, *, own: bool = False) -> httpx.Response:
        if answer.is_success:
            return answer
        reason = _reason(answer, own=own)
        # Airflow says 401 to nobody and to an expired token, but 403 to a token that it can't read.
        if answer.status_code == 401 or reason == "Invalid JWT token":
            raise Stop(
                Exit.ENVIRONMENT,
                f"not logged in at {self.url}: {reason}; {self._who()}",
            )
        if answer.status_code >= 500:
            raise Stop(Exit.ENVIRONMENT, f"{self.url} answered {answer.status_code}: {reason}")
        raise Refusal(answer.status_code, reason)


class Refusal(Stop):
    """The server understood and said no; ``status`` is the HTTP status."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(Exit.FINDINGS, reason)
        self.status = status


def part(text: str) -> str:
    """Quote one part of a path; what is no text in it is left to the server to refuse."""
    return quote(text, safe="", errors="surrogateescape")


def _json(answer: httpx.Response) -> Any:
    # Airflow answers unknown paths with its web page and 200, so the type is checked, not the status.
    if "json" not in answer.headers.get("content-type", ""):
        raise NotMounted(shown(answer.request.url))
    return answer.json()


class NotMounted(Stop):
    """The path is answered by Airflow's web page: relman isn't there."""

    def __init__(self, url: str) -> None:
        super().__init__(
            Exit.ENVIRONMENT,
            f"{url} is not an API: relman's plugin is not mounted there; install relman in the API server's "
            "environment, restart it, and look for plugin errors in its log",
        )


def _reason(answer: httpx.Response, *, own: bool = False) -> str:
    """Return why a server says no; ``own``: relman itself, whose sentences are shown to their end."""
    try:
        said: Any = answer.json().get("detail")
    except (ValueError, AttributeError):
        said = None
    listed = isinstance(said, list)  # of what is wrong with a body, which quotes it
    if isinstance(said, list):
        told = (str(item.get("msg", item)) if isinstance(item, dict) else str(item) for item in said)
        # The framework's own words before those of whoever refuses a value.
        said = "; ".join(one.removeprefix("Value error, ") for one in told)
    if isinstance(said, dict):
        said = said.get("message") or said.get("reason") or str(said)
    if not said:
        return f"{answer.status_code} {answer.reason_phrase}"
    return str(said).strip() if own and not listed else _brief(str(said))


def _brief(text: str) -> str:
    """Return the first paragraph, its middle left out if it is long: Airflow repeats what it was sent."""
    first = " ".join(text.strip().partition("\n\n")[0].split())
    return first if len(first) <= LONGEST_REASON else f"{first[: LONGEST_REASON - 100]} … {first[-97:]}"

"""The sandbox's driver: `observe` and `converge` by asking the daemon."""

from __future__ import annotations

import ssl
from typing import Any

import httpx
from pydantic import ValidationError

from relman_plugins.domain.state import DesiredState, ObservedState
from relman_plugins.errors import PlatformError, PlatformRejected, PlatformUnavailable, StaleToken
from relman_plugins.platforms.sandbox.reach import LOOPBACK

ANSWER_S = 10.0
"""How long the daemon may take for an answer beyond the time a change is given."""

ERRORS: dict[str, type[PlatformError]] = {
    "stale_token": StaleToken,
    "rejected": PlatformRejected,
    "forbidden": PlatformRejected,
}


class SandboxPlatform:
    """Speaks to the daemon's control port. Safe in threads and after a fork: one connection a call."""

    baselines = True

    def __init__(
        self, host: str = "127.0.0.1", port: int | None = None, password: str | None = None, **_: Any
    ) -> None:
        """Keep the address; nothing is connected.

        Args:
            host: Loopback name or address of the daemon; any other host with its token only.
            port: Its control port.
            password: The daemon's token, if it has one.
            _: Other fields of a connection, not used.

        Raises:
            ValueError: No port, or another machine's daemon without its token.
        """
        if host not in LOOPBACK and not password:
            raise ValueError(
                f'a sandbox on another host than this one has a token; "{host}" needs it as the password'
            )
        if not port:
            raise ValueError("the sandbox's control port is missing: it is in the daemon's --ready-file")
        self._url = f"http://{'127.0.0.1' if host in LOOPBACK else host}:{int(port)}"
        self._headers = {"Authorization": f"Bearer {password}"} if password else {}

    def observe(self, environment: str, service: str) -> ObservedState:
        """Say what runs; see `Platform.observe`."""
        return self._ask("GET", environment, service, ANSWER_S)

    def converge(
        self, environment: str, service: str, desired: DesiredState, *, token: int, timeout_s: float = 60
    ) -> ObservedState:
        """Make it so; see `Platform.converge`."""
        body = {"desired": desired.model_dump(mode="json"), "token": token, "timeout_s": timeout_s}
        return self._ask("PUT", environment, service, timeout_s + ANSWER_S, body)

    def _ask(
        self,
        method: str,
        environment: str,
        service: str,
        timeout_s: float,
        body: dict[str, Any] | None = None,
    ) -> ObservedState:
        url = f"{self._url}/v1/state/{environment}/{service}"
        try:
            # The daemon speaks plain HTTP: a context that trusts nobody spares reading all root certificates.
            none = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            timeout = httpx.Timeout(timeout_s, connect=5)
            with httpx.Client(timeout=timeout, trust_env=False, verify=none) as client:
                answer = client.request(method, url, json=body, headers=self._headers)
        except httpx.HTTPError as e:
            raise PlatformUnavailable(
                f"the sandbox daemon does not answer {method} {url}: {e or type(e).__name__}. "
                "Start it with: python -m relman_plugins.platforms.sandbox --home DIR"
            ) from e
        if answer.status_code == httpx.codes.OK:
            try:
                return ObservedState.model_validate_json(answer.content)
            except ValidationError as e:
                raise PlatformUnavailable(f"{url} is no sandbox daemon: {e}") from e
        raise _error(answer, url)


def _error(answer: httpx.Response, url: str) -> PlatformError:
    try:
        body = answer.json()
        kind, message = ERRORS.get(body["error"], PlatformUnavailable), str(body["message"])
    except (ValueError, KeyError, TypeError):
        if answer.status_code == httpx.codes.NOT_FOUND:
            return PlatformRejected(
                f"{url}: not found; environment and service must be lower-case DNS labels"
            )
        return PlatformUnavailable(f"{url} answered {answer.status_code}: {answer.text[:200]}")
    return kind(message)

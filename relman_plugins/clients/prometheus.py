"""Prometheus's HTTP query API: one number for one PromQL query.

Works with whatever speaks ``/api/v1/query``: Prometheus, Thanos, Mimir, VictoriaMetrics, relman's sandbox.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import httpx

from relman_plugins.clients.http import TIMEOUT_S, async_client, async_request, client, request, shown
from relman_plugins.errors import ClientRejected, ClientUnavailable

_PATH = "api/v1/query"
_GET_LIMIT = 2000
_PLACEHOLDER = re.compile(r"\$(?:(?P<escaped>\$)|(?P<name>[a-z_]+)|\{(?P<braced>[a-z_]+)\})")


def fill(
    query: str,
    *,
    service: str = "",
    environment: str = "",
    version: str = "",
    stable: str | None = None,
    window: str | None = None,
) -> str:
    r"""Put a release's values into a query: ``$service``, ``$environment``, ``$version`` and ``$stable``.

    ``$window`` is there for counts only: the time since something began, such as ``37250ms``.

    ``${name}`` is the same as ``$name``, ``$$`` is a dollar sign, and a dollar sign before anything else
    than a name (the end of a regular expression) stays. Values are escaped so that they cannot leave the
    PromQL string they stand in. ``stable`` is the live version; None (a first deployment) becomes empty.

    Raises:
        ClientRejected: The query names something else, such as ``$zone``.
    """
    values = {"service": service, "environment": environment, "version": version, "stable": stable or ""}
    values |= {"window": window} if window is not None else {}

    def put(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        name = match["name"] or match["braced"]
        if name not in values:
            known = ", ".join(f"${v}" for v in values)
            raise ClientRejected(
                f"the query names ${name}; expected one of {known} (write $$ for a dollar sign)"
            )
        return _escaped(values[name])

    return _PLACEHOLDER.sub(put, query)


def _escaped(value: str) -> str:
    # Hexadecimal escapes are legal in single and in double quotes; \' and \" only in their own kind.
    return re.sub(r"[\\\"'`\n\r]", lambda m: f"\\x{ord(m[0]):02x}", value)


class Prometheus:
    """A metrics server. Cheap to make: it connects at the first query.

    Use it as a context manager (``with`` or ``async with``), or close it. Synchronous queries may come from
    several threads; asynchronous ones belong to one event loop.
    """

    def __init__(
        self,
        base_url: str,
        *,
        timeout: float = TIMEOUT_S,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
    ) -> None:
        """Remember where the server is; the arguments are those of ``clients.http.client``."""
        self.base_url = base_url.rstrip("/") + "/"
        self._options: dict[str, Any] = {"timeout": timeout, "headers": headers, "auth": auth}
        self._sync: httpx.Client | None = None
        self._async: httpx.AsyncClient | None = None

    def query(self, promql: str, at: datetime | None = None) -> float | None:
        """Ask for one number, as of ``at`` (aware; None is the server's now).

        Returns:
            The value of a scalar or of a vector with one sample; None when there is no sample or the value is
            NaN. It can be infinite: a division by zero.

        Raises:
            ClientUnavailable: No answer, a time-out, 429 or 5xx.
            ClientRejected: The query is wrong, or gives something else than one number.
        """
        if self._sync is None:
            self._sync = client(self.base_url, **self._options)
        return self._number(promql, request(self._sync, **_asked(promql, at)))

    async def async_query(self, promql: str, at: datetime | None = None) -> float | None:
        """Do what ``query`` does, without blocking the event loop."""
        if self._async is None:
            self._async = async_client(self.base_url, **self._options)
        return self._number(promql, await async_request(self._async, **_asked(promql, at)))

    def close(self) -> None:
        """Close the connections of ``query``."""
        if self._sync is not None:
            self._sync.close()
            self._sync = None

    async def aclose(self) -> None:
        """Close the connections of ``async_query`` and of ``query``."""
        self.close()
        if self._async is not None:
            await self._async.aclose()
            self._async = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.aclose()

    def _number(self, promql: str, answer: httpx.Response) -> float | None:
        where = shown(self.base_url)
        try:
            body = answer.json()
            if body["status"] != "success":
                raise ClientRejected(f"{where} refused {promql!r}: {body.get('error', 'no reason given')}")
            kind, result = body["data"]["resultType"], body["data"]["result"]
            if kind == "vector":
                return _only(promql, result)
            if kind == "scalar":
                return _value(result[1])
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise ClientUnavailable(
                f"{where} did not answer as Prometheus does ({error!r}); check the address of the connection"
            ) from error
        raise ClientRejected(
            f"{promql!r} gives a {kind}; expected one number: "
            "use rate(), increase() or max_over_time() on a range"
        )


def _asked(promql: str, at: datetime | None) -> dict[str, Any]:
    if at is not None and at.tzinfo is None:
        raise ValueError("at needs a time zone")
    fields = {"query": promql} if at is None else {"query": promql, "time": f"{at.timestamp():.3f}"}
    if len(promql) <= _GET_LIMIT:
        # GET passes through read-only proxies; a long query does not fit into an address.
        return {"method": "GET", "path": _PATH, "params": fields}
    return {"method": "POST", "path": _PATH, "data": fields}


def _only(promql: str, result: list[dict[str, Any]]) -> float | None:
    if len(result) > 1:
        names = "; ".join(_labels(r["metric"]) for r in result[:3]) + ("; …" if len(result) > 3 else "")
        raise ClientRejected(
            f"{promql!r} gives {len(result)} series ({names}); expected one: "
            "wrap it in sum(…), max(…) or avg(…), or add matchers"
        )
    return _value(result[0]["value"][1]) if result else None


def _labels(metric: Mapping[str, str]) -> str:
    return ("{" + ", ".join(f'{k}="{v}"' for k, v in sorted(metric.items())) + "}")[:120]


def _value(text: str) -> float | None:
    value = float(text)
    return None if math.isnan(value) else value

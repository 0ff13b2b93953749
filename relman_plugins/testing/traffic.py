r"""Steady HTTP traffic against a service on this machine, for demos, rehearsals and tests.

    python -m relman_plugins.testing.traffic --url http://127.0.0.1:…/production/checkout/checkout \
        --rate 40 --body '{"items": [{"article": "mug"}]}' --report traffic.json

Requests leave at fixed times, whether or not earlier ones were answered: a slow service gets no less traffic.
Loopback only; rate and time are bounded. SIGTERM and SIGINT end it with a complete report and exit code 0;
usage errors exit with 2.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ipaddress
import json
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from relman_plugins.platforms.sandbox.home import write_json

MAX_RATE = 500.0
MAX_SECONDS = 3600.0
MAX_IN_FLIGHT = 400
"""A request that would be one more is not sent, and counted as skipped."""
ANSWER_S = 30.0
REPORT_EVERY_S = 1.0
VERSION_HEADER = "X-Relman-Version"


@dataclass
class Tally:
    """What came back, by the version that answered."""

    codes: dict[str, Counter[str]] = field(default_factory=dict)
    seconds: dict[str, list[float]] = field(default_factory=dict)
    failures: Counter[str] = field(default_factory=Counter)
    """Requests without an answer, by kind of failure."""
    sent: int = 0
    skipped: int = 0
    began: float = field(default_factory=time.monotonic)

    def answered(self, version: str, status: int, seconds: float) -> None:
        """Count one answer."""
        self.codes.setdefault(version, Counter())[str(status)] += 1
        self.seconds.setdefault(version, []).append(seconds)

    def report(self) -> dict[str, Any]:
        """Return everything as JSON: totals, and by version requests, errors (5xx), codes, p50 and p95."""
        versions = {
            version: {
                "requests": codes.total(),
                "errors": sum(n for code, n in codes.items() if code.startswith("5")),
                "codes": dict(sorted(codes.items())),
                "p50_s": _rank(self.seconds[version], 0.5),
                "p95_s": _rank(self.seconds[version], 0.95),
            }
            for version, codes in sorted(self.codes.items())
        }
        return {
            "seconds": round(time.monotonic() - self.began, 3),
            "sent": self.sent,
            "answered": sum(c.total() for c in self.codes.values()),
            "failed": dict(self.failures),
            "skipped": self.skipped,
            "versions": versions,
        }


async def run(url: str, rate: float, seconds: float, body: str | None, report: Path | None) -> Tally:
    """Send requests until the time is over or a signal comes; the report file is renewed every second.

    Args:
        url: Where to; must be on loopback.
        rate: Requests a second.
        seconds: How long.
        body: JSON to POST; without it the requests are GETs.
        report: File for `Tally.report`, replaced atomically.
    """
    tally, told = Tally(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    timeout = aiohttp.ClientTimeout(total=ANSWER_S)
    under_way: set[asyncio.Task[None]] = set()
    async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as client:
        written = tally.began
        while not told.is_set() and (now := time.monotonic()) < tally.began + seconds:
            while tally.sent + tally.skipped < (now - tally.began) * rate:
                if len(under_way) >= MAX_IN_FLIGHT:
                    tally.skipped += 1
                    continue
                tally.sent += 1
                task = asyncio.create_task(_send(client, url, body, tally))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            if report and now > written + REPORT_EVERY_S:
                written = now
                write_json(report, tally.report())
            due = tally.began + (tally.sent + tally.skipped) / rate
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(told.wait(), max(0.0, min(due, tally.began + seconds) - now))
        if under_way:
            await asyncio.wait(under_way, timeout=5.0)
        for task in under_way:
            task.cancel()
    if report:
        write_json(report, tally.report())
    return tally


async def _send(client: aiohttp.ClientSession, url: str, body: str | None, tally: Tally) -> None:
    began = time.monotonic()
    headers = {"Content-Type": "application/json"} if body is not None else {}
    try:
        async with client.request(
            "GET" if body is None else "POST", url, data=body, headers=headers
        ) as answer:
            await answer.read()
            version = answer.headers.get(VERSION_HEADER, "unknown")
            tally.answered(version, answer.status, time.monotonic() - began)
    except (aiohttp.ClientError, TimeoutError, OSError) as e:
        tally.failures[type(e).__name__] += 1


def _rank(values: list[float], q: float) -> float:
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(q * len(ordered)))], 4)


def _loopback(text: str) -> str:
    parts = urlsplit(text)
    host = parts.hostname or ""
    with contextlib.suppress(ValueError):
        if parts.scheme == "http" and (host == "localhost" or ipaddress.ip_address(host).is_loopback):
            return text
    raise argparse.ArgumentTypeError(f'"{text}" is not on this machine; expected http://127.0.0.1:PORT/…')


def _bounded(limit: float, text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < float(text) <= limit:
            return float(text)
    raise argparse.ArgumentTypeError(f'"{text}" is not above 0 and at most {limit:g}')


def _json(text: str) -> str:
    try:
        json.loads(text)
    except ValueError as e:
        raise argparse.ArgumentTypeError(f"not JSON: {e}") from e
    return text


def main() -> int:
    """Parse the command line, send, and print the report as JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m relman_plugins.testing.traffic", description="Steady HTTP traffic on this machine."
    )
    parser.add_argument("--url", type=_loopback, required=True, help="where to; loopback only")
    parser.add_argument(
        "--rate", type=lambda t: _bounded(MAX_RATE, t), default=40.0, help="requests a second"
    )
    parser.add_argument("--seconds", type=lambda t: _bounded(MAX_SECONDS, t), default=MAX_SECONDS)
    parser.add_argument("--body", type=_json, help="JSON to POST; without it the requests are GETs")
    parser.add_argument("--report", type=Path, help="file for the report, renewed every second")
    args = parser.parse_args()
    tally = asyncio.run(run(args.url, args.rate, args.seconds, args.body, args.report))
    sys.stdout.write(json.dumps(tally.report(), indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Production as the demo finds it: 1.0.0, deployed before relman came, with users on it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from relman_plugins.domain.state import DesiredState, ObservedState, Revision
from relman_plugins.platforms.archive import pack
from relman_plugins.platforms.base import Platform
from relman_plugins.platforms.registry import platform
from relman_plugins.testing.stack import Stack
from relman_plugins.testing.stack_process import Managed, StackError

SERVICE = "checkout"
VERSION = "1.0.0"
BASKET = '{"items": [{"article": "mug"}]}'
"""What every user buys."""

RATE = 40
"""Requests per second that the users of production make."""

RATE_OF_OTHERS = 10
"""Requests per second to whatever else is live: a minute of it is enough for an analysis."""


def driver(stack: Stack) -> Platform:
    """Return the driver of the stack's sandbox."""
    host, _, port = stack.addresses.sandbox.removeprefix("http://").rstrip("/").partition(":")
    return platform("sandbox", host=host, port=int(port))


def production(stack: Stack) -> ObservedState:
    """Return what runs in production."""
    return driver(stack).observe("production", SERVICE)


def deploy_as_found(stack: Stack) -> Revision | None:
    """Bring production to 1.0.0 unless something runs there; return what was deployed, or None."""
    sandbox = driver(stack)
    if sandbox.observe("production", SERVICE).stable is not None:
        return None
    revision = _build(stack)
    desired = DesiredState(stable=revision, stable_replicas=2, config={"LOG_LEVEL": "info"})
    sandbox.converge("production", SERVICE, desired, token=1)
    return revision


def start_traffic(stack: Stack) -> Managed:
    """Start the users of production; the process ends by itself after an hour."""
    report = stack.folders.home / "traffic.json"
    return stack.relman(
        "traffic",
        "relman_plugins.testing.traffic",
        *("--url", f"{stack.addresses.production(SERVICE)}/checkout", "--body", BASKET),
        *("--rate", str(RATE), "--report", str(report)),
    )


def start_users(stack: Stack, environment: str, service: str) -> Managed:
    """Start a few users of any service: they ask for its first page; ends by itself after an hour."""
    return stack.relman(
        f"traffic-{environment}-{service}",
        "relman_plugins.testing.traffic",
        *("--url", f"{stack.addresses.front}/{environment}/{service}/", "--rate", str(RATE_OF_OTHERS)),
    )


def _build(stack: Stack) -> Revision:
    source = stack.repo / "examples" / SERVICE
    output = stack.folders.home / "found"
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    told = {"RELMAN_VERSION": VERSION, "RELMAN_SOURCE": str(source), "RELMAN_OUTPUT": str(output)}
    done = subprocess.run(
        [sys.executable, "build.py"],
        cwd=source,
        env={**os.environ, **told},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise StackError(f"{source / 'build.py'} failed for {VERSION}:\n{done.stdout}{done.stderr}")
    packed = pack(Path(output), stack.folders.artifacts)
    shutil.rmtree(output)
    return packed.revision(VERSION)

"""Runs the real command as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def environment(**extra: str) -> dict[str, str]:
    """Return the environment of a person who has configured nothing."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RELMAN", "AIRFLOW"))}
    return kept | {"PYTHONPATH": str(ROOT), **extra}


def command(*args: object) -> list[str]:
    """Return the command line of ``relman ARGS``."""
    return [sys.executable, "-m", "relman_plugins.cli", *map(str, args)]


def relman(*args: object, **extra: str) -> subprocess.CompletedProcess[str]:
    """Run ``relman ARGS`` without a terminal; whatever happens, there is no traceback."""
    done = subprocess.run(
        command(*args),
        env=environment(**extra),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stderr + done.stdout, done.stderr
    return done


def as_user(server: Any, user: str) -> dict[str, str]:
    """Return the variables by which ``user`` is logged in at a test server."""
    return {"RELMAN_URL": server.url, "RELMAN_USER": user, "RELMAN_PASSWORD": user}

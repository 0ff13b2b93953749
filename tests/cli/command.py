"""Runs the real command as a process of its own."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

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


def here(*args: object) -> subprocess.CompletedProcess[str]:
    """Run ``relman ARGS`` in this process: a second faster, for commands that read files and nothing else."""
    from relman_plugins.cli.main import main

    out, err, line = io.StringIO(), io.StringIO(), ["relman", *map(str, args)]
    code = 0
    with redirect_stdout(out), redirect_stderr(err), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", line)
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
    return subprocess.CompletedProcess(line, code, out.getvalue(), err.getvalue())


def as_user(server: Any, user: str) -> dict[str, str]:
    """Return the variables by which ``user`` is logged in at a test server."""
    return {"RELMAN_URL": server.url, "RELMAN_USER": user, "RELMAN_PASSWORD": user}

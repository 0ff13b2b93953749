"""A Git repository with DAG files and specs."""

from __future__ import annotations

import subprocess
from importlib.util import find_spec
from pathlib import Path

from tests.conftest import missing


def begin(folder: Path) -> None:
    """Make a folder a repository; skips the test where Airflow's Git bundle is not installed."""
    if find_spec("airflow.providers.git") is None:
        missing("apache-airflow-providers-git", "make setup")
    git(folder, "init", "--quiet", "--initial-branch", "main")


def commit(folder: Path) -> str:
    """Commit all that is in the folder; return the commit's id."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "edited")
    return git(folder, "rev-parse", "HEAD")


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=Tests", "-c", "user.email=tests@example.com", "-c", "commit.gpgsign=false")
    command = ["git", "-C", str(folder), *who, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

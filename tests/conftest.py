"""Fixtures that every room's tests may use."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController

# How long an example takes says something of the machine's load, and nothing of what is tried.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@dataclass
class Postgres:
    """A PostgreSQL server of this test session; it listens on a socket in its own folder, on no port."""

    bin: Path
    home: Path
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @contextmanager
    def database(self) -> Iterator[str]:
        """Make an empty database, give its URL, then remove it."""
        name = f"test_{next(self._numbers)}"
        self._run("createdb", name)
        try:
            yield f"postgresql+psycopg://postgres@/{name}?host={self.home}"
        finally:
            self._run("dropdb", "--force", name)

    def _run(self, program: str, *args: str) -> None:
        command = [str(self.bin / program), "--host", str(self.home), "--username", "postgres", *args]
        subprocess.run(command, check=True, capture_output=True, text=True)


def missing(what: str, command: str) -> None:
    """Skip a test that needs a program which isn't here; fail when everything has to run."""
    message = f"{what} is not installed; `{command}` adds it"
    if os.environ.get("RELMAN_TEST_ALL") == "1":
        pytest.fail(message)
    pytest.skip(message)


def postgres_bin() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[4]))
    on_path = shutil.which("initdb")
    if found:
        return found[-1].parent
    return Path(on_path).parent if on_path else None


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A private PostgreSQL server, started once."""
    with postgres_server() as server:
        yield server


@contextmanager
def postgres_server() -> Iterator[Postgres]:
    """Start a private PostgreSQL server, and remove it with all that is in it."""
    binaries = postgres_bin()
    if binaries is None:
        missing("PostgreSQL", "apt-get install -y postgresql")
    assert binaries is not None
    # Not below tmp_path: its parents are closed to the user that PostgreSQL has to run as.
    home = Path(tempfile.mkdtemp(prefix="relman-pg-"))
    # PostgreSQL refuses to run as root.
    user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    if user:
        shutil.chown(home, "postgres", "postgres")
    data = home / "data"

    def run(*args: str) -> None:
        done = subprocess.run(args, cwd=home, capture_output=True, text=True, **user)  # type: ignore[call-overload]
        assert done.returncode == 0, done.stderr

    pg_ctl = (str(binaries / "pg_ctl"), "--pgdata", str(data), "--wait")
    try:
        run(
            str(binaries / "initdb"),
            "--pgdata",
            str(data),
            "--username",
            "postgres",
            "--no-sync",
            "-E",
            "UTF8",
        )
        options = (
            f"-c listen_addresses= -c unix_socket_directories={home} -c fsync=off -c max_connections=200"
        )
        run(*pg_ctl, "--log", str(home / "log"), "--options", options, "start")
        try:
            yield Postgres(binaries, home)
        finally:
            run(*pg_ctl, "--mode", "immediate", "stop")
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without a schema."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/ledger.db"
        return
    with request.getfixturevalue("postgres").database() as url:
        yield url


LONG = ("tests/system/", "tests/demo/", "tests/ui/", "tests/cli/", "tests/plugin/")
"""Where tests wait for real processes: begun first, so that nothing is left to wait for at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(
        key=lambda item: next((n for n, where in enumerate(LONG) if item.nodeid.startswith(where)), len(LONG))
    )


class LongAndShort(LoadFileScheduling):
    """Files of tests in their order, but the last of three workers or more begins with the last file.

    Tests of a whole Airflow wait more than they work, so that a third worker finds time beside two of them. A
    third Airflow beside two would be too much for two cores: its API then answers too late.
    """

    def _assign_work_unit(self, node: WorkerController) -> None:
        if len(self.nodes) > 2 and node.gateway.id == f"gw{len(self.nodes) - 1}":
            self.workqueue.move_to_end(next(reversed(self.workqueue)), last=False)
        super()._assign_work_unit(node)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LongAndShort | None:
    return LongAndShort(config, log) if config.getoption("dist") == "loadfile" else None

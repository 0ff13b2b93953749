"""Real daemons, real artifacts of the example service."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from relman_plugins.domain.state import Revision
from relman_plugins.platforms import archive
from tests.platforms.living import CHECKOUT, COMMAND, Daemon


@pytest.fixture(scope="session")
def builds(tmp_path_factory) -> dict[str, Path]:
    """Each version of the example service, built by its own build command."""
    found = {}
    for version in sorted(p.name for p in (CHECKOUT / "versions").iterdir()):
        found[version] = tmp_path_factory.mktemp("build") / version
        env = {**os.environ, "RELMAN_VERSION": version, "RELMAN_OUTPUT": str(found[version])}
        subprocess.run([sys.executable, "build.py"], cwd=CHECKOUT, env=env, check=True, capture_output=True)
    return found


@pytest.fixture(scope="session")
def revisions(builds, tmp_path_factory) -> dict[str, Revision]:
    """The versions as artifacts in a store."""
    store = tmp_path_factory.mktemp("store")
    return {version: archive.pack(path, store).revision(version) for version, path in builds.items()}


def living(daemon: Daemon) -> Iterator[Daemon]:
    yield daemon
    subprocess.run([*COMMAND, "--home", str(daemon.home), "--stop-all"], check=True, capture_output=True)
    daemon.process.wait(20)
    assert not daemon.replicas()


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Iterator[Daemon]:
    """One daemon for the tests of a file; each uses environments of its own."""
    yield from living(Daemon(tmp_path_factory.mktemp("sandbox") / "home"))


@pytest.fixture
def daemon(tmp_path) -> Iterator[Daemon]:
    """A daemon that a test may kill."""
    yield from living(Daemon(tmp_path / "home"))

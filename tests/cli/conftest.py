"""The server of this room's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.plugin.airflow_server import Server, running


@pytest.fixture(autouse=True)
def nobodys_configuration(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the configuration file of whoever runs the tests out of them."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.getbasetemp() / "nobody"))


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """Give the running API server; it is killed at the end of the session."""
    yield running()
    running().stop()

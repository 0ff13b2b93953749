"""The server of this room's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.plugin.airflow_server import Server, running


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """Give the running API server; it is killed at the end of the session."""
    yield running()
    running().stop()

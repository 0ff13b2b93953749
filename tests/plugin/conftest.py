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


@pytest.fixture
def nothing_shown(server: Server) -> None:
    """Let members of the workspace see neither private words nor forms of other tests."""
    assert server.slack is not None
    server.slack.interactive.private.clear()
    server.slack.interactive.views.clear()

"""``relman metrics`` against a real server."""

from __future__ import annotations

import json
import re

import pytest

from tests.cli.command import as_user, relman
from tests.plugin.airflow_server import Server

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]


def test_it_answers_doras_questions(server: Server) -> None:
    server.release("5.9.1")
    shown = relman("metrics", "--pipeline", "checkout", **as_user(server, "vera"))
    assert shown.returncode == 0, shown.stderr
    assert re.search(r"^pipeline +environment +deployments +per week +lead time", shown.stdout, re.MULTILINE)
    assert "lead time for changes: median time from the opening of the release" in shown.stdout
    asked = ("metrics", "--from", "2020-03-01", "--to", "2020-03-31", "--format", "json")
    data = json.loads(relman(*asked, **as_user(server, "vera")).stdout)
    assert (data["since"], data["until"]) == ("2020-03-01T00:00:00Z", "2020-04-01T00:00:00Z")
    unknown = relman("metrics", "--pipeline", "none", **as_user(server, "vera"))
    assert (unknown.returncode, "no release of release__none" in unknown.stderr) == (1, True)

"""Pictures of analyses, from a real API server."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import parse_qs

import pytest

from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.plan.model import AnalysisPlan, MetricPlan
from tests.plugin.airflow_server import SHAPE, Server

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

API = "/relman/api/v1"


def test_the_picture_of_an_analysis_is_drawn_for_whoever_may_see_the_release(server: Server) -> None:
    signals = AnalysisPlan(
        name="signals", connection="m", metrics=(MetricPlan(name="errors", query="e", max=0.05),)
    )
    step = SHAPE.step("production.deploy")
    record = server.release("0.0.11", shape=SHAPE.model_copy(update={"analyses": (signals,)}))
    path = f"{API}/releases/{record.release_id}/pictures"
    assert server.ask("GET", path, "vera").json() == {"pictures": []}
    assert server.ask("GET", f"{path}/{step.id}.svg", "vera").status_code == 404
    looked = {"name": "errors", "value": 0.01, "verdict": "pass", "reason": "<b>fine</b>"}
    server.ledger.record(
        record.release_id,
        NewEvent(
            kind=Kind.ANALYSIS_MEASURED,
            key=f"{record.release_id}:{step.id}:try1:look1",
            step=step.id,
            environment=step.environment,
            data={"analysis": "signals", "weight": 10, "look": 1, "metrics": [looked]},
            at=datetime.now(UTC),
        ),
    )
    (picture,) = server.ask("GET", path, "vera").json()["pictures"]
    assert (picture["step"], picture["panels"][0]["lines"][0]["points"]) == (step.id, [0.01])
    drawn = server.ask("GET", f"{path}/{step.id}.svg", "vera", cookie=True)
    assert drawn.headers["content-type"] == "image/svg+xml"
    assert drawn.headers["content-security-policy"].startswith("default-src 'none'")
    assert "pass: &lt;b&gt;fine&lt;/b&gt;" in drawn.text
    assert server.ask("GET", f"{path}/{step.id}.svg", "vera").text == drawn.text
    assert server.ask("GET", f"{path}/..%2Freport.svg", "vera").status_code == 404
    browser = {"Accept": "text/html"}
    sent = server.ask("GET", f"{path}/{step.id}.svg", headers=browser)
    assert sent.status_code == 303
    assert parse_qs(sent.headers["location"].partition("?")[2]) == {"next": [f"{path}/{step.id}.svg"]}

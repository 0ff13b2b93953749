"""A suite that passes only when it is tried again, on a real Airflow: green, and told everywhere."""

from __future__ import annotations

from tests.cli.command import relman
from tests.system.conftest import World, slack_transcript
from tests.waiting import eventually


def test_a_flaky_suite_is_green_and_told_everywhere(world: World) -> None:
    run = world.start("flaky")
    assert run.outcome() == "succeeded"
    (ended,) = run.events("suite.finished")
    assert (ended.data["passed"], ended.data["tries"], ended.data["flakes"]) == (True, 2, 1)
    assert ended.data["flaky"] == [{"name": "test_b", "message": "timed out"}]
    url = world.stack.addresses.airflow
    login = {"RELMAN_URL": url, "RELMAN_USER": "admin", "RELMAN_PASSWORD": "admin"}
    status = relman("status", run.release_id, **login).stdout
    assert "unit: 2 tests, 0 failed, 0 skipped, 1 flaky" in status
    assert "flaky: test_b" in status
    assert "coverage: 50 % of 2 lines covered" in status
    assert "Failed and then passed in unit:" in relman("report", run.release_id, **login).stdout
    eventually(lambda: "flaky: `test_b`" in str(slack_transcript(world)) or None, "the message in Slack")
    # The next release is compared with this one.
    second = world.start("flaky", "1.2.0")
    assert second.outcome() == "succeeded"
    coverage = second.events("suite.finished")[0].data["reports"][0]
    assert coverage["reason"] == "50 % of 2 lines covered, +0.00 points since 1.1.0"

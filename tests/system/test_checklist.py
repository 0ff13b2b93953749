"""A checklist, answered by a second user through Airflow's own API, on a real Airflow."""

from __future__ import annotations

from typing import Any

import pytest

from tests.system.conftest import Run, World
from tests.waiting import eventually

LIST = "live.hands"


@pytest.fixture
def run(world: World) -> Run:
    """A release whose checklist waits; admin started it."""
    run = world.start("accepted")
    run.asked(LIST)
    return run


def answer(run: Run, user: str, option: str, **fields: str) -> tuple[int, Any]:
    path = f"{run.path}/taskInstances/{LIST}/-1/hitlDetails"
    said = {name.replace("_", "-"): value for name, value in fields.items()}
    return run.world.call(user, "PATCH", path, chosen_options=[option], params_input=said)


def test_a_tester_answers_on_airflows_page_and_the_release_goes_on(run: Run) -> None:
    detail = run.world.admin.required_action(run.dag_id, run.run_id, LIST)
    assert list(detail["params"]) == ["item-1", "pay", "comment"]
    assert run.world.seen("live", "accepted").url in detail["body"]
    status, said = answer(run, "bob", "Approve", item_1="passed", comment="on the tram")
    assert (status, "not tested yet: A card can be paid with (pay)" in said["detail"]) == (409, True)
    assert answer(run, "vera", "Approve", item_1="passed", pay="passed")[0] == 403
    status, said = answer(run, "bob", "Approve", item_1="passed", pay="passed", comment="on the tram")
    assert status == 200, said
    assert run.outcome() == "succeeded"
    suite = run.until("suite.finished").data
    assert (suite["passed"], suite["tests"], suite["by"]) == (True, 2, "Bob Example")
    assert run.events("gate.voted")[0].data["answers"] == {"item-1": "passed", "pay": "passed"}
    # What Airflow's page shows afterwards is what was said.
    closed = eventually(
        lambda: run.world.admin.required_action(run.dag_id, run.run_id, LIST), "the question", 10
    )
    assert closed["params_input"]["pay"] == "passed"


def test_a_checklist_marked_success_is_no_success(run: Run) -> None:
    run.parked(LIST)
    status, _ = run.world.call("bob", "PATCH", f"{run.path}/taskInstances/{LIST}", new_state="success")
    assert status == 200
    assert run.outcome() in ("failed", "rolled_back")
    assert run.state() == "failed"
    assert "suite.finished" not in run.kinds()

"""A scarce environment on a real Airflow: compared first, then worked in for as long as there are slots."""

from __future__ import annotations

from tests.cli.command import relman
from tests.system.conftest import World
from tests.waiting import eventually


def test_a_release_waits_for_its_pool_and_the_doctor_says_which(world: World) -> None:
    run = world.start("pooled")
    compared = run.until("parity.compared").data
    # Other pipelines of these tests may have released into the same environment by now.
    assert "LOG_LEVEL: only in pooled (debug)" in compared["lines"]
    eventually(lambda: run.task("pooled.deploy") == "scheduled", "the deployment in the queue")
    url = world.stack.addresses.airflow
    login = {"RELMAN_URL": url, "RELMAN_USER": "admin", "RELMAN_PASSWORD": "admin"}
    found = relman("doctor", **login)
    assert (found.returncode, "airflow pools set lab 1" in found.stdout) == (1, True)
    pool = {"name": "lab", "slots": 1, "description": "", "include_deferred": False}
    assert world.call("admin", "POST", "/api/v2/pools", **pool)[0] == 201
    assert run.outcome() == "succeeded"
    tasks = {t["task_id"]: t["pool"] for t in world.admin.tasks(run.dag_id, run.run_id)}
    assert {task for task, name in tasks.items() if name == "lab"} == {"pooled.deploy"}
    assert "fail  pools" not in relman("doctor", **login).stdout

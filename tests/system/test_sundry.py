"""Of what one look at a real Airflow is enough: suites, checklists, pools, the train, the record.

All in one Airflow, so that the train, which comes once, is waited for while something else is done.
"""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from relman_plugins.domain.identity import departure_of
from relman_plugins.testing.stack_config import SLACK_TOKEN
from tests.cli.command import ROOT, relman
from tests.repo import markdown
from tests.system.conftest import Run, World, slack_transcript
from tests.waiting import eventually

GATE, LIST, FOLLOW_UP = "live.approval", "live.hands", "follow_up"


@pytest.fixture(scope="module")
def reparse_s() -> int:
    return 2


@pytest.fixture(scope="module")
def ahead(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that says by how much the ledger's clock is ahead; the last test but one writes it."""
    return tmp_path_factory.mktemp("clock") / "ahead"


@pytest.fixture(scope="module")
def airflow_settings(ahead: Path) -> dict[str, str]:
    return {"AIRFLOW__RELMAN__REHEARSAL_CLOCK": str(ahead)}


@pytest.fixture(scope="module", autouse=True)
def shifted(world: World) -> Run:
    """A release that comes to its window, hours too early, while other tests are at work."""
    world.found("shifts", "shifts")
    return world.start("shifts")


@pytest.fixture(scope="module", autouse=True)
def train(world: World) -> None:
    """Give a pipeline a schedule that comes round while other tests are at work, now that Airflow is up."""
    soon = datetime.now(UTC) + timedelta(minutes=3)
    departs(
        world,
        "timed",
        f'{{cron: "{soon:%M %H} * * *", zone: UTC, version: {{file: ../checkout/VERSION}}, cutoff: 30s, '
        "announce: 1h}",
    )


def departs(world: World, name: str, schedule: str) -> None:
    """Write a pipeline with a schedule."""
    (world.specs / f"{name}.yaml").write_text(
        "apiVersion: relman/v1\n"
        "kind: ReleasePipeline\n"
        f"metadata: {{name: {name}, owner: tests}}\n"
        "artifact: {source: ../checkout, build: [python, build.py]}\n"
        "stages: [{environment: live}]\n"
        'notify: {slack: "#releases"}\n'
        f"schedule: {schedule}\n"
    )


@pytest.fixture(scope="module")
def stopped(world: World) -> Run:
    """A release that comes to a freeze while other tests are at work."""
    firm = {"environment": "frozen", "pipeline": "", "reason": "incident 7"}
    soft = {"environment": "", "pipeline": "frozen", "reason": "audit", "unless": "approved"}
    for frozen in (firm, soft):
        assert world.call("admin", "POST", "/relman/api/v1/freezes", **frozen)[0] == 201
    return world.start("frozen")


def test_an_event_of_an_asset_starts_a_release_of_the_version_that_it_says(world: World) -> None:
    departs(world, "published", "{assets: [checkout-image]}")

    def assets() -> Any:
        return world.call("admin", "GET", "/api/v2/assets?name_pattern=checkout-image")[1]["assets"]

    (asset,) = eventually(assets, "the asset", every_s=0.5)
    event = {"asset_id": asset["id"], "extra": {"version": "3.1.0"}}
    # SQLite answers 500 when another process has written meanwhile. An event may be there twice.
    eventually(lambda: world.call("admin", "POST", "/api/v2/assets/events", **event)[0] == 200, "the event")
    release = eventually(lambda: next(iter(world.ledger.releases(pipeline="published")), None), "its release")
    assert (release.version, release.started_by.id) == ("3.1.0", "schedule")
    due = departure_of(release.run_id)
    assert due is not None
    assert [e.action for e in world.ledger.trains.of("published", due)] == ["settled", "departed"]


def test_a_release_goes_on_when_somebody_breaks_its_spec(world: World, stopped: Run) -> None:
    run = world.start("gated")
    run.asked(GATE)
    spec = world.specs / "gated.yaml"
    before = spec.read_text()
    try:
        spec.write_text("kind: [")
        eventually(lambda: world.admin.has_dag("relman_invalid__gated") or _paused(world), "the sentinel")
        assert "broken: relman_invalid__gated; run relman validate" in " ".join(doctor(world).stdout.split())
        assert run.answer("alice", GATE, "Approve")[0] == 200
        assert run.outcome() == "succeeded"
        assert run.state() == "success"
    finally:
        spec.write_text(before)


def doctor(world: World) -> CompletedProcess[str]:
    login = {"RELMAN_USER": "admin", "RELMAN_PASSWORD": "admin"}
    return relman("doctor", RELMAN_URL=world.stack.addresses.airflow, **login)


def _paused(world: World) -> bool:
    status, dag = world.call("admin", "GET", "/api/v2/dags/relman_invalid__gated")
    return status == 200 and dag["is_paused"]


def test_a_dry_run_changes_nothing_and_asks_nobody(world: World) -> None:
    run = world.start("gated", dry_run=True)
    assert run.outcome() == "succeeded"
    assert run.state() == "success"
    assert not {"change.started", "gate.opened", "artifact.built", "lock.acquired"} & set(run.kinds())


def test_other_dags_follow_what_is_promoted_and_no_dry_run(world: World) -> None:
    (example,) = (b.text for b in markdown.blocks(ROOT / "docs/how-to/follow.md") if b.lang == "python")
    file = world.stack.repo / "dags" / "after.py"
    file.write_text(example.replace("relman://production/checkout", "relman://back/back"))
    found = "/api/v2/dags/after_checkout"
    # Airflow pauses what is new, unless it says otherwise.
    eventually(lambda: world.call("admin", "PATCH", found, is_paused=False)[0] == 200, "the DAG of the guide")
    dry, run = world.start("back", dry_run=True), world.start("back")
    assert (dry.outcome(), run.outcome()) == ("succeeded", "succeeded")

    def follows() -> list[Any]:
        runs = world.call("admin", "GET", f"{found}/dagRuns")[1]["dag_runs"]
        return [r for r in runs if r["state"] == "success"]

    (done,) = eventually(follows, "the DAG of the guide to run")
    run_id = quote(done["dag_run_id"], safe="")
    told = world.call("admin", "GET", f"{found}/dagRuns/{run_id}/upstreamAssetEvents")[1]
    (event,) = told["asset_events"]
    assert (event["uri"], event["extra"]["release"]) == ("relman://back/back", run.release_id)
    assert (event["extra"]["version"], event["extra"]["environment"]) == ("1.1.0", "back")


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


def test_people_say_after_a_rejection_what_is_to_be_done(world: World) -> None:
    run = world.start("asking")
    run.asked(GATE)
    assert run.answer("bob", GATE, "Reject")[0] == 200
    assert run.outcome() == "rejected"
    run.asked(FOLLOW_UP)
    assert world.ledger.locks.held(run.release_id) == []
    detail = world.admin.required_action(run.dag_id, run.run_id, FOLLOW_UP)
    assert detail["subject"] == "asking 1.1.0 rejected: follow-ups?"
    path = f"{run.path}/taskInstances/{FOLLOW_UP}/-1/hitlDetails"
    form = {"what_1": "Tell people before", "who_1": "Bob", "by_1": "2026-03-09", "what_2": None}
    status, said = world.call("alice", "PATCH", path, chosen_options=["Record follow-ups"], params_input=form)
    assert status == 200, said
    assert run.until("release.follow_up").data["items"][0]["what"] == "Tell people before"
    assert run.state() == "failed"
    assert run.task(FOLLOW_UP) == "success"
    assert run.kinds().count("release.closed") == 1
    status_now = world.ledger.status(run.release_id)
    assert (status_now.outcome, status_now.follow_ups and status_now.follow_ups.answered_by) == (
        "rejected",
        "Alice Example",
    )
    eventually(lambda: "wants 1 follow-up" in str(slack_transcript(world)), "the message in Slack")


@pytest.fixture
def accepted(world: World) -> Run:
    """A release whose checklist waits; admin started it."""
    run = world.start("accepted")
    run.asked(LIST)
    return run


def answer(run: Run, user: str, option: str, **fields: str) -> tuple[int, Any]:
    path = f"{run.path}/taskInstances/{LIST}/-1/hitlDetails"
    said = {name.replace("_", "-"): value for name, value in fields.items()}
    return run.world.call(user, "PATCH", path, chosen_options=[option], params_input=said)


def test_a_tester_answers_on_airflows_page_and_the_release_goes_on(accepted: Run) -> None:
    run = accepted
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
    closed = eventually(lambda: run.world.admin.required_action(run.dag_id, run.run_id, LIST), "the question")
    assert closed["params_input"]["pay"] == "passed"


def test_a_checklist_marked_success_is_no_success(accepted: Run) -> None:
    run = accepted
    run.parked(LIST)
    status, _ = run.world.call("bob", "PATCH", f"{run.path}/taskInstances/{LIST}", new_state="success")
    assert status == 200
    assert run.outcome() in ("failed", "rolled_back")
    assert run.state() == "failed"
    assert "suite.finished" not in run.kinds()


def test_a_release_waits_for_its_pool_and_the_doctor_says_which(world: World) -> None:
    run = world.start("pooled")
    compared = run.until("parity.compared").data
    # Other pipelines of these tests may have released into the same environment by now.
    assert "LOG_LEVEL: only in pooled (debug)" in compared["lines"]
    eventually(lambda: run.task("pooled.deploy") == "scheduled", "the deployment in the queue")
    found = doctor(world)
    assert (found.returncode, "airflow pools set lab 1" in found.stdout) == (1, True)
    pool = {"name": "lab", "slots": 1, "description": "", "include_deferred": False}
    assert world.call("admin", "POST", "/api/v2/pools", **pool)[0] == 201
    assert run.outcome() == "succeeded"
    tasks = {t["task_id"]: t["pool"] for t in world.admin.tasks(run.dag_id, run.run_id)}
    assert {task for task, name in tasks.items() if name == "lab"} == {"pooled.deploy"}
    assert "fail  pools" not in doctor(world).stdout


def test_a_train_starts_a_release_at_its_time_of_the_version_in_its_file(world: World) -> None:
    release = eventually(lambda: next(iter(world.ledger.releases(pipeline="timed")), None), "the train", 400)
    assert release.version == (world.stack.repo / "checkout" / "VERSION").read_text().strip()
    assert release.started_by.id == "schedule"
    due = departure_of(release.run_id)
    assert due is not None
    assert due < release.opened_at, "not at its time but as soon as it was seen"
    journal = world.ledger.trains.of("timed", due)
    seen = [e.action for e in journal]
    assert (sorted({*seen, "announced"}), seen[-1]) == (["announced", "departed", "settled"], "departed")
    # Where it was looked at for the first time after it was due, an announcement is no news.
    assert ("announced" in seen, len(seen)) == (True, 3) or journal[0].at >= due, journal
    dag = world.call("admin", "GET", "/api/v2/dags/train__timed")[1]
    assert (dag["timetable_summary"], dag["timetable_description"][:20]) == (
        f"by cron {due:%M %H} * * * (UTC)",
        "Train: departs by cr",
    )
    assert datetime.fromisoformat(dag["next_dagrun_data_interval_end"]) == due + timedelta(days=1)


def test_a_stopped_line_holds_but_for_what_people_let_past_and_nothing_acts_while_a_calendar_is_closed(
    world: World, stopped: Run
) -> None:
    waits = stopped.until("freeze.waited", "frozen.deploy")
    assert "is frozen by admin: incident 7; frozen in every environment" in waits.data["message"], waits.data
    assert "change.started" not in stopped.kinds()
    status = world.call("admin", "GET", f"/relman/api/v1/releases/{stopped.release_id}")[1]
    assert [f["reason"] for f in status["freezes"]] == ["incident 7", "audit"]
    eventually(lambda: "incident 7" in str(slack_transcript(world)) or None, "the message in Slack")
    thaw = {"environment": "frozen", "pipeline": "", "reason": "over"}
    assert world.call("admin", "POST", "/relman/api/v1/freezes/thaw", **thaw)[0] == 200
    asked = stopped.until("gate.opened", "frozen.freeze_exception")
    path = f"/relman/api/v1/releases/{stopped.release_id}/gates/frozen.freeze_exception/votes"
    vote = {"decision": "approve", "digest": asked.data["subject_digest"]}
    assert [world.call(who, "POST", path, **vote)[0] for who in ("alice", "bob")] == [201, 201]
    assert stopped.until("freeze.passed", "frozen.deploy").data["approved_by"] == ["alice", "bob"]
    assert stopped.outcome() == "succeeded"
    soft = {"environment": "", "pipeline": "frozen", "reason": "over"}
    assert world.call("admin", "POST", "/relman/api/v1/freezes/thaw", **soft)[0] == 200
    calendar = yaml.safe_load((world.specs / "calendars" / "company.yaml").read_text())
    end = datetime.fromisoformat(calendar["windows"][0]["once"]["until"]).replace(tzinfo=UTC)
    assert stopped.events("change.started")[0].at >= end
    # The gate waits from before the end, unless the machine took two minutes to start.
    for waited in stopped.events("window.waited"):
        assert waited.step == "frozen.window"
        assert datetime.fromisoformat(waited.data["next_open"]) == end
        assert "denied by start-up of calendar company" in waited.data["message"]


def test_a_release_that_waits_goes_on_by_the_calendar_that_was_edited(world: World) -> None:
    run = world.start("closed")
    assert run.until("window.waited", "closed.window").data["next_open"] == "2030-01-01T00:00:00+00:00"
    calendar = world.specs / "calendars" / "later.yaml"
    calendar.write_text(calendar.read_text().replace("2030-01-01", "2026-01-02"))
    assert run.outcome() == "succeeded"
    (changed,) = run.events("calendar.changed")
    assert (changed.step, changed.environment) == ("closed.window", "closed")
    assert not run.events("step.refused")


def test_windows_open_and_close_by_a_clock_that_is_moved(world: World, shifted: Run, ahead: Path) -> None:
    """Nobody waits for hours: the clock is set, and those who wait are woken by that."""
    early = _opening(shifted.until("window.waited", "shifts.window"))

    def move(to: datetime) -> None:
        said = ahead.with_suffix(".new")
        said.write_text(f"{(to - datetime.now(UTC)).total_seconds()}")
        said.replace(ahead)

    move(early - timedelta(minutes=1))
    forecast = world.call("admin", "GET", f"/relman/api/v1/releases/{shifted.release_id}/forecast")[1]
    assert datetime.fromisoformat(forecast["forecast"]["at"]) > early - timedelta(minutes=2)
    assert datetime.fromisoformat(forecast["forecast"]["p50"]) >= early
    assert "change.started" not in shifted.kinds()
    # Those who wait for one opening are spread over a minute.
    move(early + timedelta(minutes=1))
    shifted.until("change.finished", "shifts.canary_50")
    move(early + timedelta(hours=1))
    late = _opening(shifted.until("window.waited", "shifts.canary_100"))
    assert late - early == timedelta(hours=2)
    assert world.seen("shifts", "shifts").candidate.weight == 50
    move(late + timedelta(minutes=1))
    assert shifted.outcome() == "succeeded"
    waited = [e.step for e in shifted.events("window.waited")]
    assert waited == ["shifts.window", "shifts.canary_100"]


def _opening(waited: Any) -> datetime:
    return datetime.fromisoformat(waited.data["next_open"])


def test_no_secret_leaves_its_connection(world: World) -> None:
    """The Slack token stands for all: it is nowhere but in the connection, whatever has run before."""
    assert world.ledger.last_event_id() > 0
    assert slack_transcript(world)
    folders = world.stack.folders
    events = [e for r in world.ledger.releases(limit=500) for e in world.ledger.events(r.release_id)]
    assert not [e for e in events if SLACK_TOKEN in e.model_dump_json()]
    with sqlite3.connect(f"file:{folders.airflow / 'airflow.db'}?mode=ro", uri=True) as db:
        assert not [line for line in db.iterdump() if SLACK_TOKEN in line]
    logs = [p for root in (folders.logs, folders.airflow / "logs") for p in root.rglob("*.log")]
    assert not [p for p in logs if SLACK_TOKEN in _text(p)]


def _text(path: Path) -> str:
    return path.read_text(errors="replace")

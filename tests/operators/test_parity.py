"""Two environments of a real sandbox compared: shown, asked about, refused, and never with a secret."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from relman_plugins.domain.event import Kind
from relman_plugins.domain.identity import Actor
from relman_plugins.domain.severity import Severity
from relman_plugins.domain.state import DesiredState
from relman_plugins.domain.status import Decision, Outcome
from relman_plugins.plan.model import Options, ReleasePlan
from relman_plugins.steps.housekeeping import Housekeeper
from relman_plugins.steps.outcome import outcome_of
from relman_plugins.steps.subjects import body_of
from tests.steps import world as worlds
from tests.steps.test_housekeeping import Runs
from tests.steps.world import Release, World, grades

PARITY = "production.parity"
SHOW = "{with: staging}"
STRICT = "{{with: staging, of: [schema], on_difference: fail, schema: {}}}"
SCHEMA = (
    "import json, os, urllib.request as u; "
    "got = json.load(u.urlopen(os.environ['RELMAN_BASE_URL'] + '/healthz')); "
    "assert got['version'] == os.environ['RELMAN_VERSION']; "
    "open(os.environ['RELMAN_OUTPUT'], 'w').write(json.dumps({'orders': {'total': got['version']}}))"
)


@pytest.fixture
def parity() -> str:
    return SHOW


@pytest.fixture(autouse=True)
def specs(monkeypatch: pytest.MonkeyPatch, parity: str) -> None:
    text = worlds.SPECS["checkout.yaml"].replace(
        "  - environment: production\n", f"  - environment: production\n    parity: {parity}\n"
    )
    monkeypatch.setitem(worlds.SPECS, "checkout.yaml", text)
    for name, config in (
        ("staging", "{LOG_LEVEL: debug, SHOP_URL: staging.example, ONLY_STAGING: x}"),
        ("production", "{LOG_LEVEL: info, SHOP_URL: shop.example}"),
    ):
        path = f"environments/{name}.yaml"
        monkeypatch.setitem(worlds.SPECS, path, worlds.SPECS[path] + f"config: {config}\n")


def converge(world: World, environment: str, version: str, **config: str) -> None:
    planned = world.shape.environment(environment).config
    desired = DesiredState(stable=world.revisions[version], stable_replicas=1, config={**planned, **config})
    world.platform.converge(environment, "checkout", desired, token=world.seen(environment).token)


@pytest.fixture
def release(world: World) -> Release:
    """A release that staging has, and production is to get."""
    converge(world, "staging", "1.1.0")
    converge(world, "production", "1.0.0")
    return world.open().at_the_gate()


def compared(release: Release) -> dict[str, Any]:
    return release.events(Kind.PARITY_COMPARED)[-1].data


CONFIG = [
    "LOG_LEVEL: debug in staging, info in production",
    "ONLY_STAGING: only in staging (x)",
    "SHOP_URL: staging.example in staging, shop.example in production",
]


def test_differences_are_shown_and_the_release_goes_on(release: Release) -> None:
    said = release.run(PARITY)["message"]
    assert said == f"3 differences between staging and production: {'; '.join(CONFIG)}"
    data = compared(release)
    assert (data["lines"], data["of"]) == (CONFIG, ["config", "versions", "drift"])
    release.run("production.approval")
    gate = release.world.ledger.votes.gate(release.id, "production.approval")
    assert gate is not None
    assert gate.subject["parity"]["lines"] == CONFIG
    run = release.task("production.approval").start(release.context("production.approval"))
    body = body_of(run, gate, gate.people, 1)
    assert r"**What differs from `staging`**" in body
    assert r"- LOG\_LEVEL\: debug in staging\, info in production" in body


@pytest.mark.parametrize(
    "parity", ["{with: staging, ignore: [LOG_LEVEL, ONLY_STAGING], may_differ: [SHOP_URL]}"]
)
def test_what_may_differ_is_no_difference(release: Release) -> None:
    assert release.run(PARITY)["message"] == (
        "no difference between staging and production in config, versions, drift"
    )


@pytest.mark.parametrize("parity", ["{with: staging, of: [drift], on_difference: fail}"])
def test_what_somebody_changed_by_hand_is_drift_and_what_a_release_brings_is_not(release: Release) -> None:
    converge(release.world, "production", "1.0.0", LOG_LEVEL="warning")
    assert "no difference" in release.run(PARITY)["message"]
    assert compared(release)["changes"] == ["LOG_LEVEL: (hidden) now, info with this release"]


@pytest.mark.parametrize(
    "parity", ["{with: staging, of: [config, drift], ignore: [LOG_LEVEL, DB_PWD, SHOP_URL, ONLY_STAGING]}"]
)
def test_what_is_ignored_is_recorded_nowhere(release: Release) -> None:
    for environment, version in (("staging", "1.1.0"), ("production", "1.0.0")):
        converge(release.world, environment, version, DB_PWD="hunter2", LOG_LEVEL="warning")
    assert "no difference" in release.run(PARITY)["message"]
    assert "DB_PWD" not in json.dumps(compared(release))


@pytest.mark.parametrize("parity", ["{with: staging, of: [config, drift]}"])
def test_what_runs_and_stands_in_no_spec_is_not_shown(release: Release) -> None:
    for environment, version in (("staging", "1.1.0"), ("production", "1.0.0")):
        converge(release.world, environment, version, DB_PWD=f"{environment}-hunter2")
    release.run(PARITY)
    told = json.dumps(compared(release))
    assert "DB_PWD" in told
    assert "hunter2" not in told


@pytest.mark.parametrize(
    "parity", ["{with: staging, of: [config, drift], on_difference: fail, ignore: [SHOP_URL]}"]
)
def test_secrets_are_compared_and_never_shown(release: Release) -> None:
    secret = "hunter2-hunter2"
    converge(release.world, "staging", "1.1.0", DB_PASSWORD=secret, LOG_LEVEL="debug2")
    with pytest.raises(AirflowFailException, match=r"DB_PASSWORD: only in staging \(hidden\)") as failed:
        release.run(PARITY)
    lines = compared(release)["lines"]
    assert "DB_PASSWORD in staging: the spec says nothing, it runs with (hidden)" in lines
    # Nor is what nobody wrote into a spec: it may be one by another name.
    assert "LOG_LEVEL in staging: the spec says debug, it runs with (hidden)" in lines
    told = json.dumps([e.model_dump(mode="json") for e in release.events()]) + str(failed.value)
    assert secret not in told
    assert secret not in json.dumps(release.world.xcom)


@pytest.mark.parametrize("parity", ["{with: staging, of: [versions], on_difference: fail}"])
def test_other_services_and_another_version_than_was_tried_are_differences(release: Release) -> None:
    world = release.world
    for n, (environment, version) in enumerate((("staging", "2.0.0"), ("production", "1.9.0"))):
        neighbour(world, "pricing", environment, version, n)
    neighbour(world, "mail", "staging", "1.0.0", 2)
    converge(world, "staging", "1.0.0")
    with pytest.raises(AirflowFailException, match="3 differences"):
        release.run(PARITY)
    own, *others = compared(release)["lines"]
    assert own.startswith("checkout: staging runs 1.0.0 (sha256:")
    assert others == [
        "mail: only in staging (1.0.0)",
        "pricing: 2.0.0 in staging, 1.9.0 in production",
    ]


def neighbour(world: World, service: str, environment: str, version: str, n: int) -> None:
    """Let another service's release have ended in an environment."""
    shape = world.shape.model_copy(update={"pipeline": service, "service": service})
    record = world.ledger.open_release(
        plan=ReleasePlan(shape=shape, options=Options(version=version)),
        dag_id=f"release__{service}",
        run_id=f"run-{n}",
        started_by=Actor(),
        conf={},
    )
    revision = world.revisions["1.0.0"].model_copy(update={"version": version})
    Release(world, record, revision).says(
        Kind.CHANGE_FINISHED,
        f"{environment}.deploy" if environment == "staging" else "production.canary_100",
        stable=revision.model_dump(mode="json"),
        desired=DesiredState(stable=revision, stable_replicas=1).model_dump(mode="json"),
        promoted=True,
    )


@pytest.mark.parametrize(
    "parity",
    [
        STRICT.format(f'{{command: [python, -c, "{SCHEMA}"]}}'),
        STRICT.format("{path: /healthz}"),
    ],
)
def test_another_data_schema_fails_the_stage_and_the_diff_is_recorded(release: Release) -> None:
    with pytest.raises(AirflowFailException, match="lines only in staging"):
        release.run(PARITY)
    assert grades(release, PARITY) == [Severity.ERROR]
    data = compared(release)
    assert data["differences"][0]["source"].startswith("sha256:")
    diff = data["schema_diff"].splitlines()
    assert diff[:2] == ["--- staging", "+++ production"]
    assert any(line.startswith("-") and "1.1.0" in line for line in diff)
    assert any(line.startswith("+") and "1.0.0" in line for line in diff)
    assert outcome_of(release.world.shape, release.events())[0] is Outcome.FAILED


@pytest.mark.parametrize(
    ("parity", "said"),
    [
        (STRICT.format("{path: /nothing}"), "404"),
        (
            STRICT.format("{command: [python, -c, 'raise SystemExit(3)']}"),
            "exit code 3",
        ),
        (
            STRICT.format("{command: [python, -c, 'print()']}"),
            "wrote no file RELMAN_OUTPUT",
        ),
        (
            STRICT.format("{command: [python, -c, 'import os; os.mkfifo(os.environ[\"RELMAN_OUTPUT\"])']}"),
            "wrote no file RELMAN_OUTPUT",
        ),
    ],
)
def test_what_cannot_be_compared_is_a_difference(release: Release, said: str) -> None:
    with pytest.raises(AirflowFailException, match=f"schema: could not be compared: staging: .*{said}"):
        release.run(PARITY)


@pytest.mark.parametrize(
    "parity", ["{with: staging, of: [schema], on_difference: fail, schema: {path: /healthz}}"]
)
def test_a_first_deployment_has_no_schema_to_differ_from(world: World) -> None:
    converge(world, "staging", "1.1.0")
    release = world.open().at_the_gate()
    assert "no difference" in release.run(PARITY)["message"]


GATE = "{with: staging, of: [config], on_difference: gate, group: managers, timeout: 1h}"


@pytest.mark.parametrize("parity", [GATE])
class TestGate:
    def vote(self, release: Release, decision: Decision) -> None:
        result = release.world.ledger.votes.cast(
            release.id, PARITY, airflow_user="bob", decision=decision, via="api"
        )
        assert result.accepted, result.reason

    def test_a_person_accepts_exactly_these_differences(self, release: Release, comms: list[Any]) -> None:
        waiting = release.run(PARITY)
        assert isinstance(waiting, TaskDeferred)
        (asked,) = [m for m in comms if type(m).__name__ == "CreateHITLDetailPayload"]
        assert asked.subject == "checkout 1.1.0: 3 differences between staging and production. Go on?"
        assert r"- LOG\_LEVEL\: debug in staging\, info in production" in asked.body
        # What is changed while people think is not what they accepted: they keep what they were shown.
        converge(release.world, "staging", "1.1.0", LOG_LEVEL="info")
        self.vote(release, Decision.APPROVE)
        assert release.resume(PARITY, waiting, {})["message"] == "differences accepted by Bob"
        assert isinstance(release.run("production.approval"), TaskDeferred)

    def test_a_no_ends_the_release_as_rejected(self, release: Release) -> None:
        waiting = release.run(PARITY)
        self.vote(release, Decision.REJECT)
        with pytest.raises(AirflowFailException, match="rejected by bob"):
            release.resume(PARITY, waiting, {})
        assert outcome_of(release.world.shape, release.events())[0] is Outcome.REJECTED
        assert grades(release, PARITY) == [Severity.WARNING]

    def test_marked_green_in_airflow_it_counts_for_nothing(self, release: Release) -> None:
        release.run(PARITY)
        with pytest.raises(AirflowFailException, match=r"gate production\.parity was passed .*relman appr"):
            release.run("production.approval")
        assert [e.data["gate"] for e in release.events(Kind.GATE_BYPASSED)] == [PARITY]
        self.vote(release, Decision.APPROVE)
        with pytest.raises(AirflowFailException, match=r"production\.parity has no recorded end"):
            release.run("production.approval")
        assert len(release.events(Kind.GATE_BYPASSED)) == 1
        assert [e.data["gate"] for e in release.events(Kind.GATE_BYPASSED)] == [PARITY]

    def test_marked_green_in_airflow_maintenance_finds_it(self, release: Release) -> None:
        release.run(PARITY)
        keeper = Housekeeper(release.world.ledger, Runs(green={PARITY}))
        assert len(keeper.find_bypasses()) == 1
        assert [e.data["gate"] for e in release.events(Kind.GATE_BYPASSED)] == [PARITY]


def test_a_comparison_that_only_shows_is_no_gate(release: Release) -> None:
    keeper = Housekeeper(release.world.ledger, Runs(green={PARITY}))
    assert keeper.find_bypasses() == []
    release.run(PARITY)
    assert keeper.find_bypasses() == []


@pytest.mark.parametrize("parity", [STRICT.format("{path: /nothing}")])
def test_a_comparison_that_stops_the_release_is_one(release: Release) -> None:
    with pytest.raises(AirflowFailException):
        release.run(PARITY)
    assert len(Housekeeper(release.world.ledger, Runs(green={PARITY})).find_bypasses()) == 1

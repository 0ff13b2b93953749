"""Releases of the example service to an emulated cluster, by canary and by rolling, and back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from relman_plugins.domain.event import Kind
from relman_plugins.domain.state import DesiredState, ObservedState, Revision
from relman_plugins.errors import LedgerUnavailable
from relman_plugins.hooks.platform import platform_of
from relman_plugins.operators import rollback
from relman_plugins.platforms.base import Platform
from relman_plugins.steps import housekeeping, restoring, returning
from relman_plugins.testing.kube import Cluster
from tests.operators.test_requested_rollback import asked, run
from tests.platforms.places import MANIFESTS, ROUTE
from tests.steps import world as worlds
from tests.steps.world import Release, World, make_world, told

FIRST, LAST, MONITOR, ROLLBACK, ROLL = (
    f"production.{name}" for name in ("canary_50", "canary_100", "monitor", "rollback", "roll")
)
ON_A_CLUSTER = """platform: kubernetes
connection: cluster
kubernetes: {namespace: shop, drain: 1s}"""
CANARY = "strategy: {canary: {steps: [50, 100], analysis: numbers, interval: 1s, count: 2}}"


@pytest.fixture
def strategy() -> str:
    return CANARY


@pytest.fixture(autouse=True)
def specs(monkeypatch: pytest.MonkeyPatch, strategy: str) -> None:
    """Let production be a namespace."""
    image = "build: [python, build.py], image: image.txt}"
    for name, old, new in (
        ("checkout.yaml", "build: [python, build.py]}", image),
        ("checkout.yaml", CANARY, strategy),
        ("environments/production.yaml", "platform: sandbox\nconnection: relman_sandbox", ON_A_CLUSTER),
    ):
        assert old in worlds.SPECS[name]
        monkeypatch.setitem(worlds.SPECS, name, worlds.SPECS[name].replace(old, new))
    monkeypatch.setitem(worlds.SPECS, "manifests/checkout.yaml", f"{MANIFESTS}---{ROUTE}")


@pytest.fixture
def world(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, cluster: Cluster, numbers: Any, comms: Any, revisions: Any
) -> Iterator[World]:
    home = tmp_path / "relman"
    home.mkdir()
    extra = {"kube_config": json.dumps(cluster.kubeconfig())}
    connection = {"conn_type": "kubernetes", "extra": extra}
    monkeypatch.setenv("AIRFLOW__RELMAN__HOME", str(home))
    monkeypatch.setenv("AIRFLOW__RELMAN__MINIMUM_DEFERRAL", "0.01")
    monkeypatch.setenv("AIRFLOW_CONN_CLUSTER", json.dumps(connection))
    monkeypatch.setenv("AIRFLOW_CONN_RELMAN_METRICS", f"http://127.0.0.1:{numbers.port}")
    pushed = {v: r.model_copy(update={"image": f"shop/checkout@{r.digest}"}) for v, r in revisions.items()}
    shape = worlds.shape_in(tmp_path / "first" / "release_specs")
    made = make_world(home, platform_of(shape.environment("production")), pushed)
    made.live("1.0.0")
    yield made
    made.ledger.close()


@pytest.fixture
def release(world: World) -> Release:
    return world.open().approved()


def good(release: Release, step: str) -> None:
    """Take a step through its looks at good numbers."""
    waiting = release.run(step)
    assert isinstance(waiting, TaskDeferred), waiting
    release.resume(step, waiting, told(waiting))


def routed(cluster: Cluster) -> dict[str, int]:
    """Image to its share of the traffic, by the cluster's own objects."""
    route = cluster.store.find("HTTPRoute", "shop", "checkout")
    assert route is not None
    found = {}
    for backend in route["spec"]["rules"][0]["backendRefs"]:
        service = cluster.store.find("Service", "shop", backend["name"])
        assert service is not None
        pods = cluster.store.all("Pod", "shop", **service["spec"]["selector"])
        found |= {p["spec"]["containers"][0]["image"]: backend["weight"] for p in pods}
    return found


def images(world: World) -> tuple[Revision, Revision]:
    return world.revisions["1.0.0"], world.revisions["1.1.0"]


def test_a_canary_reaches_everybody_by_its_weights(release: Release, cluster: Cluster) -> None:
    old, new = images(release.world)
    good(release, FIRST)
    assert routed(cluster) == {old.image: 50, new.image: 50}
    good(release, LAST)
    assert routed(cluster) == {old.image: 0, new.image: 100}
    good(release, MONITOR)
    assert routed(cluster) == {new.image: 100}
    assert release.world.seen().stable.revision == new
    done = release.events(Kind.CHANGE_FINISHED)
    assert done[-1].data["promoted"]
    assert done[-1].data["stable"]["image"] == new.image


def test_bad_numbers_take_the_traffic_back_before_the_rollback_takes_the_pods(
    release: Release, cluster: Cluster, numbers: Any
) -> None:
    old, _ = images(release.world)
    waiting = release.run(FIRST)
    numbers.value = 1.0
    event = told(waiting)
    assert event["verdict"] == "fail"
    assert routed(cluster) == {old.image: 100}
    with pytest.raises(AirflowFailException):
        release.resume(FIRST, waiting, event)
    release.run(ROLLBACK)
    assert release.world.weights() == {"1.0.0": 100}
    assert Kind.ROLLBACK_FINISHED in release.kinds(ROLLBACK)
    assert cluster.store.find("Deployment", "shop", "checkout-green") is None


def test_what_somebody_set_by_hand_is_on_record_of_no_change_and_no_rollback(
    release: Release, cluster: Cluster
) -> None:
    """It stays in the cluster, where a platform sees it; it may be a secret."""
    from kubernetes.client import AppsV1Api, V1EnvVar
    from kubernetes.config import new_client_from_config_dict

    apps = AppsV1Api(new_client_from_config_dict(cluster.kubeconfig()))
    live = apps.read_namespaced_deployment("checkout-blue", "shop")
    container = live.spec.template.spec.containers[0]
    container.env = [*(container.env or ()), V1EnvVar(name="BY_HAND", value="hunter2")]
    apps.replace_namespaced_deployment("checkout-blue", "shop", live, field_manager="kubectl-edit")
    release.run(FIRST)
    release.run(ROLLBACK)
    assert release.world.seen().config == {"BY_HAND": "hunter2"}
    assert release.events(Kind.ROLLBACK_FINISHED)
    assert "hunter2" not in repr(release.events())


def test_a_version_that_does_not_start_fails_the_step_with_the_pods_own_words(
    release: Release, cluster: Cluster
) -> None:
    old, new = images(release.world)
    cluster.image(str(new.image), "pull")
    with pytest.raises(AirflowFailException, match=r"does not start: pod checkout-green-.*ImagePullBackOff"):
        release.run(FIRST)
    release.run(ROLLBACK)
    assert routed(cluster) == {old.image: 100}


def asked_at_the_gate(world: World, comms: list[Any]) -> str:
    waiting = world.open().at_the_gate().run("production.approval")
    assert isinstance(waiting, TaskDeferred), waiting
    (payload,) = [m for m in comms if type(m).__name__ == "CreateHITLDetailPayload"]
    return str(payload.body)


def test_approvers_read_what_changes_in_the_cluster(world: World, comms: list[Any]) -> None:
    old, new = images(world)
    body = asked_at_the_gate(world, comms)
    where = "Deployment checkout spec.template.spec.containers[app].image"
    said = f"```diff\n~ {where}: {old.image} -> {new.image}\n```"
    assert f"**What changes in `production`**, by its dry run just now\n\n{said}" in body
    assert world.weights() == {"1.0.0": 100}


def test_a_cluster_that_refuses_to_say_stops_no_question(
    world: World, cluster: Cluster, comms: list[Any]
) -> None:
    cluster.token = "renewed"
    body = asked_at_the_gate(world, comms)
    assert "**What changes in `production`** is not known: the Kubernetes API does not take" in body


class TestRolling:
    """One Deployment, by the cluster's own means."""

    @pytest.fixture
    def strategy(self) -> str:
        return "strategy: {rolling: {max_surge: 2, max_unavailable: 0}}"

    def test_it_rolls_in_place_with_the_bounds_of_the_spec_and_goes_back(
        self, release: Release, cluster: Cluster
    ) -> None:
        release.run(ROLL)
        old, new = images(release.world)
        assert routed(cluster) == {new.image: 100}
        made = cluster.store.find("Deployment", "shop", "checkout-blue")
        assert made is not None
        assert made["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 2, "maxUnavailable": 0}
        wanted = DesiredState.model_validate(release.events(Kind.CHANGE_FINISHED)[-1].data["desired"])
        assert wanted.rolling is not None
        release.run(ROLLBACK)
        assert routed(cluster) == {old.image: 100}


class Noting:
    """The real platform, and how long each change of it may take."""

    def __init__(self, real: Platform) -> None:
        self.real = real
        self.allowed: list[float] = []
        self.asked: list[DesiredState] = []

    def observe(self, environment: str, service: str) -> ObservedState:
        return self.real.observe(environment, service)

    def converge(self, *about: Any, token: int, timeout_s: float = 60) -> ObservedState:
        self.allowed.append(timeout_s)
        self.asked.append(about[-1])
        return self.real.converge(*about, token=token, timeout_s=timeout_s)


class TestTime:
    """Every way back may take what the environment's spec says, as every way forward."""

    @pytest.fixture
    def specs(self, monkeypatch: pytest.MonkeyPatch, specs: None) -> None:
        name = "environments/production.yaml"
        slow = worlds.SPECS[name].replace("drain: 1s", "drain: 1s, timeout: 7m")
        monkeypatch.setitem(worlds.SPECS, name, slow)

    @pytest.fixture
    def noting(self, specs: None, release: Release, monkeypatch: pytest.MonkeyPatch) -> Noting:
        found = Noting(release.world.platform)
        for module in (rollback, restoring, returning, housekeeping):
            monkeypatch.setattr(module, "platform_of", lambda _: found)
        return found

    def test_a_rollback(self, release: Release, noting: Noting) -> None:
        release.run(FIRST)
        release.run(ROLLBACK)
        assert noting.allowed == [420.0]

    def test_a_rollback_without_ledger_and_without_what_steps_left(
        self, release: Release, noting: Noting
    ) -> None:
        release.run(FIRST)
        release.world.xcom.clear()
        said = "has all the traffic of production again"
        with release.world.without_ledger(), pytest.raises(LedgerUnavailable, match=said):
            release.run(ROLLBACK)
        assert noting.allowed == [420.0]

    def test_one_that_somebody_asks_for_after_the_end(self, release: Release, noting: Noting) -> None:
        for step in (FIRST, LAST, MONITOR):
            good(release, step)
        release.says(Kind.RELEASE_CLOSED, key=f"{release.id}:closed", outcome="succeeded", reason="")
        release.world.ledger.locks.release("production", "checkout", release.id)
        assert "production is back at 1.0.0" in run(asked(release))
        assert noting.allowed == [420.0]
        assert [d.returning for d in noting.asked] == [True]

    def test_one_that_maintenance_makes_up_for(self, release: Release, noting: Noting) -> None:
        release.run(FIRST)
        restoring.bring_back(release.world.ledger, release.record, "production", FIRST)
        assert noting.allowed == [420.0]

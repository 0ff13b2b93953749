"""What a version would change, said before anything is: by the API server's dry run, beside what is there."""

from __future__ import annotations

import pytest
from kubernetes.client import AppsV1Api, CoreV1Api
from kubernetes.config import new_client_from_config_dict

from relman_plugins.errors import PlatformUnavailable
from relman_plugins.strategies.api import promoted
from relman_plugins.testing.kube import Cluster
from relman_plugins.testing.kube.resources import Obj, Resource
from tests.kubernetes.conftest import NEW, OLD, Shop
from tests.platforms.places import INGRESS, MANIFESTS, NAMESPACE, ROUTE, VIRTUAL

READS = "envFrom: [{configMapRef: {name: settings}}]"
READING = MANIFESTS.replace("ports: [{containerPort: 8080}]", READS)
MOVED = READING.replace("targetPort: 8080", "targetPort: 9090")
BLUE, GREEN = (
    f"{{apiVersion: v1, kind: ConfigMap, metadata: {{name: settings}}, data: {{colour: {colour}}}}}"
    for colour in ("blue", "green")
)
WALL, DOOR = (
    f"{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: {name}}}, spec: {{}}}}"
    for name in ("wall", "door")
)
IMAGE = f"~ Deployment checkout spec.template.spec.containers[app].image: {OLD.image} -> {NEW.image}"


def told(shop: Shop, revision=NEW, replicas: int = 2, **config: str) -> tuple[str, ...]:
    return shop.driver.preview("production", "checkout", promoted(revision, replicas, config))


def test_a_first_version_comes_with_all_it_has(cluster: Cluster) -> None:
    shop = Shop(cluster, ROUTE, BLUE, manifests=READING)
    assert told(shop) == (
        "+ Deployment checkout",
        "+ ConfigMap settings",
        "+ Service checkout",
        "+ HTTPRoute checkout",
    )
    assert cluster.writes == []


def test_only_what_differs_is_told_field_by_field_and_nothing_is_changed(cluster: Cluster) -> None:
    Shop(cluster, ROUTE, BLUE, WALL, manifests=READING).converge(
        stable=OLD, stable_replicas=2, config={"MODE": "slow"}
    )
    release = Shop(cluster, ROUTE.replace("/pay", "/buy"), GREEN, DOOR, manifests=MOVED)
    written = len(cluster.writes)
    key = {line.split(": ")[0]: line for line in told(release, replicas=3, MODE="fast")}
    assert list(key) == [
        "~ Deployment checkout spec.replicas",
        "~ Deployment checkout spec.template.spec.containers[app].envFrom[0].configMapRef.name",
        "~ Deployment checkout spec.template.spec.containers[app].env[MODE].value",
        "~ Deployment checkout spec.template.spec.containers[app].image",
        "~ ConfigMap settings data.colour",
        "~ Service checkout spec.ports[80].targetPort",
        "~ HTTPRoute checkout spec.rules[0].matches[0].path.value",
        "+ NetworkPolicy door",
        "- NetworkPolicy wall",
    ]
    assert key["~ ConfigMap settings data.colour"].endswith(": blue -> green")
    assert key["~ Deployment checkout spec.replicas"].endswith(": 2 -> 3")
    assert IMAGE in key.values()
    assert len(cluster.writes) == written


def test_what_runs_already_changes_nothing(cluster: Cluster) -> None:
    shop = Shop(cluster, ROUTE, BLUE, manifests=READING)
    shop.stable()
    assert told(shop, OLD) == ()
    shop.canary(50)
    assert told(shop) == (IMAGE,)


@pytest.mark.parametrize(
    ("document", "field"),
    [
        (VIRTUAL, "VirtualService checkout spec.http[0].match[0].uri.prefix"),
        (INGRESS, "Ingress checkout spec.rules[0].http.paths[0].path"),
    ],
)
def test_what_changes_of_a_route_is_told_also_while_the_traffic_is_split(
    cluster: Cluster, document: str, field: str
) -> None:
    Shop(cluster, document).stable()
    release = Shop(cluster, document.replace("/pay", "/buy"))
    assert f"~ {field}: /pay -> /buy" in told(release)
    release.canary(50)
    assert told(release) == (IMAGE, f"~ {field}: /pay -> /buy")


def test_what_would_be_refused_is_said_with_the_reason(cluster: Cluster) -> None:
    shop = Shop(cluster)
    shop.stable()
    core = CoreV1Api(new_client_from_config_dict(cluster.kubeconfig()))
    edited = {"spec": {"ports": [{"port": 80, "targetPort": 7070}]}}
    core.patch_namespaced_service("checkout", NAMESPACE, edited, field_manager="kubectl-edit")
    cluster.faults.denied["Deployment"] = "images must be signed"
    first, second = told(shop)
    assert first.startswith("! Deployment checkout: ")
    assert "images must be signed" in first
    assert second.startswith("! Service checkout: ")
    assert 'conflict with "kubectl-edit"' in second


def test_what_somebody_put_there_by_hand_is_not_shown(cluster: Cluster) -> None:
    shop = Shop(cluster)
    shop.stable()
    apps = AppsV1Api(new_client_from_config_dict(cluster.kubeconfig()))
    live = apps.read_namespaced_deployment("checkout-blue", NAMESPACE)
    live.spec.template.spec.containers[0].env.append({"name": "KEY", "value": "s3cr3t"})
    apps.replace_namespaced_deployment("checkout-blue", NAMESPACE, live, field_manager="kubectl-edit")
    lines = told(shop)
    hidden = "spec.template.spec.containers[app].env[KEY].value: (set by somebody else) -> none"
    assert f"~ Deployment checkout {hidden}" in lines
    assert "s3cr3t" not in "".join(lines)


def test_what_a_webhook_puts_in_is_not_shown(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as one that writes secrets where a manifest only refers to them."""
    Shop(cluster, BLUE, manifests=READING).stable()

    def admit(resource: Resource, live: Obj | None, new: Obj) -> None:
        if resource.kind == "ConfigMap" and "colour" in new["data"]:
            new["data"]["colour"] = "s3cr3t"

    monkeypatch.setattr(cluster.faults, "admit", admit)
    lines = told(Shop(cluster, GREEN, manifests=READING))
    assert "~ ConfigMap settings data.colour: blue -> (set by the cluster)" in lines
    assert "s3cr3t" not in "".join(lines)


def test_a_cluster_that_does_not_answer_is_unavailable(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relman_plugins.platforms.kubernetes.driver.LOOK_S", 0.1)
    cluster.faults.fail("*", "*", 503, times=1000)
    with pytest.raises(PlatformUnavailable):
        told(Shop(cluster))

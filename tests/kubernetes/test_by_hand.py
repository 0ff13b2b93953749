"""What people changed by hand: going forward stops and names them, going back takes it over and says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from kubernetes.client import AppsV1Api, CoreV1Api, CustomObjectsApi
from kubernetes.config import new_client_from_config_dict

from relman_plugins.errors import PlatformRejected
from relman_plugins.platforms.kubernetes.api import Kube
from relman_plugins.platforms.kubernetes.objects import Objects
from relman_plugins.platforms.kubernetes.records import Records
from relman_plugins.testing.kube import Cluster
from relman_plugins.testing.kube.resources import BY_KIND
from tests.kubernetes.conftest import NEW, OLD, Shop
from tests.kubernetes.routes import now
from tests.platforms.places import INGRESS, NAMESPACE, ROUTE, VIRTUAL, workload

KUBECTL = {"field_manager": "kubectl-edit"}
ROUTES = ("gateway.networking.k8s.io", "v1", NAMESPACE, "httproutes")
ROLES = "relman-production-checkout"
WEIGHT = "nginx.ingress.kubernetes.io/canary-weight"
ALL_TO_GREEN = [{"route": [{"destination": {"host": "checkout-green"}}]}]


class Hands:
    """Somebody with kubectl."""

    def __init__(self, cluster: Cluster) -> None:
        api = new_client_from_config_dict(cluster.kubeconfig())
        self.apps, self.core, self.routes = AppsV1Api(api), CoreV1Api(api), CustomObjectsApi(api)

    def select(self) -> None:
        body = {"spec": {"selector": {"relman/slot": "green"}}}
        self.core.patch_namespaced_service("checkout", NAMESPACE, body, **KUBECTL)

    def route(self) -> None:
        everything = [{"backendRefs": [{"name": "checkout-green", "port": 80, "weight": 100}]}]
        body = {"spec": {"rules": everything}}
        self.routes.patch_namespaced_custom_object(*ROUTES, "checkout", body, **KUBECTL)

    def scale(self) -> None:
        self.apps.patch_namespaced_deployment(
            "checkout-blue", NAMESPACE, {"spec": {"replicas": 1}}, **KUBECTL
        )

    def another_image(self) -> None:
        live = self.apps.read_namespaced_deployment("checkout-blue", NAMESPACE)
        live.spec.template.spec.containers[0].image = "shop/checkout:hotfix"
        self.apps.replace_namespaced_deployment("checkout-blue", NAMESPACE, live, **KUBECTL)

    def unlabel(self) -> None:
        body = {"metadata": {"labels": {"relman/revision": "mine"}}}
        self.apps.patch_namespaced_deployment("checkout-blue", NAMESPACE, body, **KUBECTL)

    def unannotate(self, deployment: str = "checkout-blue") -> None:
        notes = dict.fromkeys(("relman/version", "relman/image"))
        body = {"metadata": {"annotations": notes}}
        self.apps.patch_namespaced_deployment(deployment, NAMESPACE, body, **KUBECTL)

    def remember(self) -> None:
        body = {"data": {"candidate": "blue", "weight": "7"}}
        self.core.patch_namespaced_config_map(ROLES, NAMESPACE, body, **KUBECTL)

    def garble(self) -> None:
        body = {"data": {"weight": "half"}}
        self.core.patch_namespaced_config_map(ROLES, NAMESPACE, body, **KUBECTL)

    def remove_deployment(self) -> None:
        self.apps.delete_namespaced_deployment("checkout-blue", NAMESPACE)

    def remove_service(self) -> None:
        self.core.delete_namespaced_service("checkout-blue", NAMESPACE)

    def remove_route(self) -> None:
        self.routes.delete_namespaced_custom_object(*ROUTES, "checkout")

    def remove_memory(self) -> None:
        self.core.delete_namespaced_config_map(ROLES, NAMESPACE)


Act = Callable[[Hands], Any]


@pytest.fixture
def hands(cluster: Cluster) -> Hands:
    return Hands(cluster)


@pytest.mark.parametrize(
    ("act", "taken"),
    [
        (Hands.select, "/services/checkout (.spec.selector"),
        (Hands.route, "/httproutes/checkout (.spec.rules"),
        (Hands.scale, "/deployments/checkout-blue (.spec.replicas"),
        (Hands.another_image, "/deployments/checkout-blue (.spec.template.spec.containers"),
        (Hands.unlabel, "/deployments/checkout-blue (.metadata.labels.relman/revision"),
        (Hands.remember, f"/configmaps/{ROLES} (.data.candidate"),
    ],
)
def test_what_was_edited_by_hand_is_taken_over_on_the_way_back_and_said(
    routed: Shop, hands: Hands, act: Act, taken: str
) -> None:
    routed.stable()
    routed.canary(50)
    act(hands)
    seen = routed.back()
    assert (seen.stable.revision, seen.stable.ready, seen.stable.weight) == (OLD, 2, 100)
    assert seen.candidate is None
    (said,) = [m for m in seen.messages if "taken over" in m]
    assert taken in said
    assert '"kubectl-edit"' in said
    assert routed.live("Service", "checkout")["spec"]["selector"]["relman/slot"] == "blue"
    assert routed.back().messages == ()


@pytest.mark.parametrize("act", [Hands.select, Hands.route, Hands.another_image])
def test_what_was_edited_by_hand_stops_the_way_forward(routed: Shop, hands: Hands, act: Act) -> None:
    routed.stable()
    act(hands)
    with pytest.raises(PlatformRejected, match=r'somebody else owns .*conflict with "kubectl-edit"'):
        routed.canary(50)


@pytest.mark.parametrize(
    "act", [Hands.remove_deployment, Hands.remove_service, Hands.remove_route, Hands.remove_memory]
)
def test_what_was_deleted_by_hand_is_made_again_on_the_way_back(routed: Shop, hands: Hands, act: Act) -> None:
    routed.stable()
    routed.canary(50)
    act(hands)
    seen = routed.back()
    assert (seen.stable.revision, seen.stable.ready, seen.stable.weight) == (OLD, 2, 100)
    assert seen.candidate is None
    assert len(routed.cluster.store.all("Deployment", NAMESPACE)) == 1


@pytest.mark.parametrize(
    ("document", "name", "body", "taken"),
    [
        (VIRTUAL, "checkout", {"spec": {"http": ALL_TO_GREEN}}, "/virtualservices/checkout (.spec.http"),
        (
            INGRESS,
            "checkout-canary",
            {"metadata": {"annotations": {WEIGHT: "100"}}},
            f"/ingresses/checkout-canary (.metadata.annotations.{WEIGHT}",
        ),
    ],
)
def test_weights_that_were_edited_by_hand_stop_the_way_forward_and_not_back(
    cluster: Cluster, hands: Hands, document: str, name: str, body: Any, taken: str
) -> None:
    shop = Shop(cluster, document)
    shop.stable()
    shop.canary(50)
    group, plural = (
        ("networking.istio.io", "virtualservices")
        if document == VIRTUAL
        else ("networking.k8s.io", "ingresses")
    )
    hands.routes.patch_namespaced_custom_object(group, "v1", NAMESPACE, plural, name, body, **KUBECTL)
    assert shop.observe().candidate.weight == 100
    with pytest.raises(PlatformRejected, match=r'somebody else owns .*conflict with "kubectl-edit"'):
        shop.canary(60)
    seen = shop.back()
    assert (seen.stable.weight, seen.candidate) == (100, None)
    assert [taken in m for m in seen.messages if "taken over" in m] == [True]
    assert now(cluster).sent() == {"blue": 100}


@pytest.mark.parametrize("name", ["checkout", "checkout-canary"])
def test_an_ingress_is_known_by_its_name_without_the_annotation(
    cluster: Cluster, hands: Hands, name: str
) -> None:
    shop = Shop(cluster, INGRESS)
    shop.stable()
    before = shop.canary(50)
    body = {"metadata": {"annotations": {"relman/router": None}}}
    ingresses = ("networking.k8s.io", "v1", NAMESPACE, "ingresses")
    hands.routes.patch_namespaced_custom_object(*ingresses, name, body, **KUBECTL)
    assert shop.observe() == before
    assert shop.back().stable.weight == 100
    assert now(cluster).sent() == {"blue": 100}
    assert shop.live("Ingress", "checkout-canary") is None
    assert shop.live("Ingress", "checkout")["metadata"]["annotations"] == {"relman/router": "ingress-nginx"}


def test_a_garbled_memory_stops_the_way_forward_and_not_the_way_back(routed: Shop, hands: Hands) -> None:
    routed.stable()
    routed.canary(50)
    hands.garble()
    with pytest.raises(PlatformRejected, match="is not as relman wrote it"):
        routed.canary(50)
    assert routed.back().candidate is None
    assert routed.canary(50).candidate.weight == 50


@pytest.mark.parametrize("act", [Hands.garble, Hands.remember, Hands.select, Hands.scale])
def test_nothing_that_was_edited_keeps_a_first_version_from_being_taken_away(
    routed: Shop, hands: Hands, act: Act
) -> None:
    routed.stable()
    act(hands)
    assert not routed.converge().exists


@pytest.mark.parametrize("remembered", [True, False])
@pytest.mark.parametrize("deployment", ["checkout-blue", "checkout-green"])
def test_removed_annotations_are_known_from_the_record_and_stop_no_way_back(
    routed: Shop, hands: Hands, deployment: str, remembered: bool
) -> None:
    routed.stable()
    before = routed.canary(50)
    hands.unannotate(deployment)
    if not remembered:
        for record in routed.cluster.store.all("ConfigMap", NAMESPACE):
            if "relman/record" in record["metadata"]["labels"]:
                hands.core.delete_namespaced_config_map(record["metadata"]["name"], NAMESPACE)
    seen = routed.observe()
    wrong = seen.stable if deployment == "checkout-blue" else seen.candidate
    if remembered:
        assert seen == before
    else:
        assert (wrong.revision.version, wrong.ready) == ("", 0)
    seen = routed.back()
    assert (seen.stable.revision, seen.stable.ready, seen.candidate) == (OLD, 2, None)


def test_a_forged_record_with_what_is_no_object_is_no_record(routed: Shop) -> None:
    """Its key is right: anybody can compute it."""
    routed.stable()
    routed.converge(stable=NEW, stable_replicas=2)
    for record in routed.cluster.store.all("ConfigMap", NAMESPACE):
        if "relman/record" in record["metadata"]["labels"]:
            routed.cluster.store.remove(BY_KIND["ConfigMap"], NAMESPACE, record["metadata"]["name"])
    work = workload(ROUTE)
    forged = Objects(work.model_copy(update={"objects": ("x", *work.objects)}), "production", "checkout")
    kube = Kube(new_client_from_config_dict(routed.cluster.kubeconfig()), timeout_s=1)
    routed.cluster.store.put(BY_KIND["ConfigMap"], Records(kube, forged).made(OLD, forged))
    assert routed.back().stable.revision == OLD

"""Each version keeps what it was made with: manifests beside the Deployment come with it, and go with it."""

from __future__ import annotations

from typing import Any

import pytest
from kubernetes.client import CoreV1Api
from kubernetes.config import new_client_from_config_dict

from relman_plugins.domain.state import RollingBounds
from relman_plugins.errors import PlatformRejected
from relman_plugins.platforms.kubernetes.parts import KEPT
from relman_plugins.testing.kube import Cluster
from tests.kubernetes.conftest import NEW, OLD, Shop
from tests.platforms.places import MANIFESTS, NAMESPACE, ROUTE, revision

READS = "envFrom: [{configMapRef: {name: settings}}]"
READING = MANIFESTS.replace("ports: [{containerPort: 8080}]", READS)
MOVED = MANIFESTS.replace("targetPort: 8080", "targetPort: 9090")
NAMED = MANIFESTS.replace("targetPort: 8080", "targetPort: http")
RENUMBERED = MANIFESTS.replace("{port: 80, targetPort: 8080}", "{port: 81, targetPort: 9090}")
SLOWER = MANIFESTS.replace("terminationGracePeriodSeconds: 1", "terminationGracePeriodSeconds: 9")


def settings(colour: str, name: str = "settings") -> str:
    return f"{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}}}, data: {{colour: {colour}}}}}"


def policy(name: str, app: str) -> str:
    spec = f"spec: {{podSelector: {{matchLabels: {{app: {app}}}}}}}"
    return f"{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: {name}}}, {spec}}}"


def names(shop: Shop, kind: str = "ConfigMap") -> list[str]:
    found = [o["metadata"]["name"] for o in shop.cluster.store.all(kind, NAMESPACE)]
    return [n for n in found if not n.startswith("relman-")]


def records(shop: Shop) -> int:
    return sum(
        "relman/record" in o["metadata"]["labels"] for o in shop.cluster.store.all("ConfigMap", NAMESPACE)
    )


def colours(shop: Shop) -> dict[str, str]:
    """Slot to the colour that its pods are given."""
    found = {}
    for pod in shop.cluster.store.all("Pod", NAMESPACE):
        (source,) = pod["spec"]["containers"][0]["envFrom"]
        named = shop.live("ConfigMap", source["configMapRef"]["name"])
        found[pod["metadata"]["labels"]["relman/slot"]] = named["data"]["colour"]
    return found


def ports(shop: Shop, service: str = "checkout") -> list[tuple[int, Any]]:
    return [(p["port"], p["targetPort"]) for p in shop.live("Service", service)["spec"]["ports"]]


def grace(shop: Shop, slot: str) -> int:
    seconds: int = shop.live("Deployment", f"checkout-{slot}")["spec"]["template"]["spec"][
        "terminationGracePeriodSeconds"
    ]
    return seconds


@pytest.fixture
def dressed(cluster: Cluster) -> tuple[Shop, Shop]:
    """The shop with blue settings, and a release that brings green ones."""
    before = Shop(cluster, settings("blue"), manifests=READING)
    before.stable()
    return before, Shop(cluster, settings("green"), manifests=READING)


def test_each_version_reads_its_own_settings_and_they_go_with_it(dressed: tuple[Shop, Shop]) -> None:
    before, release = dressed
    (blue,) = names(before)
    assert blue.startswith("settings-")
    assert colours(before) == {"blue": "blue"}
    release.canary(50)
    assert colours(release) == {"blue": "blue", "green": "green"}
    assert len(names(release)) == 2
    release.back()
    assert names(release) == [blue]
    assert colours(release) == {"blue": "blue"}


def test_a_rollback_after_the_promotion_brings_the_settings_of_the_old_version_back(
    dressed: tuple[Shop, Shop],
) -> None:
    _, release = dressed
    (blue,) = names(release)
    release.canary(50)
    release.converge(stable=NEW, stable_replicas=2)
    assert colours(release) == {"green": "green"}
    assert blue not in names(release)
    release.back()
    assert names(release) == [blue]
    assert set(colours(release).values()) == {"blue"}


def test_settings_that_no_pod_names_keep_their_name_and_change_with_the_traffic(cluster: Cluster) -> None:
    Shop(cluster, settings("blue", "rules"), settings("old", "gone")).stable()
    release = Shop(cluster, settings("green", "rules"), settings("new", "come"))
    release.canary(50)
    assert names(release) == ["come", "gone", "rules"]
    assert release.live("ConfigMap", "rules")["data"] == {"colour": "blue"}
    release.canary(100)
    assert release.live("ConfigMap", "rules")["data"] == {"colour": "green"}
    release.back()
    assert names(release) == ["gone", "rules"]
    assert release.live("ConfigMap", "rules")["data"] == {"colour": "blue"}
    release.converge(stable=NEW, stable_replicas=2)
    assert names(release) == ["come", "rules"]
    assert release.live("ConfigMap", "rules")["data"] == {"colour": "green"}


def test_a_policy_stays_as_the_version_that_serves_was_made_with(cluster: Cluster) -> None:
    Shop(cluster, policy("wall", "old")).stable()
    release = Shop(cluster, policy("wall", "new"))
    release.canary(0)
    wall = release.live("NetworkPolicy", "wall")
    assert wall["spec"]["podSelector"]["matchLabels"] == {"app": "old"}
    release.converge(stable=NEW, stable_replicas=2)
    wall = release.live("NetworkPolicy", "wall")
    assert wall["spec"]["podSelector"]["matchLabels"] == {"app": "new"}


def test_a_service_has_the_ports_of_the_version_that_it_selects(cluster: Cluster) -> None:
    Shop(cluster).stable()
    release = Shop(cluster, manifests=MOVED)
    release.canary(0)
    assert ports(release) == [(80, 8080)]
    assert ports(release, "checkout-preview") == [(80, 9090)]
    release.canary(100)
    assert ports(release) == [(80, 9090)]
    release.back()
    assert ports(release) == [(80, 8080)]
    release.converge(stable=NEW, stable_replicas=2)
    assert ports(release) == [(80, 9090)]
    release.back()
    assert ports(release) == [(80, 8080)]


def test_behind_a_route_each_version_has_its_own_ports_and_the_old_ones_rules_hold(cluster: Cluster) -> None:
    Shop(cluster, ROUTE).stable()
    other = ROUTE.replace("port: 80", "port: 81").replace("/pay", "/buy")
    release = Shop(cluster, other, manifests=RENUMBERED)
    release.canary(50)
    assert (ports(release, "checkout-blue"), ports(release, "checkout-green")) == ([(80, 8080)], [(81, 9090)])
    first, _ = release.live("HTTPRoute", "checkout")["spec"]["rules"]
    assert first["matches"][0]["path"]["value"] == "/pay"
    assert [(b["name"], b["port"]) for b in first["backendRefs"]] == [
        ("checkout-blue", 80),
        ("checkout-green", 81),
    ]
    release.canary(100)
    first, _ = release.live("HTTPRoute", "checkout")["spec"]["rules"]
    assert first["matches"][0]["path"]["value"] == "/buy"
    assert release.observe().url == f"http://checkout.{NAMESPACE}.svc:81"
    release.back()
    first, _ = release.live("HTTPRoute", "checkout")["spec"]["rules"]
    assert first["matches"][0]["path"]["value"] == "/pay"
    assert release.observe().url == f"http://checkout.{NAMESPACE}.svc:80"


def test_a_route_to_a_port_that_one_version_has_not_is_refused(cluster: Cluster) -> None:
    two = "[{name: web, port: 80, targetPort: 8080}, {name: more, port: 82, targetPort: 8082}]"
    Shop(cluster, ROUTE, manifests=MANIFESTS.replace("[{port: 80, targetPort: 8080}]", two)).stable()
    release = Shop(cluster, ROUTE)
    with pytest.raises(
        PlatformRejected, match="one of the two versions has no such port: give it the same name"
    ):
        release.canary(50)
    assert release.live("Deployment", "checkout-green") is None


def test_two_versions_behind_one_service_need_the_same_ports(cluster: Cluster) -> None:
    Shop(cluster).stable()
    release = Shop(cluster, manifests=MOVED)
    said = "port 80 of Service checkout goes to 8080 of the old version and to 9090 of the new one"
    with pytest.raises(PlatformRejected, match=said):
        release.canary(50)
    release.canary(100)
    with pytest.raises(PlatformRejected, match=said):
        release.canary(50)
    release.back()
    with pytest.raises(PlatformRejected, match=said):
        release.converge(stable=NEW, stable_replicas=2, rolling=RollingBounds(max_surge=1, max_unavailable=0))
    assert release.live("Deployment", "checkout-green") is None


def test_a_port_that_is_named_may_move(cluster: Cluster) -> None:
    Shop(cluster, manifests=NAMED).stable()
    release = Shop(cluster, manifests=NAMED.replace("8080", "9090"))
    assert release.canary(50).candidate.ready == 1
    rolled = release.converge(
        stable=NEW, stable_replicas=2, rolling=RollingBounds(max_surge=1, max_unavailable=0)
    )
    assert rolled.stable.revision == NEW


@pytest.mark.parametrize("remembered", [True, False])
def test_a_rollback_after_the_promotion_brings_back_what_the_old_version_ran_with(
    cluster: Cluster, remembered: bool
) -> None:
    Shop(cluster).converge(stable=OLD, stable_replicas=2, config={"COLOUR": "blue"})
    release = Shop(cluster, manifests=SLOWER)
    release.converge(stable=NEW, stable_replicas=2, config={"COLOUR": "green"})
    assert (grace(release, "green"), release.observe().config) == (9, {"COLOUR": "green"})
    if not remembered:
        CoreV1Api(new_client_from_config_dict(cluster.kubeconfig())).delete_namespaced_config_map(
            "relman-production-checkout", NAMESPACE
        )
    seen = release.back(config={"COLOUR": "green"})
    assert (seen.stable.revision, seen.config) == (OLD, {"COLOUR": "blue"})
    assert grace(release, "blue") == 1
    # And forward again, by the next release.
    release.converge(stable=NEW, stable_replicas=2, config={"COLOUR": "green"})
    assert grace(release, "green") == 9


def test_a_rollback_after_rolling_in_place_brings_back_what_the_old_version_ran_with(
    cluster: Cluster,
) -> None:
    Shop(cluster).stable()
    release = Shop(cluster, manifests=SLOWER)
    release.converge(stable=NEW, stable_replicas=2, rolling=RollingBounds(max_surge=1, max_unavailable=0))
    assert grace(release, "blue") == 9
    release.back()
    assert grace(release, "green") == 1


def test_a_version_whose_memory_was_removed_stays_as_it_stands(cluster: Cluster) -> None:
    Shop(cluster).stable()
    release = Shop(cluster, manifests=SLOWER)
    release.canary(50)
    made = release.live("Deployment", "checkout-blue")
    core = CoreV1Api(new_client_from_config_dict(cluster.kubeconfig()))
    key = made["metadata"]["labels"]["relman/revision"]
    core.delete_namespaced_config_map(f"relman-production-checkout-{key}", NAMESPACE)
    seen = release.back(replicas=1)
    assert (seen.stable.revision, seen.stable.ready) == (OLD, 1)
    assert release.live("Deployment", "checkout-blue")["spec"] == made["spec"] | {"replicas": 1}


def test_of_two_copies_of_one_version_each_keeps_its_place(cluster: Cluster) -> None:
    """The same version is released again with another configuration."""
    shop = Shop(cluster)
    shop.converge(stable=OLD, stable_replicas=2, config={"COLOUR": "blue"})
    again = {"candidate": OLD, "config": {"COLOUR": "green"}}
    for weight in (10, 50, 50):
        seen = shop.canary(weight, **again)
        assert (seen.stable.weight, seen.candidate.weight, seen.config) == (
            100 - weight,
            weight,
            {"COLOUR": "blue"},
        )
    seen = shop.back(config={"COLOUR": "green"})
    assert (seen.candidate, seen.config) == (None, {"COLOUR": "blue"})
    shop.canary(100, candidate_replicas=2, **again)
    seen = shop.converge(stable=OLD, stable_replicas=2, config={"COLOUR": "green"})
    assert (seen.candidate, seen.config) == (None, {"COLOUR": "green"})


def test_what_is_remembered_is_the_last_few_and_goes_with_the_environment(cluster: Cluster) -> None:
    shop = Shop(cluster)
    for number in range(1, KEPT + 4):
        shop.converge(stable=revision(number), stable_replicas=1)
    assert records(shop) == KEPT + 1
    shop.converge()
    assert records(shop) == 0

"""What relman makes of a workload in a cluster, seen through the cluster's own objects."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from relman_plugins.domain.state import DesiredState, RollingBounds
from relman_plugins.errors import PlatformRejected
from relman_plugins.platforms.registry import platform
from relman_plugins.strategies import promoted
from relman_plugins.strategies.blue_green import previewed
from relman_plugins.testing.kube.resources import BY_KIND
from tests.kubernetes.conftest import NEW, OLD, Shop
from tests.kubernetes.suites import driver_jobs, ended, job
from tests.platforms.places import INGRESS, MANIFESTS, NAMESPACE, ROUTE, VIRTUAL, revision

RBAC = Path(__file__).parents[2] / "deploy" / "kubernetes-rbac.yaml"
EXTRAS = """
{apiVersion: v1, kind: ConfigMap, metadata: {name: settings}, data: {colour: blue}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: checkout}}
---
{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: checkout}, spec: {maxUnavailable: 1}}
---
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: checkout}, spec: {podSelector: {}}}
---
{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: checkout}, spec: {rules: []}}
"""


def slot_of(shop: Shop, name: str = "checkout") -> str | None:
    return shop.live("Service", name)["spec"]["selector"].get("relman/slot")


def backends(shop: Shop) -> list[list[tuple[str, int]]]:
    rules = shop.live("HTTPRoute", "checkout")["spec"]["rules"]
    return [[(b["name"], b["weight"]) for b in rule["backendRefs"]] for rule in rules]


def test_a_fresh_baseline_is_refused_and_moves_nothing(shop):
    shop.stable()
    beside = {"candidate": NEW, "candidate_weight": 10, "candidate_replicas": 1}
    with pytest.raises(PlatformRejected, match="no fresh baseline on Kubernetes; write baseline: stable"):
        shop.converge(stable=OLD, stable_replicas=2, **beside, baseline=True)
    assert shop.live("Deployment", "checkout-green") is None


def test_a_version_is_a_deployment_with_its_image_by_digest_and_the_environments_variables(shop):
    shop.converge(stable=OLD, stable_replicas=2, config={"COLOUR": "blue", "WRITTEN": "over"})
    made = shop.live("Deployment", "checkout-blue")
    (container,) = made["spec"]["template"]["spec"]["containers"]
    assert container["image"] == OLD.image
    assert {e["name"]: e["value"] for e in container["env"]} == {
        "COLOUR": "blue",
        "WRITTEN": "over",
        "RELMAN_VERSION": "1.0.0",
        "RELMAN_DIGEST": OLD.digest,
    }
    assert made["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "relman"
    assert made["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/version"] == "1.0.0"
    assert made["metadata"]["managedFields"][0]["manager"] == "relman"
    assert shop.observe().config == {"COLOUR": "blue", "WRITTEN": "over"}
    assert shop.observe().url == f"http://checkout.{NAMESPACE}.svc:80"


def test_doing_it_twice_writes_nothing_to_what_serves(shop):
    shop.stable()

    def there():
        found = [shop.live("Deployment", "checkout-blue"), shop.live("Service", "checkout")]
        labels = [o["metadata"]["labels"].pop("relman/taken", None) for o in found]
        kept = [(o["metadata"]["labels"], o["metadata"].get("generation"), o["spec"]) for o in found]
        return kept, labels

    before, _ = there()
    shop.stable()
    after, taken = there()
    assert after == before
    assert all(taken)


def test_blue_green_switches_the_selector_and_shows_a_preview(shop):
    shop.stable()
    shop.driver.converge("production", "checkout", previewed(OLD, NEW, 2), token=1)
    assert (slot_of(shop), slot_of(shop, "checkout-preview")) == ("blue", "green")
    shop.canary(100, candidate_replicas=2)
    assert slot_of(shop) == "green"
    proven = shop.live("Deployment", "checkout-green")["metadata"]["uid"]
    shop.converge(stable=NEW, stable_replicas=2)
    assert slot_of(shop) == "green"
    assert shop.live("Deployment", "checkout-green")["metadata"]["uid"] == proven
    assert shop.live("Deployment", "checkout-blue") is None
    assert shop.live("Service", "checkout-preview") is None


def test_a_canary_sets_the_weights_of_every_rule_of_the_route(routed):
    routed.stable()
    assert backends(routed) == [[("checkout-blue", 100)], [("checkout-blue", 100)]]
    seen = routed.canary(10)
    assert backends(routed) == [[("checkout-blue", 90), ("checkout-green", 10)]] * 2
    assert (seen.stable.weight, seen.candidate.weight, slot_of(routed)) == (90, 10, "blue")
    routed.converge(stable=NEW, stable_replicas=2)
    assert backends(routed) == [[("checkout-green", 100)]] * 2
    assert routed.live("Service", "checkout-blue") is None


def test_without_a_router_the_share_is_that_of_the_pods_and_marked_as_coarse(shop):
    shop.stable()
    seen = shop.canary(10)
    assert slot_of(shop) is None
    assert seen.candidate.weight == 10
    assert seen.messages == ("coarse: without a route the candidate has the share of its pods, 33 %",)


def test_rolling_is_the_clusters_own_within_the_bounds(shop, cluster):
    shop.stable(4)
    first = shop.live("Deployment", "checkout-blue")["metadata"]["uid"]
    desired = promoted(NEW, 4).model_copy(update={"rolling": RollingBounds(max_surge=2, max_unavailable=1)})
    seen = shop.driver.converge("production", "checkout", desired, token=1)
    assert seen.stable.revision == NEW
    made = shop.live("Deployment", "checkout-blue")
    assert made["metadata"]["uid"] == first
    assert made["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"
    assert made["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 2, "maxUnavailable": 1}
    assert shop.live("Deployment", "checkout-green") is None


def test_identity_counts_and_not_health(shop, cluster):
    """Ready pods with another image than the Deployment's are not the revision: a webhook may put one in."""
    shop.stable()
    for pod in cluster.store.all("Pod", NAMESPACE):
        pod["spec"]["containers"][0]["image"] = NEW.image
        cluster.store.put(next(r for r, _, _ in cluster.store.objects if r.kind == "Pod"), pod)
    assert shop.observe().stable.ready == 0


def test_extras_are_applied_and_what_is_in_the_manifests_no_more_goes(cluster):
    shop = Shop(cluster, EXTRAS)
    shop.stable()
    assert shop.live("ConfigMap", "settings")["data"] == {"colour": "blue"}
    Shop(cluster).stable()
    assert shop.live("ConfigMap", "settings") is None
    assert shop.live("Ingress", "checkout") is None
    assert shop.live("ConfigMap", "relman-production-checkout") is not None


def test_two_environments_share_a_namespace_only_without_the_same_names(shop):
    shop.stable()
    with pytest.raises(PlatformRejected, match="somebody else made it"):
        shop.driver.converge("staging", "checkout", promoted(OLD, 1), token=1)


def test_a_version_without_an_image_or_with_a_tag_is_refused(shop):
    for image, said in ((None, "has no container image"), ("shop/checkout:1", "no image by digest")):
        wrong = OLD.model_copy(update={"image": image})
        with pytest.raises(PlatformRejected, match=said):
            shop.converge(stable=wrong, stable_replicas=1)
    with pytest.raises(PlatformRejected, match="an API client and a workload"):
        platform("kubernetes", host="127.0.0.1")


def test_the_rights_in_deploy_are_those_that_are_used_and_no_others(cluster, tmp_path):
    role = next(d for d in yaml.safe_load_all(RBAC.read_text()) if d["kind"] == "Role")
    granted = {
        (verb, f"{resource}.{group}".rstrip("."))
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    cluster.allowed = granted
    shop = Shop(cluster, ROUTE, EXTRAS)
    shop.stable()
    shop.canary(50)
    cluster.image(str(revision(4).image), "crash")
    with pytest.raises(PlatformRejected, match="does not start"):
        shop.canary(50, candidate=revision(4))
    for document in (VIRTUAL, INGRESS):
        shop.converge()
        shop = Shop(cluster, document)
        shop.stable()
        shop.canary(50)
    shop.converge()
    assert shop.observe().exists is False
    stateful = Shop(cluster, manifests=MANIFESTS.replace("kind: Deployment", "kind: StatefulSet"))
    stateful.stable()
    with pytest.raises(PlatformRejected, match="does not start"):
        stateful.converge(stable=revision(4), stable_replicas=2)
    stateful.back()
    stateful.converge()
    jobs, suite = driver_jobs(cluster), job()
    ended(jobs, suite)
    assert jobs.reports(suite, tmp_path) == ""
    jobs.stop(suite.name, "enough")
    jobs.remove(suite.release_id)
    assert set(cluster.asked) == granted
    cluster.allowed = granted - {("list", "pods")}
    with pytest.raises(PlatformRejected, match=r"relman may not GET .*/pods: .*kubernetes-rbac\.yaml"):
        shop.observe()


def test_what_desired_states_were_recorded_as_stays(shop):
    dumped = DesiredState(stable=OLD.model_copy(update={"image": None}), stable_replicas=1).model_dump(
        mode="json"
    )
    assert "rolling" not in dumped
    assert "image" not in dumped["stable"]


def test_a_manifest_that_is_refused_keeps_nobody_from_looking_and_nothing_from_going_back(cluster):
    Shop(cluster).stable()
    reserved = "{apiVersion: v1, kind: ConfigMap, metadata: {name: relman-settings}}"
    shop = Shop(cluster, reserved)
    assert shop.observe().stable.revision == OLD
    assert shop.back().stable.revision == OLD
    assert shop.live("ConfigMap", "relman-settings") is None
    with pytest.raises(PlatformRejected, match="ConfigMap relman-settings: names that begin"):
        shop.canary(50)
    assert not shop.converge().exists


@pytest.mark.parametrize(
    ("kind", "group"),
    [("httproutes", "gateway.networking.k8s.io"), ("virtualservices", "networking.istio.io")],
)
def test_who_may_not_see_routes_is_told_so_and_stops_forward_and_not_back(shop, cluster, kind, group):
    shop.stable()
    shop.canary(50)
    cluster.faults.fail("list", f"{kind}.{group}", 403, times=10_000)
    missing = rf"relman may not GET .*/{kind}.*deploy/kubernetes-rbac\.yaml"
    with pytest.raises(PlatformRejected, match=missing):
        shop.canary(100)
    seen = shop.back()
    assert (seen.stable.weight, seen.candidate) == (100, None)
    assert f"/{kind}" in " ".join(seen.messages)
    assert f"/{kind}" in " ".join(shop.observe().messages)


def test_a_cluster_without_the_gateway_api_and_istio_needs_none(shop, cluster):
    for kind in ("httproutes.gateway.networking.k8s.io", "virtualservices.networking.istio.io"):
        cluster.faults.fail("list", kind, 404, times=10_000)
    shop.stable()
    assert shop.canary(50).candidate.weight == 50


def test_traffic_has_moved_when_the_section_of_the_gateway_that_is_named_has_the_route(cluster):
    """A gateway's other sections may take the route: that says nothing of the one that is asked."""
    section = ROUTE.replace("[{name: web}]", "[{name: web, sectionName: https}]")
    shop = Shop(cluster, section)
    shop.stable()
    cluster.routes_are_taken(False)
    made = shop.live("HTTPRoute", "checkout")
    (parent,) = made["status"]["parents"]
    others = parent | {"parentRef": {"name": "web", "sectionName": "http"}}
    made["status"] = {"parents": [others]}
    cluster.store.put(BY_KIND["HTTPRoute"], made, status=True)
    assert "no gateway has taken HTTPRoute checkout as it is now" in shop.observe().messages
    made["status"] = {"parents": [others, parent]}
    cluster.store.put(BY_KIND["HTTPRoute"], made, status=True)
    assert shop.observe().messages == ()

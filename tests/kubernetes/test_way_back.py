"""The way back: what ran before runs on as it was, whatever the release brought along."""

from __future__ import annotations

import pytest

from relman_plugins.errors import PlatformRejected, PlatformUnavailable
from relman_plugins.testing.kube.resources import BY_KIND
from tests.kubernetes.conftest import NEW, Shop
from tests.kubernetes.routes import now
from tests.platforms.places import INGRESS, MANIFESTS, NAMESPACE, ROUTE, VIRTUAL
from tests.waiting import eventually

RENAMED = ROUTE.replace("metadata: {name: checkout}", "metadata: {name: shop}")


def routes(shop: Shop) -> list[str]:
    return [r["metadata"]["name"] for r in shop.cluster.store.all("HTTPRoute", NAMESPACE)]


def backends(shop: Shop, route: str) -> dict[str, int]:
    rules = shop.live("HTTPRoute", route)["spec"]["rules"]
    return {b["name"]: b["weight"] for rule in rules for b in rule["backendRefs"]}


NAMED = MANIFESTS.replace("[{port: 80, targetPort: 8080}]", "[{name: http, port: 80, targetPort: 8080}]")
TWO_PORTS = NAMED.replace("targetPort: 8080}", "targetPort: 8080}, {name: grpc, port: 9090}")
WITH_GRPC = f"{RENAMED}    - backendRefs: [{{name: checkout, port: 9090}}]"
HARDENED = MANIFESTS.replace("terminationGracePeriodSeconds: 1", "terminationGracePeriodSeconds: 2")


def test_taken_back_twice_is_taken_back_once_and_what_ran_stays_as_it_was_made(cluster):
    before = Shop(cluster, ROUTE)
    before.stable()
    made = before.live("Deployment", "checkout-blue")
    release = Shop(cluster, ROUTE, manifests=HARDENED)
    release.canary(50, config={"COLOUR": "green"})
    for _ in ("by the step", "by the rollback"):
        seen = release.back(config={"COLOUR": "green"})
        assert (seen.stable.weight, seen.candidate) == (100, None)
        assert release.live("Deployment", "checkout-blue")["spec"] == made["spec"]
        assert release.live("Deployment", "checkout-green") is None
    assert release.converge(stable=NEW, stable_replicas=2).stable.revision == NEW
    pods = release.live("Deployment", "checkout-green")["spec"]["template"]["spec"]
    assert pods["terminationGracePeriodSeconds"] == 2


def test_a_pod_that_was_evicted_and_stays_as_failed_keeps_nothing_from_going_on(shop, cluster):
    shop.stable()
    pod = cluster.store.all("Pod", NAMESPACE)[0]["metadata"]["name"]
    cluster.evict(pod)
    eventually(lambda: len(cluster.store.all("Pod", NAMESPACE)) == 3, "another takes its place")
    assert shop.canary(50).candidate.ready == 1
    assert shop.back().candidate is None
    assert cluster.store.find("Pod", NAMESPACE, pod)["status"]["reason"] == "Evicted"


def test_a_route_with_another_name_takes_the_place_of_the_old_one(cluster):
    Shop(cluster, ROUTE).stable()
    renamed = Shop(cluster, RENAMED)
    assert renamed.canary(50).candidate.weight == 50
    assert routes(renamed) == ["checkout"]
    assert renamed.canary(100).candidate.weight == 100
    assert routes(renamed) == ["shop"]
    assert renamed.back().stable.weight == 100
    assert routes(renamed) == ["checkout"]
    without = Shop(cluster)
    without.stable()
    assert routes(without) == []
    assert without.live("Service", "checkout-blue") is None


def test_an_old_route_stays_until_the_new_one_is_taken(cluster):
    Shop(cluster, ROUTE).stable()
    renamed = Shop(cluster, RENAMED)
    cluster.routes_are_taken(False)
    with pytest.raises(PlatformUnavailable, match="no gateway has taken HTTPRoute shop as it is now"):
        renamed.converge(stable=NEW, stable_replicas=1, timeout_s=2)
    assert routes(renamed) == ["checkout", "shop"]
    assert backends(renamed, "checkout") == {"checkout-blue": 100}
    cluster.routes_are_taken(True)
    assert renamed.converge(stable=NEW, stable_replicas=1).stable.revision == NEW
    assert routes(renamed) == ["shop"]


def test_the_traffic_is_back_before_any_gateway_has_taken_the_old_route_again(cluster):
    Shop(cluster, ROUTE).stable()
    renamed = Shop(cluster, RENAMED)
    renamed.canary(100)
    cluster.routes_are_taken(False)
    with pytest.raises(PlatformUnavailable, match="no gateway has taken HTTPRoute checkout as it is now"):
        renamed.back(timeout_s=2)
    assert backends(renamed, "shop") == backends(renamed, "checkout") == {"checkout-blue": 100}
    cluster.routes_are_taken(True)
    assert renamed.back().stable.weight == 100
    assert routes(renamed) == ["checkout"]


def test_traffic_has_moved_when_every_gateway_has_the_route(cluster):
    two = ROUTE.replace("[{name: web}]", "[{name: web}, {name: inside}]")
    shop = Shop(cluster, two)
    shop.stable()
    cluster.routes_are_taken(False, "inside")
    with pytest.raises(PlatformUnavailable, match="the gateway inside has not taken HTTPRoute checkout"):
        shop.canary(50, timeout_s=2)
    cluster.routes_are_taken(True, "inside")
    assert shop.canary(50).candidate.weight == 50


def test_a_backend_of_the_same_name_in_another_namespace_stays(cluster):
    shop = Shop(cluster, f"{ROUTE}    - backendRefs: [{{name: checkout, namespace: elsewhere, port: 80}}]")
    shop.stable()
    last = shop.live("HTTPRoute", "checkout")["spec"]["rules"][-1]
    assert [(b["name"], b["namespace"]) for b in last["backendRefs"]] == [("checkout", "elsewhere")]


def test_a_candidate_is_seen_as_long_as_the_service_selects_its_pods(shop, cluster):
    shop.stable()
    shop.canary(50)
    cluster.faults.denied["Service"] = "not now"
    with pytest.raises(PlatformRejected, match="not now"):
        shop.back()
    seen = shop.observe()
    assert (seen.stable.weight, seen.candidate.weight, seen.candidate.revision) == (67, 33, NEW)
    del cluster.faults.denied["Service"]
    assert shop.back().candidate is None


@pytest.mark.parametrize("route", [(), (ROUTE,)])
def test_the_way_back_waits_for_no_router_that_has_it_and_the_way_forward_does(cluster, route):
    shop = Shop(cluster, *route, drain_s=3600)
    shop.stable()
    shop.canary(50)
    assert shop.back().candidate is None
    assert shop.live("Deployment", "checkout-green") is None
    shop.canary(100, candidate_replicas=2)
    with pytest.raises(PlatformUnavailable, match="the old pods stay for 3600 s"):
        shop.converge(stable=NEW, stable_replicas=2, timeout_s=2)
    assert (shop.observe().stable.revision, shop.observe().stable.weight) == (NEW, 100)
    assert shop.live("Deployment", "checkout-blue") is not None


@pytest.mark.parametrize("route", [VIRTUAL, INGRESS])
def test_what_is_taken_back_stays_while_a_router_may_not_have_learnt_it(cluster, route):
    shop = Shop(cluster, route, drain_s=3600)
    shop.stable()
    shop.canary(50)
    with pytest.raises(PlatformUnavailable, match="the old pods stay for 10 s"):
        shop.back(timeout_s=2)
    # Its traffic has left it all the same.
    assert now(cluster).sent() == {"blue": 100}
    assert shop.live("Deployment", "checkout-green")["status"]["readyReplicas"] == 1
    assert Shop(cluster, route, drain_s=0).back().candidate is None
    assert shop.live("Deployment", "checkout-green") is None


@pytest.mark.parametrize("before", [(), (ROUTE,)])
def test_a_route_that_came_with_a_port_of_its_own_does_not_stop_the_way_back(cluster, before):
    Shop(cluster, *before, manifests=NAMED).stable()
    release = Shop(cluster, WITH_GRPC, manifests=TWO_PORTS)
    release.converge(stable=NEW, stable_replicas=2)
    assert "checkout-green" in backends(release, "shop")
    cluster.faults.fail("delete", "httproutes.gateway.networking.k8s.io", 403, message="not now", times=9)
    with pytest.raises(PlatformRejected, match="not now"):
        release.back()
    *rules, last = release.live("HTTPRoute", "shop")["spec"]["rules"]
    to = "checkout-blue" if before else "checkout"
    assert {(b["name"], b["weight"]) for rule in rules for b in rule["backendRefs"]} == {(to, 100)}
    assert release.live("Service", to)["spec"]["selector"]["relman/slot"] == "blue"
    assert "backendRefs" not in last
    cluster.faults.waiting.clear()
    assert (release.back().stable.weight, routes(release)) == (100, [r and "checkout" for r in before])


def test_a_candidate_has_no_traffic_before_somebody_answers_for_its_service(routed, cluster):
    routed.stable()
    cluster.endpoints_follow(False)
    with pytest.raises(PlatformUnavailable, match="no pod answers for Service checkout-green"):
        routed.canary(50, timeout_s=2)
    assert backends(routed, "checkout") == {"checkout-blue": 100}
    cluster.endpoints_follow(True)
    assert routed.canary(50).candidate.weight == 50


def test_pods_keep_a_config_map_of_which_nothing_is_remembered(cluster):
    manifests = MANIFESTS.replace(
        "ports: [{c", "envFrom: [{configMapRef: {name: settings}}]\n          ports: [{c"
    )
    one, two = (
        f"{{apiVersion: v1, kind: ConfigMap, metadata: {{name: settings}}, data: {{of: {of}}}}}"
        for of in ("one", "two")
    )
    Shop(cluster, one, manifests=manifests).stable()
    for record in cluster.store.all("ConfigMap", NAMESPACE):
        if "relman/record" in record["metadata"]["labels"]:
            cluster.store.remove(BY_KIND["ConfigMap"], NAMESPACE, record["metadata"]["name"])
    shop = Shop(cluster, two, manifests=manifests)
    shop.canary(50)
    (app,) = shop.live("Deployment", "checkout-blue")["spec"]["template"]["spec"]["containers"]
    named = app["envFrom"][0]["configMapRef"]["name"]
    assert shop.live("ConfigMap", named)["data"] == {"of": "one"}

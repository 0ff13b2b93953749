"""What is the same by every router: where requests go at each moment, read as the router reads it."""

from __future__ import annotations

from typing import Any

import pytest

from relman_plugins.errors import PlatformRejected, PlatformUnavailable
from relman_plugins.testing.kube import Cluster
from relman_plugins.testing.kube.resources import BY_KIND
from tests.kubernetes.conftest import NEW, Shop
from tests.kubernetes.routes import moves, now
from tests.platforms.places import INGRESS, MANIFESTS, NAMESPACE, ROUTE, ROUTERS, VIRTUAL

PLAIN = INGRESS.replace(", annotations: {relman/router: ingress-nginx}", "")
RENUMBERED = MANIFESTS.replace("{port: 80, targetPort: 8080}", "{port: 81, targetPort: 9090}")


@pytest.fixture(params=ROUTERS)
def behind(request: Any, cluster: Cluster) -> Shop:
    """Behind each router."""
    return Shop(cluster, ROUTERS[request.param])


def kinds(cluster: Cluster) -> list[str]:
    return [k for k in ("HTTPRoute", "VirtualService", "Ingress") for _ in cluster.store.all(k, NAMESPACE)]


def test_each_change_moves_the_traffic_in_one_step_and_loses_none(behind: Shop) -> None:
    """Also between two writes nobody has another share than before or after."""
    cluster = behind.cluster
    behind.stable()
    promoted = {"stable": NEW, "stable_replicas": 2}
    for change, after in (
        (lambda: behind.canary(0), {"blue": 100}),
        (lambda: behind.canary(10), {"blue": 90, "green": 10}),
        (lambda: behind.canary(50), {"blue": 50, "green": 50}),
        (lambda: behind.back(), {"blue": 100}),
        (lambda: behind.canary(100, candidate_replicas=2), {"green": 100}),
        (lambda: behind.back(), {"blue": 100}),
        (lambda: behind.converge(**promoted), {"green": 100}),
    ):
        before, since = now(cluster).sent(), cluster.store.version
        seen = change()
        assert now(cluster).sent() == after
        assert [m for m in moves(cluster, since) if m != before] == ([after] if after != before else [])
        weights = {r: s.weight for r, s in (("stable", seen.stable), ("candidate", seen.candidate)) if s}
        assert sum(weights.values()) == 100
        assert seen.messages == ()
    assert kinds(cluster) == kinds(cluster)[:1]
    services = {s["metadata"]["name"] for s in cluster.store.all("Service", NAMESPACE)}
    assert services == {"checkout", "checkout-green"}
    assert not behind.converge().exists
    assert kinds(cluster) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (ROUTE, INGRESS),
        (INGRESS, VIRTUAL),
        (VIRTUAL, PLAIN),
        (PLAIN, INGRESS),
        (INGRESS, PLAIN),
    ],
)
def test_a_version_may_come_with_another_router_and_go_back(
    cluster: Cluster, before: str, after: str
) -> None:
    old, release = (Shop(cluster, *filter(None, [document])) for document in (before, after))
    old.stable()
    there = kinds(cluster)
    uid = (old.live("Ingress", "checkout") or {"metadata": {"uid": ""}})["metadata"]["uid"]
    assert release.canary(50).candidate.weight == 50
    assert release.canary(100, candidate_replicas=2).candidate.weight == 100
    assert release.back().stable.weight == 100
    assert kinds(cluster) == there
    release.converge(stable=NEW, stable_replicas=2)
    assert kinds(cluster) == [k for k in ("HTTPRoute", "VirtualService", "Ingress") if k in after]
    release.back()
    assert kinds(cluster) == there
    if "Ingress" in before and "Ingress" in after:
        assert release.live("Ingress", "checkout")["metadata"]["uid"] == uid, "it was there all the time"
    if before and before != PLAIN:
        assert now(cluster).sent() == {"blue": 100}


def test_other_backends_of_a_rule_keep_their_part(cluster: Cluster) -> None:
    three = ROUTE.replace(
        "[{name: checkout, port: 80}]",
        "[{name: checkout, port: 80, weight: 3}, {name: legacy, port: 80}]",
        1,
    )
    legacy = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "legacy", "namespace": NAMESPACE}}
    cluster.store.put(BY_KIND["Service"], legacy | {"spec": {}})
    shop = Shop(cluster, f"{three}    - backendRefs: [{{name: legacy, port: 80, weight: 7}}]")
    shop.stable()
    shop.canary(10)
    assert [
        [(b["name"], b["weight"]) for b in rule["backendRefs"]]
        for rule in shop.live("HTTPRoute", "checkout")["spec"]["rules"]
    ] == [
        [("checkout-blue", 27), ("checkout-green", 3), ("legacy", 10)],
        [("checkout-blue", 90), ("checkout-green", 10)],
        [("legacy", 7)],
    ]
    assert shop.observe().candidate.weight == 10


def test_what_else_is_in_it_stays_as_it_is(cluster: Cluster) -> None:
    others = VIRTUAL.replace(
        "[{destination: {host: checkout, port: {number: 80}}}]",
        "[{destination: {host: checkout}, weight: 75}, {destination: {host: old.example}, weight: 25}]",
    )
    shop = Shop(cluster, others)
    shop.stable()
    shop.canary(10)
    first, last = shop.live("VirtualService", "checkout")["spec"]["http"]
    assert [(to["destination"]["host"], to["weight"]) for to in first["route"]] == [
        ("checkout-blue", 27),
        ("checkout-green", 3),
        ("old.example", 10),
    ]
    assert first["timeout"] == "5s"
    assert [(to["destination"]["host"], to["weight"]) for to in last["route"]] == [
        (f"checkout-{slot}.{NAMESPACE}.svc.cluster.local", weight)
        for slot, weight in (("blue", 90), ("green", 10))
    ]


def test_a_canary_has_what_the_controller_does_not_take_from_the_other_ingress(cluster: Cluster) -> None:
    noted = INGRESS.replace(
        "{relman/router: ingress-nginx}",
        "{relman/router: ingress-nginx, nginx.ingress.kubernetes.io/load-balance: ewma,"
        " nginx.ingress.kubernetes.io/rewrite-target: /, cert-manager.io/issuer: ca}",
    )
    shop = Shop(cluster, f"{noted}          - {{path: /old, backend: {{service: {{name: other}}}}}}")
    shop.stable()
    shop.canary(10)
    made = shop.live("Ingress", "checkout-canary")
    assert made["metadata"]["annotations"] == {
        "nginx.ingress.kubernetes.io/canary": "true",
        "nginx.ingress.kubernetes.io/canary-weight": "10",
        "nginx.ingress.kubernetes.io/load-balance": "ewma",
        "relman/router": "ingress-nginx",
    }
    (rule,) = made["spec"]["rules"]
    assert [path["path"] for path in rule["http"]["paths"]] == ["/pay", "/"]
    assert (made["spec"]["ingressClassName"], "tls" in made["spec"]) == ("nginx", False)
    main = shop.live("Ingress", "checkout")["spec"]
    assert [p["backend"]["service"]["name"] for p in main["rules"][0]["http"]["paths"]] == [
        "checkout",
        "checkout",
        "other",
    ]


def test_each_version_has_its_own_ports_behind_an_ingress(cluster: Cluster) -> None:
    ingress = INGRESS.replace("{number: 80}", "{name: http}")
    named = MANIFESTS.replace("{port: 80,", "{name: http, port: 80,")
    moved = named.replace("8080}]}", "9090}, {name: more, port: 81, targetPort: 9091}]}")
    Shop(cluster, ingress, manifests=named).stable()
    release = Shop(cluster, ingress, manifests=moved)
    release.canary(50)
    assert now(cluster).sent() == {"blue": 50, "green": 50}
    assert [p["targetPort"] for p in release.live("Service", "checkout-green")["spec"]["ports"]] == [
        9090,
        9091,
    ]
    release.canary(100, candidate_replicas=2)
    assert now(cluster).sent() == {"green": 100}


def test_a_port_that_the_old_ingress_sends_to_stays_for_a_version(cluster: Cluster) -> None:
    """Service and Ingress can't change at once."""
    Shop(cluster, INGRESS).stable()
    release = Shop(cluster, INGRESS.replace("number: 80", "number: 81"), manifests=RENUMBERED)
    assert release.canary(50).candidate.weight == 50
    with pytest.raises(
        PlatformRejected, match="Ingress checkout sends to port 80 of Service checkout, which"
    ):
        release.canary(100)
    assert now(cluster).sent() == {"blue": 50, "green": 50}
    assert release.back().stable.weight == 100


def test_traffic_has_moved_when_a_controller_has_given_the_ingress_an_address(cluster: Cluster) -> None:
    cluster.routes_are_taken(False)
    shop = Shop(cluster, INGRESS)
    with pytest.raises(PlatformUnavailable, match="no controller has given Ingress checkout an address"):
        shop.converge(stable=NEW, stable_replicas=1, timeout_s=2)
    cluster.routes_are_taken(True)
    assert shop.converge(stable=NEW, stable_replicas=1).messages == ()


def test_a_canary_that_can_not_be_deleted_has_no_weight_at_once(cluster: Cluster) -> None:
    shop = Shop(cluster, INGRESS.replace("{relman", "{kubernetes.io/ingress.class: nginx, relman"))
    shop.stable()
    shop.canary(50)
    held = shop.live("Ingress", "checkout-canary")
    held["metadata"]["finalizers"] = ["example.com/guard"]
    cluster.store.put(BY_KIND["Ingress"], held)
    assert shop.back().stable.weight == 100
    assert now(cluster).sent() == {"blue": 100}
    left = shop.live("Ingress", "checkout-canary")["metadata"]
    assert "deletionTimestamp" in left
    # Its controller still looks at it.
    assert left["annotations"]["kubernetes.io/ingress.class"] == "nginx"


def test_a_rule_that_no_version_has_a_port_for_is_answered_by_istio_itself(cluster: Cluster) -> None:
    """It refuses a rule without destination, and nothing may stop the way back."""
    renamed = VIRTUAL.replace("metadata: {name: checkout}", "metadata: {name: shop}")
    named = MANIFESTS.replace("{port: 80,", "{name: http, port: 80,")
    two = named.replace("8080}]}", "8080}, {name: grpc, port: 9090}]}")
    Shop(cluster, manifests=named).stable()
    more = "    - {timeout: 1s, route: [{destination: {host: checkout, port: {number: 9090}}}]}"
    release = Shop(cluster, f"{renamed}{more}", manifests=two)
    release.converge(stable=NEW, stable_replicas=2)
    cluster.faults.fail("delete", "virtualservices.networking.istio.io", 403, message="not now", times=9)
    with pytest.raises(PlatformRejected, match="not now"):
        release.back()
    *rules, last = release.live("VirtualService", "shop")["spec"]["http"]
    assert {to["destination"]["host"].split(".")[0] for rule in rules for to in rule["route"]} == {"checkout"}
    assert last == {"directResponse": {"status": 503}}
    cluster.faults.waiting.clear()
    assert (release.back().stable.weight, kinds(cluster)) == (100, [])

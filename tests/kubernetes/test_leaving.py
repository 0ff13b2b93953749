"""Objects that are being deleted, and that finalizers hold: they are waited for, named, and made anew."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from relman_plugins.domain.state import ObservedState, Revision
from relman_plugins.errors import PlatformUnavailable, StaleToken
from relman_plugins.strategies.base import withdrawn
from relman_plugins.testing.kube import Cluster
from relman_plugins.testing.kube.resources import BY_KIND
from tests.kubernetes.conftest import NEW, OLD, Shop
from tests.platforms.places import NAMESPACE
from tests.waiting import eventually

GUARD = "example.com/guard"
ROLES = "relman-production-checkout"
"""What relman remembers of the service."""


def finalizers(shop: Shop, kind: str, name: str, *held: str) -> Any:
    """Let others write these finalizers; return the object as it was."""
    live = shop.live(kind, name)
    live["metadata"]["finalizers"] = list(held)
    shop.cluster.store.put(BY_KIND[kind], live)
    return live


def deleted(shop: Shop, kind: str, name: str) -> str:
    """Let somebody delete an object that a finalizer holds; return its uid."""
    uid = str(finalizers(shop, kind, name, GUARD, "example.com/audit")["metadata"]["uid"])
    shop.cluster.store.remove(BY_KIND[kind], NAMESPACE, name)
    assert "deletionTimestamp" in shop.live(kind, name)["metadata"]
    return uid


def config_maps(shop: Shop) -> list[str]:
    return [c["metadata"]["name"] for c in shop.cluster.store.all("ConfigMap", NAMESPACE)]


def asked(cluster: Cluster, plural: str) -> int:
    return cluster.asked.count(("get", plural))


@pytest.mark.parametrize(
    ("kind", "name", "plural"),
    [
        ("Service", "checkout", "services"),
        ("Deployment", "checkout-blue", "deployments.apps"),
        ("ConfigMap", ROLES, "configmaps"),
    ],
)
def test_what_is_being_deleted_is_waited_for_and_made_anew(
    shop: Shop, kind: str, name: str, plural: str
) -> None:
    shop.stable()
    uid = deleted(shop, kind, name)
    spec = shop.live(kind, name).get("spec")
    before = asked(shop.cluster, plural)
    with ThreadPoolExecutor(1) as pool:
        going = pool.submit(shop.canary, 50)
        eventually(lambda: asked(shop.cluster, plural) > before + 3, "it is looked at again and again")
        assert not going.done()
        assert shop.live(kind, name).get("spec") == spec, "what goes is left as it is"
        finalizers(shop, kind, name)
        assert going.result(60).candidate.weight == 50
    there = shop.live(kind, name)
    assert there["metadata"]["uid"] != uid
    assert "deletionTimestamp" not in there["metadata"]


def test_in_time_or_it_is_said_who_holds_it_and_nothing_has_changed(shop: Shop) -> None:
    shop.stable()
    deleted(shop, "Service", "checkout")
    with pytest.raises(
        PlatformUnavailable, match=rf"services/checkout is being .*: {GUARD}, example.com/audit\."
    ):
        shop.canary(50, timeout_s=1)
    assert shop.live("Deployment", "checkout-green") is None


def test_the_way_back_moves_the_traffic_at_once_and_waits_then(shop: Shop) -> None:
    shop.stable()
    shop.converge(stable=OLD, stable_replicas=2, candidate=NEW, candidate_replicas=2, candidate_weight=100)
    assert shop.live("Service", "checkout")["spec"]["selector"]["relman/slot"] == "green"
    uid = deleted(shop, "Service", "checkout")
    with ThreadPoolExecutor(1) as pool:
        going = pool.submit(shop.back)
        eventually(
            lambda: shop.live("Service", "checkout")["spec"]["selector"]["relman/slot"] == "blue",
            "the traffic",
        )
        assert shop.live("Service", "checkout")["metadata"]["uid"] == uid
        finalizers(shop, "Service", "checkout")
        seen = going.result(60)
    assert (seen.stable.weight, seen.candidate) == (100, None)
    assert shop.live("Service", "checkout")["metadata"]["uid"] != uid


def test_a_service_that_goes_while_its_traffic_is_waited_for_is_made_anew_at_once(shop: Shop) -> None:
    shop.stable()
    shop.converge(stable=OLD, stable_replicas=2, candidate=NEW, candidate_replicas=2, candidate_weight=100)
    uid = deleted(shop, "Service", "checkout")
    shop.cluster.endpoints_follow(False)
    with ThreadPoolExecutor(1) as pool:
        going = pool.submit(shop.back)
        eventually(
            lambda: shop.live("Service", "checkout")["spec"]["selector"]["relman/slot"] == "blue",
            "the traffic",
        )
        finalizers(shop, "Service", "checkout")
        eventually(lambda: shop.live("Service", "checkout") is not None, "it is made anew")
        shop.cluster.endpoints_follow(True)
        seen = going.result(60)
    assert (seen.stable.weight, seen.candidate) == (100, None)
    assert shop.live("Service", "checkout")["metadata"]["uid"] != uid


def test_the_way_back_to_pods_that_are_made_anew_waits_for_them_alone(shop: Shop) -> None:
    shop.stable()
    record = next(name for name in config_maps(shop) if name != ROLES)
    shop.converge(stable=OLD, stable_replicas=2, candidate=NEW, candidate_replicas=2, candidate_weight=100)
    assert shop.live("Service", "checkout")["spec"]["selector"]["relman/slot"] == "green"
    shop.cluster.store.remove(BY_KIND["Deployment"], NAMESPACE, "checkout-blue")
    uid = deleted(shop, "ConfigMap", record)
    with ThreadPoolExecutor(1) as pool:
        going = pool.submit(shop.back)
        eventually(
            lambda: shop.live("Service", "checkout")["spec"]["selector"]["relman/slot"] == "blue",
            "the traffic",
        )
        assert shop.live("ConfigMap", record)["metadata"]["uid"] == uid
        finalizers(shop, "ConfigMap", record)
        seen = going.result(60)
    assert (seen.stable.revision, seen.stable.weight, seen.candidate) == (OLD, 100, None)
    assert shop.live("ConfigMap", record)["metadata"]["uid"] != uid


@pytest.mark.parametrize("to", [OLD, None])
def test_after_a_way_back_the_token_is_kept_though_what_remembers_it_was_deleted(
    shop: Shop, to: Revision | None
) -> None:
    shop.stable()
    uid = deleted(shop, "ConfigMap", ROLES)
    wanted = withdrawn(to, 2, None)

    def back() -> ObservedState:
        return shop.driver.converge("production", "checkout", wanted, token=7, timeout_s=20)

    looks = [("get", "configmaps")] * 4
    with ThreadPoolExecutor(1) as pool:
        going = pool.submit(back)
        eventually(lambda: going.done() or list(shop.cluster.asked)[-4:] == looks, "nothing else is left")
        finalizers(shop, "ConfigMap", ROLES)
        assert going.result(60).token == 7
    assert shop.live("ConfigMap", ROLES)["metadata"]["uid"] != uid
    with pytest.raises(StaleToken):
        shop.converge(token=6, stable=NEW, stable_replicas=2)


def test_an_end_that_finalizers_hold_up_is_no_end_and_is_said(shop: Shop) -> None:
    shop.stable()
    finalizers(shop, "Service", "checkout", GUARD)
    with pytest.raises(PlatformUnavailable, match=rf"Service checkout is being deleted since .*: {GUARD}\."):
        shop.converge(timeout_s=2)
    finalizers(shop, "Service", "checkout")
    assert not shop.converge(timeout_s=20).exists

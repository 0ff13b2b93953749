"""A caller that lost its lock and goes on late: its requests arrive when a newer one is done already."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from kubernetes.client import CoreV1Api
from kubernetes.client.exceptions import ApiException
from kubernetes.config import new_client_from_config_dict

from relman_plugins.domain.state import ObservedState
from relman_plugins.errors import PlatformRejected, StaleToken
from tests.kubernetes.conftest import NEW, OLD, THIRD, Shop
from tests.platforms.places import INGRESS, NAMESPACE, ROUTE, VIRTUAL
from tests.waiting import eventually

ROLES = "relman-production-checkout"
SETTINGS = "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}}}, data: {{colour: blue}}}}"


@contextmanager
def held(shop: Shop, verb: str, resource: str, says: str, call: Callable[[], Any]) -> Iterator[Future[Any]]:
    """Let a call go on until such a request of it has been sent; the request arrives when the block ends."""
    released = shop.cluster.faults.hold(verb, resource, says)
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(call)
        try:
            eventually(lambda: not shop.cluster.faults.waiting or late.done(), "the request is on its way")
            assert not late.done(), late.result()
            yield late
        finally:
            released.set()


def slot(shop: Shop) -> str | None:
    return shop.live("Service", "checkout")["spec"]["selector"].get("relman/slot")


def newer(shop: Shop, **fields: Any) -> ObservedState:
    return shop.converge(token=2, stable=OLD, stable_replicas=2, **fields)


def test_a_late_move_of_the_traffic_is_refused_though_the_newer_one_had_nothing_to_change(shop):
    shop.stable()
    shop.canary(0)
    moving = '"relman/slot": "green"'
    with held(shop, "patch", "services", moving, lambda: shop.canary(100)) as late:
        newer(shop)
        assert (slot(shop), shop.live("Deployment", "checkout-green")) == ("blue", None)
    with pytest.raises(StaleToken):
        late.result()
    assert slot(shop) == "blue"


def test_a_late_delete_is_refused_though_the_newer_one_left_the_object_as_it_was(shop):
    shop.stable()
    shop.canary(0)
    with held(shop, "delete", "deployments.apps", "", shop.stable) as late:
        assert shop.canary(0, token=2).candidate.ready == 1
    with pytest.raises(StaleToken):
        late.result()
    assert shop.observe().candidate.ready == 1


def test_a_late_delete_of_an_extra_is_refused(cluster):
    shop = Shop(cluster, SETTINGS.format(name="settings"))
    shop.stable()
    without = Shop(cluster)
    with held(shop, "delete", "configmaps", "", without.stable) as late:
        newer(shop)
    with pytest.raises(StaleToken):
        late.result()
    assert shop.live("ConfigMap", "settings") is not None


def test_what_is_made_late_does_not_take_the_place_of_what_the_newer_one_made(shop):
    shop.stable()
    with held(shop, "patch", "deployments.apps", '"checkout-green"', lambda: shop.canary(0)) as late:
        newer(shop, candidate=THIRD, candidate_replicas=1)
    with pytest.raises(StaleToken):
        late.result()
    assert shop.observe().candidate.revision == THIRD


def test_the_token_never_becomes_smaller(shop):
    with held(shop, "patch", "configmaps", ROLES, shop.stable) as late:
        shop.converge(token=2, stable=NEW, stable_replicas=1)
    with pytest.raises(StaleToken):
        late.result()
    assert (shop.observe().token, shop.observe().stable.revision) == (2, NEW)


def test_what_was_deleted_meanwhile_is_not_made_again_by_what_rested_on_it(shop, cluster):
    shop.stable()
    core = CoreV1Api(new_client_from_config_dict(cluster.kubeconfig()))
    with held(shop, "patch", "configmaps", '"candidate": "green"', lambda: shop.canary(0)) as late:
        core.delete_namespaced_config_map(ROLES, NAMESPACE)
    with pytest.raises(Exception, match="another desired state"):
        late.result()
    assert shop.live("ConfigMap", ROLES) is None


def test_a_write_without_an_answer_looks_at_the_token_before_it_is_tried_again(shop, cluster):
    shop.stable()
    cluster.asked.clear()
    cluster.faults.fail("patch", "services", 503)
    shop.stable()
    first, second = [i for i, one in enumerate(cluster.asked) if one == ("patch", "services")][:2]
    assert ("get", "services") in cluster.asked[first:second]


def test_a_policy_that_takes_no_change_does_not_keep_the_traffic_from_going_back(routed, cluster):
    routed.stable()
    routed.canary(50)
    cluster.faults.denied["Deployment"] = "images must be signed"
    with pytest.raises(PlatformRejected, match="images must be signed"):
        newer(routed, candidate=NEW, candidate_replicas=2)
    assert (routed.observe().stable.weight, routed.observe().candidate.weight) == (100, 0)


def test_a_manifest_with_the_name_of_what_relman_remembers_is_refused(cluster):
    with pytest.raises(PlatformRejected, match=r"ConfigMap relman-production-checkout: names that begin"):
        Shop(cluster, SETTINGS.format(name=ROLES)).stable()
    assert cluster.writes == []


def test_a_version_alone_makes_what_is_gone_again_and_a_uid_does_not(cluster):
    core = CoreV1Api(new_client_from_config_dict(cluster.kubeconfig()))

    def apply(**meta: str) -> Any:
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "x", **meta},
            "data": {"a": "b"},
        }
        return core.patch_namespaced_config_map(
            "x", NAMESPACE, body, field_manager="relman", _content_type="application/apply-patch+yaml"
        )

    made = apply(resourceVersion="1").metadata
    with pytest.raises(ApiException, match="has been modified"):
        apply(resourceVersion="1")
    core.delete_namespaced_config_map("x", NAMESPACE)
    with pytest.raises(ApiException, match="uid mismatch"):
        apply(resourceVersion=made.resource_version, uid=made.uid)
    assert apply(resourceVersion=made.resource_version).metadata.uid != made.uid


def test_refused_watches_are_tried_ever_more_seldom(shop, cluster):
    cluster.image(str(OLD.image), "hang")
    cluster.faults.fail("watch", "*", 403, times=10_000)
    with pytest.raises(Exception, match="not as desired in time"):
        shop.converge(stable=OLD, stable_replicas=1, timeout_s=2)
    # 0.2, 0.4, 0.8 and 1.6 seconds apart.
    assert cluster.asked.count(("watch", "pods")) <= 5
    assert cluster.asked.count(("list", "pods")) <= 12


@pytest.mark.parametrize(
    ("document", "kind", "says"),
    [
        (ROUTE, "httproutes.gateway.networking.k8s.io", '"weight": 50'),
        (VIRTUAL, "virtualservices.networking.istio.io", '"weight": 50'),
        (INGRESS, "ingresses.networking.k8s.io", 'canary-weight": "50"'),
    ],
)
def test_a_late_change_of_a_route_is_refused_though_the_newer_one_left_it_as_it_was(
    cluster, document, kind, says
):
    routed = Shop(cluster, document)
    routed.stable()
    routed.canary(10)
    with held(routed, "patch", kind, says, lambda: routed.canary(50)) as late:
        routed.canary(10, token=2)
    with pytest.raises(StaleToken):
        late.result()
    assert routed.observe().candidate.weight == 10


def test_a_late_delete_of_a_route_is_refused(cluster):
    routed, without = Shop(cluster, ROUTE), Shop(cluster)
    routed.stable()
    with held(routed, "delete", "httproutes.gateway.networking.k8s.io", "", without.stable) as late:
        newer(routed)
    with pytest.raises(StaleToken):
        late.result()
    assert routed.observe().stable.weight == 100

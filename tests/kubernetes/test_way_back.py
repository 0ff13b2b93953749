"""The way back: what ran before runs on as it was, whatever the release brought along."""

from __future__ import annotations

from tests.kubernetes.conftest import NEW, Shop
from tests.platforms.places import MANIFESTS, NAMESPACE, ROUTE
from tests.waiting import eventually

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

"""A StatefulSet: one version takes the other's place, pod by pod, and back."""

from __future__ import annotations

import pytest

from relman_plugins.domain.state import RollingBounds
from relman_plugins.errors import PlatformRejected, PlatformUnavailable
from relman_plugins.testing.kube import Cluster
from tests.kubernetes.conftest import NEW, OLD, Shop
from tests.platforms.places import MANIFESTS, NAMESPACE, ROUTE
from tests.waiting import eventually

STATEFUL = MANIFESTS.replace("kind: Deployment", "kind: StatefulSet")
SLOWER = STATEFUL.replace("terminationGracePeriodSeconds: 1", "terminationGracePeriodSeconds: 9")
CLAIMS = STATEFUL.replace("spec:\n  selector", "spec:\n  serviceName: checkout\n  selector", 1)
NAMED, TWO_PORTS = (
    STATEFUL.replace("[{port: 80, targetPort: 8080}]", f"[{{name: http, port: 80, targetPort: 8080}}{more}]")
    for more in ("", ", {name: grpc, port: 9090}")
)
ROLLING = RollingBounds(max_surge=1, max_unavailable=0)


@pytest.fixture
def store(cluster: Cluster) -> Shop:
    return Shop(cluster, manifests=STATEFUL)


def pods(shop: Shop) -> dict[str, str]:
    """Pod to the image that it runs."""
    found = shop.cluster.store.all("Pod", NAMESPACE)
    return {p["metadata"]["name"]: p["spec"]["containers"][0]["image"] for p in found}


def answering(shop: Shop) -> set[str]:
    (found,) = shop.cluster.store.all("EndpointSlice", NAMESPACE)
    return {e["targetRef"]["name"] for e in found["endpoints"] if e["conditions"]["ready"]}


def test_pods_keep_their_names_from_version_to_version_and_back(store: Shop) -> None:
    seen = store.stable()
    assert (seen.stable.ready, seen.stable.weight) == (2, 100)
    assert pods(store) == {"checkout-0": OLD.image, "checkout-1": OLD.image}
    made = store.live("StatefulSet", "checkout")["metadata"]["uid"]
    seen = store.converge(stable=NEW, stable_replicas=3, rolling=ROLLING)
    assert (seen.stable.revision, seen.stable.ready, seen.candidate) == (NEW, 3, None)
    assert pods(store) == {f"checkout-{n}": NEW.image for n in range(3)}
    assert answering(store) == set(pods(store))
    assert store.back().stable.revision == OLD
    assert pods(store) == {"checkout-0": OLD.image, "checkout-1": OLD.image}
    assert store.live("StatefulSet", "checkout")["metadata"]["uid"] == made
    assert store.live("Deployment", "checkout-blue") is None


def test_recreate_is_in_place_too_and_twice_is_once(store: Shop) -> None:
    store.stable()
    first = store.converge(stable=NEW, stable_replicas=2)
    made = store.live("StatefulSet", "checkout")["metadata"]
    assert store.converge(stable=NEW, stable_replicas=2) == first
    assert store.live("StatefulSet", "checkout")["metadata"]["generation"] == made["generation"]


def test_a_broken_version_is_taken_back_though_its_pods_never_get_ready(
    store: Shop, cluster: Cluster
) -> None:
    """The cluster waits for an unready pod also when the template is the old one again."""
    store.stable()
    cluster.image(str(NEW.image), "crash")
    with pytest.raises(PlatformRejected, match=r"does not start: pod checkout-1.*CrashLoopBackOff"):
        store.converge(stable=NEW, stable_replicas=2, rolling=ROLLING)
    assert pods(store) == {"checkout-0": OLD.image, "checkout-1": NEW.image}
    seen = store.back()
    assert (seen.stable.revision, seen.stable.ready) == (OLD, 2)
    assert pods(store) == {"checkout-0": OLD.image, "checkout-1": OLD.image}


def test_a_pod_of_the_right_version_that_is_not_ready_is_waited_for(store: Shop, cluster: Cluster) -> None:
    store.stable()
    cluster.image(str(NEW.image), "hang")
    with pytest.raises(PlatformUnavailable, match=r"not as desired in time.*Readiness probe failed"):
        store.converge(stable=NEW, stable_replicas=2, timeout_s=2)
    assert ("delete", "pods") not in cluster.asked
    cluster.image(str(NEW.image), None)
    assert store.converge(stable=NEW, stable_replicas=2).stable.ready == 2


def test_a_rollback_brings_back_what_the_old_version_ran_with(store: Shop, cluster: Cluster) -> None:
    store.stable()
    release = Shop(cluster, manifests=SLOWER)
    release.converge(stable=NEW, stable_replicas=2)
    release.back()
    spec = release.live("StatefulSet", "checkout")["spec"]["template"]["spec"]
    assert spec["terminationGracePeriodSeconds"] == 1


def test_a_candidate_is_refused_before_anything_is_changed(store: Shop) -> None:
    store.stable()
    before = store.live("StatefulSet", "checkout")["spec"]
    with pytest.raises(PlatformRejected, match="no two versions stand side by side; release it by rolling"):
        store.canary(50)
    assert store.live("StatefulSet", "checkout")["spec"] == before


def test_what_the_api_never_changes_of_one_is_said_before_anything_is_changed(
    store: Shop, cluster: Cluster
) -> None:
    store.stable()
    with pytest.raises(PlatformRejected, match="updates to statefulset spec for fields other than"):
        Shop(cluster, manifests=CLAIMS).converge(stable=NEW, stable_replicas=2)
    assert pods(store) == {"checkout-0": OLD.image, "checkout-1": OLD.image}


def test_behind_a_route_it_has_all_the_traffic(cluster: Cluster) -> None:
    store = Shop(cluster, ROUTE, manifests=STATEFUL)
    store.stable()
    assert store.converge(stable=NEW, stable_replicas=2).stable.weight == 100
    assert store.back().stable.weight == 100


def test_a_deployment_may_become_one_and_back(shop: Shop, cluster: Cluster) -> None:
    shop.stable()
    stateful = Shop(cluster, manifests=STATEFUL)
    assert stateful.converge(stable=NEW, stable_replicas=2).stable.weight == 100
    assert shop.live("Deployment", "checkout-blue") is None
    assert stateful.back().stable.revision == OLD
    assert stateful.live("StatefulSet", "checkout") is None
    assert set(pods(stateful).values()) == {OLD.image}
    stateful.converge()
    assert not stateful.observe().exists


@pytest.mark.parametrize("fate", [None, "crash"])
def test_a_version_that_brought_a_port_is_taken_back(cluster: Cluster, fate: str | None) -> None:
    Shop(cluster, manifests=NAMED).stable()
    release = Shop(cluster, manifests=TWO_PORTS)
    cluster.image(str(NEW.image), fate)
    if fate:
        with pytest.raises(PlatformRejected, match="does not start"):
            release.converge(stable=NEW, stable_replicas=2)
    else:
        release.converge(stable=NEW, stable_replicas=2)
    assert release.back().stable.revision == OLD
    assert [p["name"] for p in release.live("Service", "checkout")["spec"]["ports"]] == ["http"]


def test_pods_that_lose_readiness_for_a_moment_are_not_restarted(store: Shop, cluster: Cluster) -> None:
    """Pods of a quorum do, while one of them is away."""
    store.stable(3)
    cluster.image(str(OLD.image), "hang")
    eventually(lambda: not answering(store), "none is ready")
    with pytest.raises(PlatformUnavailable, match="not as desired in time"):
        store.converge(stable=NEW, stable_replicas=3, timeout_s=2)
    assert ("delete", "pods") not in cluster.asked
    cluster.image(str(OLD.image), None)
    assert store.converge(stable=NEW, stable_replicas=3).stable.ready == 3


def test_a_whole_set_that_hangs_is_taken_back_pod_by_pod(store: Shop, cluster: Cluster) -> None:
    store.stable()
    store.converge(stable=NEW, stable_replicas=2)
    cluster.image(str(NEW.image), "hang")
    eventually(lambda: not answering(store), "none is ready")
    assert store.back().stable.ready == 2
    assert pods(store) == {"checkout-0": OLD.image, "checkout-1": OLD.image}

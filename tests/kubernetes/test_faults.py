"""Whatever goes wrong in a cluster: a change arrives all the same, or stops with the cluster's own words."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from kubernetes.client import ApiClient, AppsV1Api, Configuration
from kubernetes.config import new_client_from_config_dict

from relman_plugins.errors import PlatformRejected, PlatformUnavailable, StaleToken
from relman_plugins.platforms.kubernetes.api import Kube
from relman_plugins.testing.kube.resources import BY_KIND
from tests.kubernetes.conftest import NEW, OLD, THIRD, Shop
from tests.platforms.places import NAMESPACE
from tests.waiting import eventually


def test_a_busy_server_is_asked_again(shop, cluster):
    for verb, code, more in (("get", 429, {"retry_after": 0}), ("list", 503, {}), ("patch", 500, {})):
        cluster.faults.fail(verb, "*", code, **more)
    assert shop.stable().stable.ready == 2
    assert not cluster.faults.waiting


def test_a_server_that_stays_busy_ends_the_change_in_time(shop, cluster):
    cluster.faults.fail("*", "*", 429, times=1000, retry_after=3600)
    with pytest.raises(PlatformUnavailable, match="ordered: 429"):
        shop.converge(stable=OLD, stable_replicas=1, timeout_s=5)


def test_a_server_that_wants_no_pause_gets_one(shop, cluster):
    cluster.faults.fail("get", "configmaps", 429, times=10_000, retry_after=0)
    with pytest.raises(PlatformUnavailable, match="ordered: 429"):
        shop.converge(stable=OLD, stable_replicas=1, timeout_s=2)
    assert cluster.asked.count(("get", "configmaps")) <= 3  # 0.5 and 1 second apart


@pytest.mark.parametrize("after", [True, False])
def test_a_lost_answer_is_no_second_change(shop, cluster, after):
    for resource in ("deployments.apps", "services", "configmaps"):
        cluster.faults.lose("patch", resource, after=after)
    assert shop.stable().stable.ready == 2
    assert shop.live("Deployment", "checkout-blue")["metadata"]["generation"] == 1


def test_a_conflict_is_read_and_written_again(shop, cluster):
    cluster.faults.fail("patch", "deployments.apps", 409)
    cluster.faults.fail("patch", "configmaps", 409)
    assert shop.stable().stable.ready == 2


def test_watches_that_are_cut_and_versions_that_expire_lose_nothing(shop, cluster):
    cluster.image(str(OLD.image), "hold")
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(shop.stable)
        for expired in (False, True):
            eventually(lambda: ("watch", "pods") in cluster.asked, "it watches")
            if expired:
                cluster.faults.fail("watch", "pods", 410)
            cluster.asked.clear()
            cluster.cut_watches()
        eventually(lambda: cluster.asked.count(("watch", "pods")) > 1, "it watches again")
        cluster.image(str(OLD.image), None)
        assert done.result().stable.ready == 2


@pytest.mark.parametrize("token", ["s3cr3t\n", "s3cr3té"])
def test_a_token_that_can_be_no_header_is_not_shown(token):
    """Before anything is sent: the standard library quotes a header that it refuses."""
    told = Configuration(host="http://127.0.0.1:9")
    told.api_key = {"authorization": f"Bearer {token}"}
    kube = Kube(ApiClient(told), 0.1)
    for asking in (lambda: kube.get("/x"), lambda: kube.stream("/x", {}, 0.1)):
        with pytest.raises(PlatformRejected, match="has a character that no header can have") as caught:
            asking()
        assert "s3cr3t" not in str(caught.value)


def test_an_expired_login_says_so_and_a_new_one_goes_on(shop, cluster):
    shop.stable()
    cluster.token = "renewed"
    with pytest.raises(PlatformUnavailable, match="may have expired"):
        shop.canary(50)
    assert type(shop)(cluster).canary(50).candidate.ready == 1


def test_a_quota_stops_the_change_with_its_own_words_and_not_the_way_back(shop, cluster):
    shop.stable()
    cluster.quota(NAMESPACE, 2)
    with pytest.raises(PlatformUnavailable, match=r"FailedCreate.*exceeded quota"):
        shop.canary(50, timeout_s=2)
    assert shop.observe().stable.weight == 100
    assert shop.stable().candidate is None


def test_a_webhook_that_denies_stops_before_anything_is_changed(shop, cluster):
    before = shop.stable()
    cluster.faults.denied["Deployment"] = "images must be signed"
    written = len(cluster.writes)
    with pytest.raises(PlatformRejected, match=r"policy.example.com.*images must be signed"):
        shop.canary(50)
    record = shop.live("Deployment", "checkout-blue")["metadata"]["labels"]["relman/revision"]
    taken = ["relman-production-checkout", "checkout", "checkout-blue"]
    taken.append(f"relman-production-checkout-{record}")
    assert [path.rpartition("/")[2] for _, path in cluster.writes[written:]] == taken
    assert shop.observe() == before


@pytest.mark.parametrize(
    ("fate", "said"),
    [
        ("crash", r"does not start.*CrashLoopBackOff \(last exit code 1\).*BackOff: Back-off restarting"),
        ("oom", "does not start.*ran out of memory: OOMKilled"),
        ("pull", "does not start.*ImagePullBackOff.*Failed to pull image.*manifest unknown"),
    ],
)
def test_pods_that_never_start_say_why_and_traffic_stays(shop, cluster, fate, said):
    shop.stable()
    cluster.image(str(NEW.image), fate)
    with pytest.raises(PlatformRejected, match=said):
        shop.canary(50)
    seen = shop.observe()
    assert (seen.stable.weight, seen.candidate.weight) == (100, 0)
    assert shop.stable().messages == ()


def test_pods_that_never_get_ready_are_waited_for_and_told(shop, cluster):
    shop.stable()
    cluster.image(str(NEW.image), "hang")
    with pytest.raises(PlatformUnavailable, match=r"not as desired in time.*Readiness probe failed"):
        shop.canary(50, timeout_s=2)
    cluster.image(str(NEW.image), None)
    assert shop.canary(50).candidate.ready == 1


def test_a_deadline_for_progress_ends_the_change(shop, cluster):
    shop.stable()
    cluster.image(str(NEW.image), "hang")
    cluster.overdue("checkout-green")
    with pytest.raises(PlatformRejected, match=r"ProgressDeadlineExceeded: .* has timed out progressing"):
        shop.canary(50)


def test_a_lost_node_is_made_up_for(shop, cluster):
    shop.stable(4)
    cluster.lose_node()
    seen = shop.converge(stable=OLD, stable_replicas=4)
    assert seen.stable.ready == 4


def test_a_gateway_that_takes_no_route_is_named(routed, cluster):
    routed.stable()
    cluster.routes_are_taken(False)
    with pytest.raises(PlatformUnavailable, match="no gateway has taken HTTPRoute checkout as it is now"):
        routed.canary(50, timeout_s=2)
    cluster.routes_are_taken(True)
    assert routed.canary(50).candidate.weight == 50


def test_the_traffic_has_moved_when_only_pods_of_the_right_revision_answer(shop, cluster):
    shop.stable()
    shop.canary(0)
    cluster.endpoints_follow(False)
    with pytest.raises(PlatformUnavailable, match=r"checkout-blue-.* answers for Service checkout\."):
        shop.canary(100, timeout_s=2)
    cluster.endpoints_follow(True)
    assert shop.canary(100).candidate.weight == 100


@pytest.mark.parametrize("kind", ["Deployment", "HTTPRoute"])
def test_what_somebody_else_made_is_left_alone(routed, cluster, kind):
    names = {"Deployment": "checkout-blue", "HTTPRoute": "checkout"}
    routed.stable()
    made = routed.live(kind, names[kind])
    routed.converge()
    theirs = {"name": names[kind], "namespace": NAMESPACE, "labels": {"team": "others"}}
    spec = made["spec"] | ({"replicas": 0} if kind == "Deployment" else {})
    cluster.store.put(BY_KIND[kind], {**made, "metadata": theirs, "spec": spec})
    with pytest.raises(PlatformRejected, match=r"somebody else made it.*relman/service=checkout"):
        routed.stable()
    assert routed.live(kind, names[kind])["metadata"]["labels"] == {"team": "others"}


def test_a_field_that_somebody_else_owns_is_not_taken(shop, cluster):
    shop.stable()
    apps = AppsV1Api(new_client_from_config_dict(cluster.kubeconfig()))
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 5}}
    apps.patch_namespaced_deployment(
        "checkout-blue", NAMESPACE, body, field_manager="hpa", force=True,
        _content_type="application/apply-patch+yaml",
    )  # fmt: skip
    with pytest.raises(PlatformRejected, match=r'somebody else owns \(\.spec\.replicas: conflict with "hpa"'):
        shop.converge(stable=OLD, stable_replicas=3)
    assert shop.live("Deployment", "checkout-blue")["spec"]["replicas"] == 5


def test_a_caller_that_lost_its_lock_writes_nothing_more(shop, cluster):
    shop.stable()
    cluster.image(str(NEW.image), "hold")
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(shop.canary, 50)
        eventually(lambda: shop.live("Deployment", "checkout-green"), "the candidate is made")
        shop.converge(token=2, stable=OLD, stable_replicas=2)
        cluster.image(str(NEW.image), None)
        with pytest.raises(StaleToken, match=r"token 1 .* is older than 2"):
            late.result()
    assert shop.observe().candidate is None


def test_of_two_calls_with_one_token_the_later_counts(shop, cluster):
    shop.stable()
    cluster.image(str(NEW.image), "hold")
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(shop.canary, 50)
        eventually(lambda: shop.live("Deployment", "checkout-green"), "the candidate is made")
        shop.stable()
        cluster.image(str(NEW.image), None)
        with pytest.raises(PlatformUnavailable, match="another desired state meanwhile"):
            late.result()
    assert shop.observe().candidate is None


def test_the_traffic_is_back_before_anything_else_happens(routed, cluster):
    routed.stable()
    routed.canary(50)
    cluster.quota(NAMESPACE, 2)
    # The stable version gets no third pod, so the change never ends; but nobody meets the candidate any more.
    with pytest.raises(PlatformUnavailable, match="exceeded quota"):
        routed.converge(stable=OLD, stable_replicas=3, timeout_s=2)
    seen = routed.observe()
    assert (seen.stable.weight, seen.stable.ready, seen.candidate) == (100, 2, None)
    assert routed.live("Service", "checkout")["spec"]["selector"]["relman/slot"] == "blue"


def test_another_candidate_takes_the_place_of_one_with_traffic(routed):
    routed.stable()
    routed.canary(50)
    seen = routed.canary(10, candidate=THIRD)
    assert (seen.candidate.revision, seen.candidate.weight) == (THIRD, 10)


def test_old_pods_stay_for_their_time_and_go_with_a_later_try(cluster):
    shop = Shop(cluster, drain_s=3)
    shop.stable()
    with pytest.raises(PlatformUnavailable, match="the old pods stay for 3 s, and go with the next try"):
        shop.converge(stable=NEW, stable_replicas=1, timeout_s=2)
    assert shop.live("Service", "checkout")["spec"]["selector"]["relman/slot"] == "green"
    assert shop.live("Deployment", "checkout-blue") is not None
    assert shop.converge(stable=NEW, stable_replicas=1).stable.revision == NEW
    assert shop.live("Deployment", "checkout-blue") is None

"""The emulated cluster, asked by Kubernetes's own client (and by kubectl, where it is installed)."""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
from threading import Thread

import pytest
from kubernetes import client, config, watch
from kubernetes.client.exceptions import ApiException

from tests.conftest import missing
from tests.platforms.places import NAMESPACE
from tests.waiting import eventually

SHOP = NAMESPACE


@pytest.fixture
def api(cluster):
    return config.new_client_from_config_dict(cluster.kubeconfig())


@pytest.fixture
def apps(api):
    return client.AppsV1Api(api)


@pytest.fixture
def core(api):
    return client.CoreV1Api(api)


def deployment(image="shop/checkout:1", replicas=2, **env):
    labels = {"app": "checkout"}
    variables = [{"name": k, "value": v} for k, v in env.items()]
    container = {"name": "app", "image": image, **({"env": variables} if env else {})}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "checkout"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def applied(apps, body, manager="relman", **more):
    return apps.patch_namespaced_deployment(
        "checkout", SHOP, body, field_manager=manager, _content_type="application/apply-patch+yaml", **more
    )


def done(apps, generation=None):
    def complete():
        seen = apps.read_namespaced_deployment("checkout", SHOP)
        return (
            seen.status.observed_generation == (generation or seen.metadata.generation)
            and seen.status.updated_replicas == seen.status.replicas == seen.spec.replicas
            and seen.status.available_replicas == seen.spec.replicas
        )

    eventually(complete, "the Deployment is complete")
    return apps.read_namespaced_deployment("checkout", SHOP)


def test_a_deployment_becomes_pods_and_a_new_image_replaces_them(apps, core):
    made = applied(apps, deployment())
    assert (made.metadata.generation, made.status.observed_generation) == (1, None)
    done(apps)
    first = {p.metadata.name for p in core.list_namespaced_pod(SHOP, label_selector="app=checkout").items}
    assert len(first) == 2
    again = applied(apps, deployment("shop/checkout:2"))
    assert again.metadata.generation == 2
    seen = done(apps)
    assert seen.metadata.annotations["deployment.kubernetes.io/revision"] == "2"
    pods = core.list_namespaced_pod(SHOP, label_selector="app=checkout").items
    assert not first & {p.metadata.name for p in pods}
    assert {p.status.container_statuses[0].image_id for p in pods} == {"shop/checkout:2"}


def test_applying_twice_is_applying_once(apps):
    applied(apps, deployment())
    before = done(apps).metadata.resource_version
    assert applied(apps, deployment()).metadata.resource_version == before


def test_a_field_of_somebody_else_is_a_conflict_and_force_takes_it(apps):
    applied(apps, deployment(replicas=2))
    with pytest.raises(ApiException) as refused:
        applied(apps, deployment(replicas=3), "autoscaler")
    said = json.loads(refused.value.body)
    assert (refused.value.status, said["reason"]) == (409, "Conflict")
    (cause,) = said["details"]["causes"]
    assert cause == {
        "reason": "FieldManagerConflict",
        "message": 'conflict with "relman"',
        "field": ".spec.replicas",
    }
    assert applied(apps, deployment(replicas=3), "autoscaler", force=True).spec.replicas == 3
    with pytest.raises(ApiException, match="autoscaler"):
        applied(apps, deployment(replicas=2))


def test_what_is_applied_no_more_goes_and_what_others_set_stays(apps):
    applied(apps, deployment(A="1", B="2"))
    theirs = deployment(C="3")
    theirs["metadata"]["labels"] = {"theirs": "yes"}
    applied(apps, theirs, "somebody")
    seen = applied(apps, deployment(A="1"))
    assert {e.name for e in seen.spec.template.spec.containers[0].env} == {"A", "C"}
    assert seen.metadata.labels == {"theirs": "yes"}


def test_a_dry_run_keeps_nothing(apps):
    applied(apps, deployment(), dry_run="All")
    with pytest.raises(ApiException, match="not found"):
        apps.read_namespaced_deployment("checkout", SHOP)


def test_an_outdated_version_is_refused(apps):
    old = applied(apps, deployment())
    done(apps)
    body = deployment(replicas=1)
    body["metadata"]["resourceVersion"] = old.metadata.resource_version
    with pytest.raises(ApiException, match="has been modified"):
        applied(apps, body)


def test_what_the_api_server_refuses(apps, core):
    applied(apps, deployment())
    moved = copy.deepcopy(deployment())
    moved["spec"]["selector"]["matchLabels"] = moved["spec"]["template"]["metadata"]["labels"] = {"app": "x"}
    with pytest.raises(ApiException, match="field is immutable"):
        applied(apps, moved)
    wrong = {"metadata": {"name": "x"}, "data": {}}
    with pytest.raises(ApiException, match=r"nowhere.* not found"):
        core.create_namespaced_config_map("nowhere", wrong)
    core.create_namespaced_config_map(SHOP, wrong)
    with pytest.raises(ApiException, match="already exists"):
        core.create_namespaced_config_map(SHOP, wrong)


def test_a_watch_tells_what_happens_and_goes_on_where_it_ended(cluster, apps, core):
    listed = core.list_namespaced_pod(SHOP)
    applied(apps, deployment(replicas=1))
    seen = []
    for event in watch.Watch().stream(
        core.list_namespaced_pod, SHOP, resource_version=listed.metadata.resource_version, timeout_seconds=20
    ):
        conditions = event["object"].status.conditions or []
        seen.append((event["type"], [c.status for c in conditions if c.type == "Ready"]))
        if seen[-1][1] == ["True"]:
            break
    assert seen[0][0] == "ADDED"
    assert seen[-1] == ("MODIFIED", ["True"])


def test_a_watch_that_asks_for_bookmarks_gets_one_at_its_end(cluster, core, api):
    version = core.list_namespaced_pod(SHOP).metadata.resource_version
    path = f"{cluster.url}/api/v1/namespaces/{SHOP}/pods?watch=true&allowWatchBookmarks=true"
    headers = {"Authorization": f"Bearer {cluster.token}"}
    answer = api.request(
        "GET", f"{path}&resourceVersion={version}&timeoutSeconds=0", headers=headers, _preload_content=False
    )
    (line,) = answer.data.splitlines()
    assert json.loads(line)["type"] == "BOOKMARK"


def test_an_expired_version_is_gone_at_the_start_and_in_the_middle_of_a_watch(cluster, apps, core):
    version = core.list_namespaced_pod(SHOP).metadata.resource_version
    applied(apps, deployment())
    done(apps)
    cluster.forget()
    with pytest.raises(ApiException) as expired:
        list(watch.Watch().stream(core.list_namespaced_pod, SHOP, resource_version=version))
    assert expired.value.status == 410


def test_a_cut_watch_ends(cluster, core):
    version = core.list_namespaced_pod(SHOP).metadata.resource_version
    seen = []

    def look():
        stream = core.list_namespaced_pod(
            SHOP, watch=True, resource_version=version, _preload_content=False, timeout_seconds=60
        )
        seen.extend(stream.stream())

    watcher = Thread(target=look)
    watcher.start()
    eventually(lambda: ("watch", "pods") in cluster.asked, "the watch is there")
    cluster.cut_watches()
    watcher.join(20)
    assert not watcher.is_alive()
    assert seen == []


def test_faults_are_answered_once_and_in_the_shape_of_the_api(cluster, apps):
    cluster.faults.fail("patch", "deployments.apps", 429, retry_after=1)
    with pytest.raises(ApiException) as busy:
        applied(apps, deployment())
    assert (busy.value.status, busy.value.headers["Retry-After"]) == (429, "1")
    cluster.token = "another"
    with pytest.raises(ApiException) as expired:
        apps.read_namespaced_deployment("checkout", SHOP)
    assert expired.value.status == 401


@pytest.mark.parametrize(
    ("fate", "reason"),
    [("crash", "CrashLoopBackOff"), ("oom", "CrashLoopBackOff"), ("pull", "ImagePullBackOff")],
)
def test_pods_that_do_not_start_say_why(cluster, apps, core, fate, reason):
    cluster.image("checkout:1", fate)
    applied(apps, deployment(replicas=1))

    def waits():
        statuses = [p.status.container_statuses for p in core.list_namespaced_pod(SHOP).items]
        return [s[0].state.waiting.reason for s in statuses if s and s[0].state.waiting] == [reason]

    eventually(waits, reason)
    assert {e.type for e in core.list_namespaced_event(SHOP).items} >= {"Warning"}
    cluster.image("checkout:1", None)
    done(apps)


def test_a_quota_keeps_pods_from_being_made_and_a_lost_node_is_made_up_for(cluster, apps, core):
    cluster.quota(SHOP, 1)
    applied(apps, deployment(replicas=2))

    def failed():
        conditions = apps.read_namespaced_deployment("checkout", SHOP).status.conditions or []
        return any(c.type == "ReplicaFailure" and "exceeded quota" in c.message for c in conditions)

    eventually(failed, "the quota is told")
    cluster.quota(SHOP, None)
    done(apps)
    cluster.lose_node("node-1")
    eventually(
        lambda: {p.spec.node_name for p in core.list_namespaced_pod(SHOP).items} == {"node-2"},
        "one node is left",
    )
    done(apps)


def test_deleting_a_deployment_takes_its_pods(apps, core):
    applied(apps, deployment())
    done(apps)
    apps.delete_namespaced_deployment("checkout", SHOP)
    assert core.list_namespaced_pod(SHOP).items == []


def test_kubectl_understands_it(cluster, tmp_path):
    if shutil.which("kubectl") is None:
        missing("kubectl", "apt-get install -y kubernetes-client")
    given = tmp_path / "config"
    given.write_text(json.dumps(cluster.kubeconfig()))
    (tmp_path / "checkout.json").write_text(json.dumps(deployment()))

    def kubectl(*arguments):
        command = ["kubectl", "--kubeconfig", str(given), "-n", SHOP, *arguments]
        environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
        return subprocess.run(
            command, check=True, capture_output=True, text=True, env=environment, timeout=60
        ).stdout

    assert "serverside-applied" in kubectl(
        "apply", "--server-side", "--validate=false", "-f", str(tmp_path / "checkout.json")
    )
    assert "successfully rolled out" in kubectl("rollout", "status", "deployment/checkout")
    assert len(json.loads(kubectl("get", "pods", "-o", "json"))["items"]) == 2
    assert "deleted" in kubectl("delete", "deployment", "checkout", "--wait=false")

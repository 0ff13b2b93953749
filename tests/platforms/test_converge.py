"""The two verbs, against a real daemon with real processes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from relman_plugins.domain.state import Revision
from relman_plugins.errors import PlatformRejected, PlatformUnavailable, StaleToken
from relman_plugins.platforms.archive import pack
from relman_plugins.platforms.base import Platform
from relman_plugins.platforms.registry import names, platform
from tests.platforms.living import BASKET, EXPOSED, call, made
from tests.waiting import eventually


def test_nothing_is_there_before(shared):
    seen = shared.observe("nowhere")
    assert not seen.exists
    assert (seen.stable, seen.candidate, seen.url) == (None, None, None)


def test_a_first_deploy_serves_what_was_built(shared, revisions):
    old = revisions["1.0.0"]
    seen = shared.converge("first", stable=old, stable_replicas=2)
    assert (seen.exists, seen.stable.revision, seen.stable.ready, seen.stable.weight) == (True, old, 2, 100)
    assert seen == shared.observe("first")
    assert call(seen.url + "/healthz")[1] == {"status": "ok", "version": "1.0.0", "digest": old.digest}
    status, body, headers = call(seen.url + "/checkout", BASKET)
    assert (status, body["total"], headers["X-Relman-Version"]) == (201, 2975, "1.0.0")


def test_twice_is_once(shared, revisions):
    wanted = {"stable": revisions["1.0.0"], "stable_replicas": 2}
    first = shared.converge("twice", **wanted)
    before = shared.replicas("twice").keys()
    assert len(before) == 2
    assert shared.converge("twice", **wanted) == first
    assert shared.replicas("twice").keys() == before


def test_each_replica_has_its_own_port_and_the_environments_configuration(shared, revisions):
    shared.converge("blue", stable=revisions["1.0.0"], stable_replicas=2, config={"COLOUR": "blue"})
    shared.converge("red", stable=revisions["1.0.0"], stable_replicas=1, config={"COLOUR": "red"})
    blue, red = shared.replicas("blue").values(), shared.replicas("red").values()
    assert [e["COLOUR"] for e in (*blue, *red)] == ["blue", "blue", "red"]
    assert len({e["RELMAN_PORT"] for e in (*blue, *red)}) == 3
    folders = {e["RELMAN_DATA_DIR"] for e in blue}
    assert len(folders) == 1
    assert folders != {e["RELMAN_DATA_DIR"] for e in red}
    assert all(Path(f).is_dir() for f in folders)


def test_the_daemons_own_environment_stays_its_own(shared, revisions, monkeypatch):
    shared.converge("secrets", stable=revisions["1.0.0"], stable_replicas=1)
    (env,) = shared.replicas("secrets").values()
    assert "PYTEST_CURRENT_TEST" not in env
    assert not [k for k in env if k.startswith(("AIRFLOW", "PYTEST", "SSH"))]


@pytest.mark.parametrize(("weight", "every"), [(10, 100), (50, 10), (33, 100), (100, 20)])
def test_weights_are_exact(shared, revisions, weight, every):
    name = f"exact-{weight}"
    old, new = revisions["1.0.0"], revisions["1.1.0"]
    shared.converge(name, stable=old, stable_replicas=1)
    seen = shared.converge(
        name, stable=old, candidate=new, candidate_weight=weight, stable_replicas=1, candidate_replicas=1
    )
    assert (seen.stable.weight, seen.candidate.weight) == (100 - weight, weight)
    for _ in range(2):
        served = shared.served(seen.url, every)
        assert served["1.1.0"] == every * weight // 100
        assert served["1.0.0"] == every - served["1.1.0"]


def test_promotion_keeps_the_candidates_processes(shared, revisions):
    old, new = revisions["1.0.0"], revisions["1.1.0"]
    shared.converge("promote", stable=old, stable_replicas=1)
    shared.converge(
        "promote", stable=old, candidate=new, candidate_weight=100, stable_replicas=1, candidate_replicas=2
    )
    candidates = {p for p, e in shared.replicas("promote").items() if e["RELMAN_VERSION"] == "1.1.0"}
    seen = shared.converge("promote", stable=new, stable_replicas=2)
    assert (seen.stable.revision, seen.candidate) == (new, None)
    eventually(lambda: shared.replicas("promote").keys() == candidates, "only the promoted replicas are left")


def test_other_configuration_is_another_set_of_processes(shared, revisions):
    shared.converge("config", stable=revisions["1.0.0"], stable_replicas=1, config={"A": "1"})
    before = shared.replicas("config").keys()
    shared.converge("config", stable=revisions["1.0.0"], stable_replicas=1, config={"A": "2"})
    eventually(lambda: [e["A"] for e in shared.replicas("config").values()] == ["2"], "the new configuration")
    assert not before & shared.replicas("config").keys()


def test_the_same_revision_may_have_both_roles(shared, revisions):
    same = revisions["1.0.0"]
    seen = shared.converge(
        "both", stable=same, candidate=same, candidate_weight=50, stable_replicas=1, candidate_replicas=1
    )
    assert (seen.stable.weight, seen.candidate.weight) == (50, 50)
    assert shared.served(seen.url, 4) == {"1.0.0": 4}


def test_a_removed_environment_is_proven_gone(shared, revisions):
    seen = shared.converge("gone", stable=revisions["1.0.0"], stable_replicas=2, token=7)
    (folder, _) = (Path(e["RELMAN_DATA_DIR"]) for e in shared.replicas("gone").values())
    assert folder.is_dir()
    ports = [e["RELMAN_PORT"] for e in shared.replicas("gone").values()]
    after = shared.converge("gone", token=7)
    assert (after.exists, after.stable, after.token) == (False, None, 7)
    assert not shared.replicas("gone")
    assert not folder.parent.exists()
    assert not folder.parent.parent.exists()
    assert call(seen.url + "/healthz")[0] == 404
    for port in ports:
        with pytest.raises(OSError, match="refused"):
            call(f"http://127.0.0.1:{port}/healthz")
    metrics = call(shared.urls["metrics_url"] + "/metrics")[1]
    assert 'environment="gone"' not in metrics
    assert shared.converge("gone", token=7) == after


def test_what_is_left_over_is_not_called_gone(shared):
    folder = shared.home / "environments" / "leftover" / "checkout"
    folder.mkdir(parents=True)
    seen = shared.observe("leftover")
    assert seen.exists
    assert "still there" in seen.messages[0]
    assert not shared.converge("leftover").exists
    assert not folder.exists()


def test_a_wrong_digest_is_refused_and_changes_nothing(shared, revisions):
    old, new = revisions["1.0.0"], revisions["1.1.0"]
    before = shared.converge("digest", stable=old, stable_replicas=1)
    forged = Revision(version="1.1.0", digest="sha256:" + "0" * 64, uri=new.uri)
    with pytest.raises(PlatformRejected, match="its digest is sha256:"):
        shared.converge("digest", stable=forged, stable_replicas=1)
    assert shared.observe("digest") == before


def test_a_version_that_answers_as_another_is_refused(shared, revisions):
    old, new = revisions["1.0.0"], revisions["1.1.0"]
    before = shared.converge("identity", stable=old, stable_replicas=1)
    liar = Revision(version="9.9.9", digest=new.digest, uri=new.uri)
    with pytest.raises(PlatformRejected, match=r'answers with "version" "1\.1\.0" .*, expected 9\.9\.9'):
        shared.converge("identity", stable=liar, stable_replicas=1)
    assert shared.served(before.url, 5) == {"1.0.0": 5}
    assert shared.converge("identity", stable=old, stable_replicas=1) == before


def test_a_version_that_does_not_start_is_refused_with_its_last_words(shared, revisions, tmp_path):
    before = shared.converge("crash", stable=revisions["1.0.0"], stable_replicas=1)
    broken = made(tmp_path, "2.0.0", "raise SystemExit('no database configured')")
    with pytest.raises(PlatformRejected, match=r"does not start in crash.*no database configured"):
        shared.converge(
            "crash",
            stable=revisions["1.0.0"],
            candidate=broken,
            stable_replicas=1,
            candidate_replicas=1,
            candidate_weight=10,
        )
    assert shared.served(before.url, 10) == {"1.0.0": 10}
    assert "no database configured" in " ".join(shared.observe("crash").messages)
    after = shared.converge("crash", stable=revisions["1.0.0"], stable_replicas=1)
    assert after == before


def test_a_replica_that_listens_beyond_loopback_is_refused(shared, tmp_path):
    exposed = made(tmp_path, "3.0.0", EXPOSED.replace("HOST", '"0.0.0.0"'))
    with pytest.raises(PlatformRejected, match=r"listens on 0\.0\.0\.0"):
        shared.converge("exposed", stable=exposed, stable_replicas=1)
    assert not shared.converge("exposed").exists
    decent = made(tmp_path, "3.0.1", EXPOSED.replace("HOST", '"127.0.0.1"'))
    assert shared.converge("exposed", stable=decent, stable_replicas=1).stable.ready == 1


def test_in_time_or_unavailable(shared, tmp_path):
    sleeper = made(tmp_path, "4.0.0", "import threading; threading.Event().wait()")
    with pytest.raises(PlatformUnavailable, match=r"not as desired after 0\.5 s"):
        shared.converge("late", stable=sleeper, stable_replicas=1, timeout_s=0.5)
    assert shared.observe("late").stable.ready == 0
    assert not shared.converge("late").exists


def test_a_replica_does_not_choose_whom_the_daemon_asks(shared, tmp_path):
    elsewhere = EXPOSED.replace("HOST", "'127.0.0.1'").replace(
        "self.send_response(200)",
        "self.send_response(200 if self.path == '/x' else 302); self.send_header('Location', '/x')",
    )
    sends_away = made(tmp_path, "5.0.0", elsewhere)
    with pytest.raises(PlatformUnavailable, match="answers 302, expected 200"):
        shared.converge("away", stable=sends_away, stable_replicas=1, timeout_s=6)
    assert not shared.converge("away").exists


@pytest.mark.parametrize(
    ("manifest", "reason"),
    [
        ('{"command": []}', "not usable"),
        ("{", "not usable"),
        ('{"command": ["x"], "extra": 1}', "not usable"),
    ],
)
def test_a_wrong_manifest_is_refused(shared, tmp_path, manifest, reason):
    with pytest.raises(PlatformRejected, match=reason):
        shared.converge("manifest", stable=made(tmp_path, "1", "", manifest), stable_replicas=1)
    assert not shared.observe("manifest").exists


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"stable_replicas": 0}, "0 replicas"),
        ({"stable_replicas": 1, "config": {"RELMAN_PORT": "1"}}, "RELMAN_PORT"),
        ({"stable_replicas": 1, "candidate_replicas": 1}, "no candidate"),
    ],
)
def test_what_makes_no_sense_is_refused(shared, revisions, fields, reason):
    with pytest.raises(PlatformRejected, match=reason):
        shared.converge("nonsense", stable=revisions["1.0.0"], **fields)
    assert not shared.observe("nonsense").exists


@pytest.mark.parametrize(
    "uri", ["https://files.invalid/a.tar.gz", "file://elsewhere/a.tar.gz", "file:///no.tar.gz"]
)
def test_an_artifact_that_is_not_here_is_refused(shared, uri):
    revision = Revision(version="1", digest="sha256:" + hashlib.sha256(b"").hexdigest(), uri=uri)
    with pytest.raises(PlatformRejected, match="artifact"):
        shared.converge("remote", stable=revision, stable_replicas=1)


def test_a_stale_token_is_refused(shared, revisions):
    seen = shared.converge("token", token=5, stable=revisions["1.0.0"], stable_replicas=1)
    with pytest.raises(StaleToken, match="token 4 for token/checkout is older than 5"):
        shared.converge("token", token=4)
    assert shared.observe("token") == seen


def test_names_that_are_no_labels_are_refused(shared):
    with pytest.raises(PlatformRejected, match="DNS labels"):
        shared.driver.observe("..%2f..", "checkout")
    with pytest.raises(PlatformRejected, match="DNS labels"):
        shared.driver.observe("UPPER", "checkout")


def test_the_registry_finds_the_driver_by_name(shared):
    assert "sandbox" in names()
    assert isinstance(shared.driver, Platform)
    with pytest.raises(PlatformRejected, match=r'no platform "sandbx"; expected one of .*sandbox'):
        platform("sandbx")
    with pytest.raises(PlatformRejected, match="port is missing"):
        platform("sandbox", host="127.0.0.1")
    with pytest.raises(PlatformRejected, match="another host than this one has a token"):
        platform("sandbox", host="192.0.2.1", port=1)


def test_a_daemon_that_is_not_there_is_unavailable():
    with pytest.raises(PlatformUnavailable, match="does not answer"):
        platform("sandbox", port=1).observe("qa", "checkout")


def test_the_state_of_everything_can_be_listed(shared, revisions):
    shared.converge("listed", stable=revisions["1.0.0"], stable_replicas=1)
    status, body, _ = call(shared.urls["control_url"] + "/v1/state")
    assert status == 200
    listed = body["listed/checkout"] | {"served": {}}
    assert listed == json.loads(shared.observe("listed").model_dump_json())


def test_removing_one_environment_takes_no_artifact_from_another_that_is_just_being_made(
    daemon, builds, tmp_path
):
    """The release's own case: qa is torn down while staging is deployed from the same artifact.

    The artifact is large, so that it is still being fetched when the other environment is gone.
    """
    tree = shutil.copytree(builds["1.0.0"], tmp_path / "large")
    (tree / "ballast").write_bytes(os.urandom(60_000_000))
    revision = pack(tree, tmp_path / "store").revision("1.0.0")
    daemon.converge("qa", stable=revision, stable_replicas=1)
    with ThreadPoolExecutor(2) as pool:
        removed = pool.submit(daemon.converge, "qa")
        made_one = pool.submit(daemon.converge, "staging", stable=revision, stable_replicas=1)
        assert made_one.result().stable.ready == 1
        assert not removed.result().exists


def test_what_each_version_has_served_is_counted_since_the_environment_is_there(daemon, revisions):
    before = daemon.converge("counted", stable=revisions["1.0.0"], stable_replicas=1)
    assert set(daemon.counted("counted").values()) == {0}
    daemon.served(before.url, 7)
    assert daemon.counted("counted") == {"1.0.0": 7}

"""The control API and the front door: loopback only or with a token, and not for web pages."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from relman_plugins.errors import PlatformRejected
from relman_plugins.platforms.registry import platform
from tests.platforms.conftest import living
from tests.platforms.living import BASKET, COMMAND, EXPOSED, Daemon, call, made
from tests.waiting import eventually


def listening(pid: int) -> set[str]:
    """Hexadecimal addresses that a process listens on, from the kernel's own tables."""
    inodes = {
        link.readlink().name.removeprefix("socket:[").removesuffix("]")
        for link in Path(f"/proc/{pid}/fd").iterdir()
        if str(link.readlink()).startswith("socket:")
    }
    found = set()
    for table in ("tcp", "tcp6"):
        path = Path(f"/proc/net/{table}")
        for line in path.read_text().splitlines()[1:] if path.exists() else ():
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                found.add(fields[1].partition(":")[0])
    return found


def test_nothing_listens_beyond_loopback(shared, revisions):
    shared.converge("loopback", stable=revisions["1.1.0"], stable_replicas=2)
    pids = [shared.process.pid, *shared.replicas("loopback")]
    assert len(pids) == 3
    assert [listening(pid) for pid in pids] == [{"0100007F"}] * 3


TOKEN = "a-token-of-thirty-two-characters"


@pytest.fixture
def reached(tmp_path) -> Iterator[Daemon]:
    """A daemon as in a container: on every address, under a name that only the others know, with a token."""
    yield from living(Daemon(tmp_path / "home", "--listen", "0.0.0.0", "--name", "sandbox", token=TOKEN))


def test_beyond_loopback_only_who_has_the_token_looks_or_changes(reached):
    control, front = (urlsplit(reached.urls[f"{name}_url"]) for name in ("control", "front"))
    assert (control.hostname, front.hostname) == ("sandbox", "sandbox")
    assert listening(reached.process.pid) == {"00000000"}
    url = f"http://127.0.0.1:{control.port}"
    for path, body in (("/v1/state", None), ("/v1/state/shop/checkout", {"desired": {}, "token": 9})):
        for given in ({}, {"Authorization": "Bearer "}, {"Authorization": f"Bearer {TOKEN}!"}):
            status, answer, _ = call(url + path, body, body and "PUT", Host="sandbox", **given)
            assert (status, answer["error"]) == (401, "forbidden")
        assert call(url + path, Authorization=f"Bearer {TOKEN}", Host="elsewhere.example")[0] == 403
    assert call(f"{url}/metrics", Host="sandbox")[0] == 200
    driver = platform("sandbox", host="0.0.0.0", port=control.port, password=TOKEN)
    with pytest.raises(PlatformRejected, match="use sandbox"):
        driver.observe("shop", "checkout")
    assert platform("sandbox", port=control.port, password=TOKEN).observe("shop", "checkout").token == 0
    with pytest.raises(PlatformRejected, match="token is missing or wrong"):
        platform("sandbox", port=control.port).observe("shop", "checkout")


def test_nobody_listens_beyond_loopback_without_a_token_worth_the_name(tmp_path):
    for token in ("", "too-short"):
        command = [*COMMAND, "--home", str(tmp_path / "home"), "--listen", "0.0.0.0"]
        done = subprocess.run(
            command, env=os.environ | {"RELMAN_SANDBOX_TOKEN": token}, capture_output=True, text=True
        )
        assert (done.returncode, "needs a token of 32 characters" in done.stderr) == (3, True)
    with pytest.raises(PlatformRejected, match="needs it as the password"):
        platform("sandbox", host="sandbox.example", port=8400)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://127.0.0.1"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Host": "rebound.example:80"},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
    ],
    ids=str,
)
def test_what_a_web_page_could_send_is_refused(shared, headers):
    url = f"{shared.urls['control_url']}/v1/state/page/checkout"
    status, body, _ = call(url, {"desired": {}, "token": 9}, "PUT", **headers)
    assert status in (403, 415)
    assert body["error"] == "forbidden"
    assert shared.observe("page").token == 0
    if "Content-Type" not in headers:
        assert call(f"{shared.urls['control_url']}/v1/state", **headers)[0] == 403


def test_what_is_no_change_is_said_to_be_none(shared):
    url = f"{shared.urls['control_url']}/v1/state/page/checkout"
    for body in ({}, {"desired": {}, "token": -1}, {"desired": {"stable": 1}, "token": 1}, []):
        status, answer, _ = call(url, body, "PUT")
        assert (status, answer["error"]) == (422, "rejected")


def test_the_front_door_passes_on_what_it_gets(shared, revisions):
    url = shared.converge("door", stable=revisions["1.1.0"], stable_replicas=1).url
    assert call(url + "/quote", BASKET)[:2] == (200, {"net": 2500, "discount": 0, "tax": 475, "total": 2975})
    assert call(url + "/quote", {"items": []})[0] == 422
    assert call(url + "/nothing?x=%2F..%2F")[1] == {"error": "nothing at /nothing?x=%2F..%2F"}
    assert call(url + "/checkout", BASKET | {"padding": "x" * 100_000})[0] == 400
    assert call(url)[1] == {"error": "nothing at /"}


def test_what_is_not_deployed_is_not_found(shared):
    for path in ("", "/", "/door", "/nowhere/checkout/healthz", "//", "/nowhere/checkout?x"):
        status, body, _ = call(shared.urls["front_url"] + path)
        assert status == 404
        assert "expected /<environment>/<service>/" in body["error"]


def test_a_replica_without_an_answer_is_a_502_of_its_version(shared, revisions, tmp_path):
    hangs_up = EXPOSED.replace("HOST", '"127.0.0.1"').replace(
        "        self.send_response(200)\n",
        "        if self.path == '/x': return\n        self.send_response(200)\n",
    )
    url = shared.converge("silent", stable=made(tmp_path, "5.0.0", hangs_up), stable_replicas=1).url
    status, body, headers = call(url + "/x")
    assert (status, headers["X-Relman-Version"]) == (502, "5.0.0")
    assert "gave no answer" in body["error"]
    labels = '{code="502",environment="silent",service="checkout",version="5.0.0"}'
    assert f"relman_requests_total{labels} 1\n" in call(shared.urls["metrics_url"] + "/metrics")[1]


SLOW = EXPOSED.replace("HOST", '"127.0.0.1"').replace(
    "http.server.HTTPServer", "http.server.ThreadingHTTPServer"
)
SLOW = SLOW.replace(
    "        self.send_response(200)\n",
    """        if self.path == "/slow":
            open(os.environ["RELMAN_DATA_DIR"] + "/asked", "w").close()
            while not os.path.exists(os.environ["RELMAN_DATA_DIR"] + "/go"):
                __import__("threading").Event().wait(0.01)
        self.send_response(200)
""",
)


def test_a_request_under_way_is_answered_by_a_replica_that_was_let_go(shared, revisions, tmp_path):
    slow, new = made(tmp_path, "6.0.0", SLOW), revisions["1.1.0"]
    url = shared.converge("draining", stable=slow, stable_replicas=1).url
    data = shared.home / "environments" / "draining" / "checkout" / "data"
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(call, url + "/slow")
        eventually((data / "asked").exists, "the request is under way")
        shared.converge("draining", stable=new, stable_replicas=1)
        assert shared.served(url, 3) == {"1.1.0": 3}
        (data / "go").touch()
        status, _, headers = answer.result()
    assert (status, headers["X-Relman-Version"]) == (200, "6.0.0")


def test_no_request_is_lost_while_the_traffic_moves(shared, revisions):
    """Rolls forward and back under traffic from several connections: every request is answered."""
    old, new = revisions["1.0.0"], revisions["1.1.0"]
    url = shared.converge("moving", stable=old, stable_replicas=2).url
    parts = urlsplit(url)
    stop, seen = threading.Event(), Counter()

    def client() -> None:
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
        while not stop.is_set():
            connection.request("POST", parts.path + "/checkout", json.dumps(BASKET))
            answer = connection.getresponse()
            answer.read()
            seen[answer.status, answer.headers["X-Relman-Version"]] += 1

    with ThreadPoolExecutor() as pool:
        clients = [pool.submit(client) for _ in range(3)]
        try:
            for weight in (10, 50, 100):
                shared.converge(
                    "moving",
                    stable=old,
                    candidate=new,
                    candidate_weight=weight,
                    stable_replicas=2,
                    candidate_replicas=2,
                )
                before = seen.total()
                eventually(lambda at=before: seen.total() > at + 30, "traffic flows")
            back = shared.converge("moving", stable=old, stable_replicas=2)
            assert (back.candidate, back.stable.weight) == (None, 100)
            before = seen[201, "1.1.0"]
            all_before = seen.total()
            eventually(lambda: seen.total() > all_before + 60, "traffic flows")
            # A request of each client may have been under way while the traffic moved.
            assert seen[201, "1.1.0"] <= before + 3
        finally:
            stop.set()
        for c in clients:
            c.result()
    assert seen.keys() == {(201, "1.0.0"), (201, "1.1.0")}

"""From the first bad sample in a real Prometheus to a front door without the new version, by comparison.

The time is printed, not asserted: it is a benchmark. ``RELMAN_ROUNDS=10 pytest -s`` of this file
measures it ten times.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from relman_plugins.domain.event import Kind
from relman_plugins.platforms.sandbox.process import free_port
from tests.conftest import missing
from tests.operators.test_comparison import COMPARED, FIRST, LIMITS, REAL, ended, looks
from tests.platforms.living import BASKET, Daemon, call
from tests.steps.rewriting import rewrite
from tests.steps.world import World
from tests.waiting import eventually

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

BAD = 'sum(relman_requests_total{version="1.2.0",code=~"5.."}) > 0'
ROUNDS = int(os.environ.get("RELMAN_ROUNDS", "1"))


@pytest.fixture(autouse=True)
def specs(monkeypatch: pytest.MonkeyPatch) -> None:
    rewrite(
        monkeypatch,
        "checkout.yaml",
        (LIMITS, COMPARED.partition("    metrics: [{name: errors, bad")[0] + REAL),
        ("interval: 1s, count: 2}", "interval: 1s, count: 30}"),
        ("monitor: {for: 2s, analysis: numbers", "monitor: {for: 2s, analysis: limits"),
    )


@pytest.fixture
def prometheus(sandbox: Daemon, tmp_path: Path) -> Iterator[str]:
    """Give a Prometheus that scrapes the sandbox once a second."""
    if shutil.which("prometheus") is None:
        missing("prometheus", "apt-get install prometheus")
    target = urllib.parse.urlsplit(sandbox.urls["metrics_url"]).port
    (tmp_path / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n"
        f'  - {{job_name: sandbox, static_configs: [{{targets: ["127.0.0.1:{target}"]}}]}}\n'
    )
    port = free_port()
    options = ["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--log.level=error"]
    command = ["prometheus", *options, f"--web.listen-address=127.0.0.1:{port}"]
    with subprocess.Popen(command, cwd=tmp_path) as server:
        url = f"http://127.0.0.1:{port}"
        try:
            eventually(lambda: asked(url, "up == 1"), "Prometheus has scraped the sandbox")
            yield url
        finally:
            server.terminate()


def asked(url: str, query: str) -> bool:
    """Say whether a query gives anything."""
    try:
        status, body, _ = call(f"{url}/api/v1/query?{urllib.parse.urlencode({'query': query})}")
    except OSError:
        return False
    return status == 200 and bool(body["data"]["result"])


@contextmanager
def meanwhile(*jobs: Callable[[], object]) -> Iterator[None]:
    """Do things again and again beside the test."""
    over = threading.Event()

    def again(job: Callable[[], object]) -> None:
        while not over.wait(0.02):
            job()

    threads = [threading.Thread(target=again, args=(job,), daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join(30)


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_a_bad_version_is_caught_by_a_comparison_in_a_real_prometheus(
    world: World,
    sandbox: Daemon,
    prometheus: str,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
    round_: int,
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_RELMAN_METRICS", prometheus)
    world.live("1.0.0")
    release = world.open("1.2.0").approved()
    front = f"{sandbox.urls['front_url']}/production/checkout/checkout"
    served: list[float] = []
    visible: list[float] = []

    def buy() -> None:
        began = time.monotonic()
        _, _, headers = call(front, BASKET)
        if headers.get("X-Relman-Version") == "1.2.0":
            served.append(began)

    def see() -> None:
        if not visible and asked(prometheus, BAD):
            visible.append(time.monotonic())

    with meanwhile(buy, buy, see):
        event = ended(release.run(FIRST))
        over = time.monotonic()
        buy()
    assert event["verdict"] == "fail", event
    assert world.weights() == {"1.0.0": 100}
    assert max(served) < over, "nobody is served by the withdrawn version any more"
    assert visible, "Prometheus had a bad sample"
    assert looks(release)[-1].data["metrics"][0]["experiment"][0] > 0
    (withdrawn,) = release.events(Kind.TRAFFIC_WITHDRAWN)
    assert withdrawn.data["reason"] == event["reason"]
    took = served[-1] - visible[0]
    FOUND.append(took)
    record_property("seconds from the first bad sample to the last request of the new version", took)
    print(f"\nfirst bad sample to the last request of the new version: {took:.2f} s")


FOUND: list[float] = []


@pytest.fixture(scope="module", autouse=True)
def told() -> Iterator[None]:
    """Print the median of all rounds."""
    yield
    if len(FOUND) > 1:
        span = f"{min(FOUND):.2f} to {max(FOUND):.2f}"
        print(f"\nmedian of {len(FOUND)} rounds: {statistics.median(FOUND):.2f} s ({span})")

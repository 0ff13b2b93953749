"""The same questions to a real Prometheus: the same samples must give the same answers."""

from __future__ import annotations

import math
import random
import shutil
import subprocess
import time
import urllib.parse

import pytest

from relman_plugins.platforms.sandbox import process, promql
from relman_plugins.platforms.sandbox.samples import Samples
from tests.conftest import missing
from tests.platforms.living import BASKET, call
from tests.waiting import eventually

pytestmark = pytest.mark.real

QUERIES = [
    "requests_total",
    'requests_total{code=~"5..",version!="1.1.0"}',
    "rate(requests_total[10s])",
    "increase(requests_total[7s])",
    "increase(requests_total[1s])",
    "sum by (version) (increase(requests_total[10s]))",
    "avg without (code) (rate(requests_total[30s]))",
    "min(requests_total) + max(requests_total) * count(requests_total)",
    'sum(rate(requests_total{code="503"}[10s])) / sum(rate(requests_total[10s]))',
    'rate(requests_total{code="503"}[10s]) / ignoring(code) rate(requests_total{code="200"}[10s])',
    'rate(requests_total{code="503"}[10s]) / on(version) rate(requests_total{code="200"}[10s])',
    "histogram_quantile(0.95, sum by (le) (rate(seconds_bucket[10s])))",
    "histogram_quantile(0.5, rate(seconds_bucket[10s]))",
    "histogram_quantile(0.999, seconds_bucket)",
    "requests_total > 40",
    "requests_total > bool 40",
    "40 <= requests_total",
    "-requests_total % 7",
    "requests_total ^ 0.5",
    "requests_total / 0",
    "sum(nothing) or vector(0)",
    "requests_total or nothing or seconds_bucket",
    "sum(requests_total) == sum(requests_total)",
    "scalar(sum(requests_total)) - 1",
    "1 + 2 * 3 - 4 / 5 % 6 ^ 2",
    "nothing",
]


@pytest.fixture(scope="module")
def binaries():
    for name in ("prometheus", "promtool"):
        if shutil.which(name) is None:
            missing(name, "apt-get install prometheus")


def make_samples(base: float) -> tuple[Samples, str]:
    """Return random counters with gaps and restarts, once for us and once as OpenMetrics text."""
    chance, store, lines = random.Random(7), Samples(), {}
    values: dict[tuple[tuple[str, str], ...], float] = {}
    for version in ("1.1.0", "1.2.0"):
        for code in ("200", "503"):
            values[(("__name__", "requests_total"), ("code", code), ("version", version))] = (
                chance.random() * 9
            )
        for le in ("0.1", "0.5", "1", "+Inf"):
            values[(("__name__", "seconds_bucket"), ("le", le), ("version", version))] = 0.0
    for i in range(120):
        at = round(base + i * 0.5 + chance.random() * 0.2, 3)
        if i in (50, 51, 52, 53):
            continue
        grown = 0.0
        for key in values:
            grown = (
                grown + chance.randrange(3) if dict(key).get("le", "0.1") != "0.1" else chance.randrange(9)
            )
            values[key] = 0.0 if i == 80 and "le" not in dict(key) else values[key] + grown
        store.take(at, values.items())
        for key, value in values.items():
            inner = ",".join(f'{k}="{v}"' for k, v in key[1:])
            lines.setdefault(key, []).append(f"{key[0][1]}{{{inner}}} {value!r} {at:.3f}")
    text = "\n".join(line for each in lines.values() for line in each)
    return store, text + "\n# EOF\n"


@pytest.fixture(scope="module")
def real(binaries, tmp_path_factory):
    """A Prometheus that holds the samples, and ours with the same."""
    folder = tmp_path_factory.mktemp("prometheus")
    base = math.floor(time.time()) - 3600
    ours, text = make_samples(base)
    (folder / "samples.txt").write_text(text)
    blocks = ["promtool", "tsdb", "create-blocks-from", "openmetrics", "samples.txt", "data"]
    subprocess.run(blocks, cwd=folder, check=True, capture_output=True)
    (folder / "prometheus.yml").write_text("scrape_configs: []\n")
    port = process.free_port()
    options = ["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--log.level=error"]
    server = subprocess.Popen(["prometheus", *options, f"--web.listen-address=127.0.0.1:{port}"], cwd=folder)
    url = f"http://127.0.0.1:{port}"

    def is_ready() -> bool:
        try:
            return call(url + "/-/ready")[0] == 200
        except OSError:
            return False

    try:
        eventually(is_ready, "Prometheus is ready")
        yield ours, url, base
    finally:
        server.terminate()
        server.wait(20)


@pytest.mark.parametrize("query", QUERIES)
def test_the_same_samples_give_the_same_answer(real, query):
    ours, url, base = real
    for offset in (3.1, 10.45, 24.9, 27.3, 31.7, 41.2, 47.77, 61.9, 90.0):
        params = urllib.parse.urlencode({"query": query, "time": base + offset})
        status, body, _ = call(f"{url}/api/v1/query?{params}")
        assert status == 200
        mine = promql.evaluate(ours, promql.parse(query), base + offset)
        data = body["data"]
        if data["resultType"] == "scalar":
            assert mine == pytest.approx(float(data["result"][1]), nan_ok=True)
            continue
        theirs = {tuple(sorted(s["metric"].items())): float(s["value"][1]) for s in data["result"]}
        assert mine == {k: pytest.approx(v, rel=1e-6, nan_ok=True) for k, v in theirs.items()}, offset


def test_the_endpoints_answer_in_prometheuss_form(real, shared, revisions):
    _, url, base = real
    shared.converge("form", stable=revisions["1.1.0"], stable_replicas=1)
    ours = shared.urls["metrics_url"]
    eventually(
        lambda: shared.query('relman_weight{environment="form"}')["data"]["result"], "a sample was taken"
    )
    for path in (
        "query?query=1%2B1&time=5",
        "query?query=vector(0.0000001)&time=5",
        "query?query=vector(0.00001)&time=5",
        "query?query=1e20&time=5",
        "query?query=1%2F0&time=5.25",
        f"query_range?query=vector(1)&start={base}&end={base + 3}&step=1",
        f"query_range?query=vector(1)&start={base}&end={base + 60}&step=15s",
        "query_range?query=1&start=1970-01-01T00:00:00Z&end=1970-01-01T00:00:02Z&step=1",
    ):
        assert call(f"{ours}/api/v1/{path}")[:2] == call(f"{url}/api/v1/{path}")[:2], path
    for path in (
        "query",
        "query?query=sum(",
        "query?query=1&time=never",
        "query_range?query=1&start=2&end=1&step=1",
        "query_range?query=1&start=1&end=2&step=0",
        "query_range?query=1&start=1&end=99999999&step=1",
    ):
        mine, theirs = call(f"{ours}/api/v1/{path}"), call(f"{url}/api/v1/{path}")
        assert (mine[0], mine[1]["status"], mine[1]["errorType"]) == (400, "error", "bad_data"), path
        assert (theirs[0], theirs[1]["errorType"]) == (400, "bad_data"), path


def test_the_metrics_page_is_what_prometheus_reads(binaries, shared, revisions):
    seen = shared.converge("page", stable=revisions["1.1.0"], stable_replicas=1)
    assert call(seen.url + "/checkout", BASKET)[0] == 201
    page = call(shared.urls["metrics_url"] + "/metrics")[1]
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=page, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")

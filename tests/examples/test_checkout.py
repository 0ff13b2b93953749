"""The example service: each version passes its suites, and 1.2.0 is bad only under traffic."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.platforms.living import BASKET, CHECKOUT, call
from tests.waiting import eventually

VERSIONS = ["1.0.0", "1.1.0", "1.2.0", "1.3.0"]
HEALTHY = [v for v in VERSIONS if v != "1.2.0"]


def test_these_are_all_versions(builds):
    assert sorted(builds) == VERSIONS


def test_an_unknown_version_is_said_to_be_unknown(tmp_path):
    env = {**os.environ, "RELMAN_VERSION": "9.9.9", "RELMAN_OUTPUT": str(tmp_path / "out")}
    built = subprocess.run(
        [sys.executable, "build.py"], cwd=CHECKOUT, env=env, capture_output=True, text=True, check=False
    )
    assert built.returncode == 1
    assert 'no version "9.9.9"; expected one of 1.0.0, 1.1.0, 1.2.0, 1.3.0' in built.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("version", VERSIONS)
def test_every_suite_of_every_version_passes(shared, builds, revisions, version):
    """One replica, as in an ephemeral environment, and all suites one right after the other."""
    environment = f"qa-{version.replace('.', '-')}"
    url = shared.converge(environment, stable=revisions[version], stable_replicas=1).url
    env = {**os.environ, "RELMAN_BASE_URL": url, "RELMAN_VERSION": version, "PYTHONDONTWRITEBYTECODE": "1"}
    for suite in ("unit", "api", "smoke"):
        report = builds[version].parent / f"{suite}.xml"
        command = [sys.executable, "-m", "pytest", "-q", f"tests/{suite}", "--junit-xml", str(report)]
        ran = subprocess.run(
            command, cwd=builds[version], env=env, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stdout
        assert "passed" in ran.stdout
        assert report.stat().st_size > 0


def pay_at_once(url: str, count: int) -> Counter[int]:
    """Send so many payments as fast as possible, four at a time; return how many got which status."""
    with ThreadPoolExecutor(4) as pool:
        return Counter(pool.map(lambda _: call(url + "/checkout", BASKET)[0], range(count)))


@pytest.mark.parametrize("version", HEALTHY)
def test_a_healthy_version_stands_traffic(shared, revisions, version):
    url = shared.converge(
        f"busy-{version.replace('.', '-')}", stable=revisions[version], stable_replicas=1
    ).url
    assert pay_at_once(url, 60) == {201: 60}


def test_the_bad_version_runs_out_of_connections_under_traffic(shared, revisions):
    url = shared.converge("busy-1-2-0", stable=revisions["1.2.0"], stable_replicas=1).url
    paid = pay_at_once(url, 12)
    assert paid[201] >= 5
    assert paid[503] > 12 * 0.2
    assert paid.total() == paid[201] + paid[503]
    assert call(url + "/healthz")[0] == 200
    assert call(url + "/quote", BASKET)[0] == 200
    assert shared.observe("busy-1-2-0").stable.ready == 1


def test_an_analysis_sees_the_bad_canary_and_only_that(shared, revisions):
    """What the demo asks, on the demo's traffic: ten per cent of forty requests a second."""
    environment = "canary"
    url = shared.converge(
        environment,
        stable=revisions["1.1.0"],
        candidate=revisions["1.2.0"],
        candidate_weight=10,
        stable_replicas=2,
        candidate_replicas=1,
    ).url
    command = [sys.executable, "-m", "relman_plugins.testing.traffic", "--url", url + "/checkout"]
    traffic = subprocess.Popen([*command, "--body", json.dumps(BASKET)], stdout=subprocess.PIPE)

    def ratio(version: str) -> float:
        who = f'environment="{environment}",version="{version}"'
        bad = f'sum(increase(relman_requests_total{{{who},code=~"5.."}}[10s]))'
        found = shared.query(f"{bad} / sum(increase(relman_requests_total{{{who}}}[10s]))")["data"]["result"]
        return float(found[0]["value"][1]) if found else 0.0

    try:
        eventually(lambda: ratio("1.2.0") > 0.2, "more than a fifth of the canary's answers are errors")
        assert ratio("1.1.0") == 0
        seen = shared.converge(environment, stable=revisions["1.1.0"], stable_replicas=2)
        assert (seen.candidate, seen.stable.weight) == (None, 100)
    finally:
        traffic.terminate()
        report = json.loads(traffic.communicate()[0])
    assert report["failed"] == {}
    assert report["versions"]["1.1.0"]["errors"] == 0
    assert 0 < report["versions"]["1.2.0"]["requests"] <= report["sent"] / 9


def test_versions_price_differently(shared, revisions):
    many = {"items": [{"article": "sticker", "quantity": 20}], "country": "US"}
    discounts = []
    for version in VERSIONS:
        seen = shared.converge("prices", stable=revisions[version], stable_replicas=1)
        discounts.append(call(seen.url + "/quote", many)[1]["discount"])
    assert discounts == [0, 150, 150, 300]

"""Traffic: steady, bounded, on this machine only, and it says what came back."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

from tests.platforms.living import BASKET
from tests.waiting import eventually

COMMAND = [sys.executable, "-m", "relman_plugins.testing.traffic"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False)


def test_it_reports_by_version(shared, revisions, tmp_path):
    url = shared.converge(
        "traffic",
        stable=revisions["1.0.0"],
        candidate=revisions["1.1.0"],
        candidate_weight=10,
        stable_replicas=1,
        candidate_replicas=1,
    ).url
    report = tmp_path / "report.json"
    body = json.dumps(BASKET)
    ended = run(
        "--url", url + "/checkout", "--rate", "100", "--seconds", "1", "--body", body, "--report", str(report)
    )
    assert ended.returncode == 0, ended.stderr
    seen = json.loads(report.read_text())
    assert json.loads(ended.stdout)["versions"] == seen["versions"]
    versions = seen["versions"]
    assert seen["sent"] == seen["answered"] == sum(v["requests"] for v in versions.values()) <= 101
    assert versions["1.1.0"]["requests"] == pytest.approx(seen["sent"] / 10, abs=1)
    assert {v["errors"] for v in versions.values()} == {0}
    assert versions["1.0.0"]["codes"] == {"201": versions["1.0.0"]["requests"]}


def test_a_signal_ends_it_with_a_whole_report(shared, revisions, tmp_path):
    url = shared.converge("signal", stable=revisions["1.0.0"], stable_replicas=1).url
    report = tmp_path / "report.json"
    arguments = ["--url", url + "/healthz", "--rate", "50", "--report", str(report)]
    traffic = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, text=True)
    eventually(report.exists, "the first report is written")
    traffic.send_signal(signal.SIGTERM)
    out, _ = traffic.communicate()
    assert traffic.returncode == 0
    assert json.loads(out)["answered"] == json.loads(report.read_text())["answered"] > 0


def test_nobody_there_is_counted_and_not_fatal():
    ended = run("--url", "http://127.0.0.1:1/", "--rate", "20", "--seconds", "0.5")
    seen = json.loads(ended.stdout)
    assert (ended.returncode, seen["answered"]) == (0, 0)
    assert sum(seen["failed"].values()) == seen["sent"] > 0


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--url", "http://example.org/"], "not on this machine"),
        (["--url", "http://0.0.0.0:80/"], "not on this machine"),
        (["--url", "https://127.0.0.1/"], "not on this machine"),
        (["--url", "http://127.0.0.1.example.org/"], "not on this machine"),
        (["--url", "http://127.0.0.1/", "--rate", "501"], "at most 500"),
        (["--url", "http://127.0.0.1/", "--rate", "0"], "above 0"),
        (["--url", "http://127.0.0.1/", "--seconds", "3601"], "at most 3600"),
        (["--url", "http://127.0.0.1/", "--body", "{"], "not JSON"),
    ],
)
def test_what_it_should_not_do_it_refuses(arguments, reason):
    ended = run(*arguments)
    assert ended.returncode == 2
    assert reason in ended.stderr

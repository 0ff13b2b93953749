"""The demo as a user runs it: real processes, from start to the last of them."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from relman_plugins.ledger.api import Ledger
from tests.demo import living
from tests.evidence.standing import all_good
from tests.repo import tree
from tests.waiting import eventually

pytestmark = [pytest.mark.real, pytest.mark.timeout(1500)]

ROOT = Path(__file__).resolve().parents[2]
ENDS_S = 180
"""How long an end may take on a busy machine."""
# Each moment is an Airflow of its own; a signal to the demo alone comes at others: see below.
MOMENTS = ["10 % of the traffic"]


@contextmanager
def demo(home: Path, repo: Path = ROOT, module: str = "demo") -> Iterator[subprocess.Popen[str]]:
    """Start the demo in a session of its own, as a terminal would."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", f"relman_plugins.testing.{module}", "--home", str(home / "now")],
        cwd=repo,
        env={**os.environ, "PYTHONPATH": str(repo)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=ENDS_S)


def until(process: subprocess.Popen[str], text: str) -> str:
    """Read what the demo says until it says the text."""
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if text in line:
            return "".join(said)
    raise AssertionError(f"the demo ended with {process.wait()} and never said {text!r}:\n{''.join(said)}")


def test_the_story_is_told_to_its_end(tmp_path: Path) -> None:
    with demo(tmp_path) as process:
        said, _ = process.communicate(timeout=1400)
    assert process.returncode == 0, said
    for release, outcome, run in (
        ("checkout-1.1.0-1", "succeeded", "success"),
        ("checkout-1.2.0-1", "rolled_back", "failed"),
        ("checkout-1.3.0-1", "rejected", "failed"),
    ):
        assert f"{release}: {outcome}; its run is {run}; production runs 1.1.0" in said
    assert "carol started it, and nobody approves their own release; ask one of: Alice Example, Bob" in said
    story = said.partition("What Slack was told")[0]
    assert story.count("1 of 2 missing: 1 of release-managers (Bob Example)") == 2
    assert story.count("approved by bob") == 2
    cost = re.search(
        r"1\.2\.0 served (\d+) of (\d+) requests in production; .* (\d+) ms after the failing poll", said
    )
    assert cost, said
    assert 0 < int(cost[1]) < int(cost[2])
    # By the process that saw it fail: a turn of Airflow's scheduler comes no sooner than after eight seconds.
    assert int(cost[3]) < 8000
    caught = re.search(
        r"error-rate: harm is certain after \d looks?: \d+ of \d+ \([\d.]+ %\) bad, of the old", said
    )
    assert caught, said
    assert "#rel-checkout" in said
    assert "checkout 1.1.0" in said.partition("What Slack was told")[2]
    ledger = Ledger(f"sqlite:///{tmp_path / 'now' / 'relman' / 'ledger.db'}")
    ended = {
        "checkout-1.1.0-1": "succeeded",
        "checkout-1.2.0-1": "rolled_back",
        "checkout-1.3.0-1": "rejected",
    }
    assert all_good(ledger) == ended
    assert living.of(tmp_path) == []


@pytest.mark.parametrize("moment", MOMENTS)
def test_ctrl_c_leaves_nothing(moment: str, tmp_path: Path) -> None:
    with demo(tmp_path) as process:
        until(process, moment)
        os.killpg(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=ENDS_S)
    assert process.returncode == 130, said
    assert "stopped by SIGINT; no process is left" in said
    assert living.of(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "code", "moment"),
    [(signal.SIGINT, 130, "as found"), (signal.SIGTERM, 143, "Airflow: api-server")],
)
def test_a_signal_to_the_demo_alone_leaves_nothing(
    number: signal.Signals, code: int, moment: str, tmp_path: Path
) -> None:
    with demo(tmp_path) as process:
        until(process, moment)
        process.send_signal(number)
        process.send_signal(number)
        said, _ = process.communicate(timeout=ENDS_S)
    assert process.returncode == code, said
    assert living.of(tmp_path) == []


def test_a_step_that_fails_ends_the_demo_with_the_log_that_matters(tmp_path: Path) -> None:
    repo = copy(tmp_path / "repo")
    build = repo / "examples" / "checkout" / "build.py"
    before = '    overlay = source / "versions" / version\n'
    broken = '    if version != "1.0.0":\n        raise SystemExit("the compiler is on holiday")\n'
    assert before in build.read_text()
    build.write_text(build.read_text().replace(before, broken + before))
    with demo(tmp_path, repo) as process:
        said, _ = process.communicate(timeout=1200)
    assert process.returncode == 1, said
    assert "checkout-1.1.0-1 ended failed, expected succeeded" in said
    assert "the compiler is on holiday" in said.partition("The demo failed")[2]
    assert living.of(tmp_path) == []


def test_up_goes_on_where_the_last_one_was_and_starts_again_what_was_killed(tmp_path: Path) -> None:
    with demo(tmp_path, module="up") as process:
        said = until(process, "Ctrl-C")
        assert "as found" in said
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=ENDS_S)
    assert process.returncode == 0
    assert living.of(tmp_path) == []
    ready = tmp_path / "now" / "sandbox.ready.json"
    with demo(tmp_path, module="up") as process:
        assert "as found" not in until(process, "Ctrl-C")
        before = json.loads(ready.read_text())
        os.kill(before["pid"], signal.SIGKILL)
        until(process, "sandbox had ended by itself")
        assert served(before["front_url"]) == "1.0.0"
        assert json.loads(ready.read_text())["pid"] != before["pid"]
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=ENDS_S)
    assert process.returncode == 0
    assert living.of(tmp_path) == []


def served(front: str) -> str:
    """Ask production for its version until it answers."""

    def version() -> str | None:
        try:
            answer = httpx.get(f"{front}/production/checkout/healthz", timeout=5)
        except httpx.TransportError:
            return None
        return str(answer.json()["version"]) if answer.status_code == 200 else None

    return eventually(version, "production answers", within_s=120)


def copy(to: Path) -> Path:
    """Copy the repository as git would hand it out."""
    for path in tree.files():
        target = to / path.relative_to(tree.ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    return to

"""``relman judge``: files in, verdicts and exit codes out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import ROOT, environment, relman

SLOW = {
    "name": "latency",
    "control": [9.7, 10.6, 7.8, 9.3, 8.4, 8.9],
    "experiment": [19.7, 20.6, 17.8, 19.3, 18.4, 18.9],
}
SAME = {"name": "cpu", "control": [1, 2, 3, 4, 5, 6], "experiment": [6, 5, 4, 3, 2, 1]}


def judged(folder: Path, *args: str, **document: Any) -> subprocess.CompletedProcess[str]:
    file = folder / "numbers.json"
    file.write_text(json.dumps({"method": "mann_whitney", **document}))
    return relman("judge", file, *args)


def test_data_for_programs_is_the_contract(tmp_path: Path) -> None:
    done = judged(tmp_path, "--format", "json", metrics=[SLOW, SAME | {"groups": ["load"]}])
    assert (done.returncode, done.stderr) == (1, "")
    data = json.loads(done.stdout)
    assert (data["verdict"], data["score"]) == ("fail", 50)
    assert data["groups"] == {"default": 0, "load": 100}
    latency = data["metrics"][0]
    assert {"name", "classification", "critical", "reason", "effect", "interval"} <= set(latency)
    assert (latency["classification"], latency["critical"]) == ("High", False)
    assert latency["interval"][0] < 10 < latency["interval"][1]


def test_people_get_a_table_and_the_reasons(tmp_path: Path) -> None:
    done = judged(tmp_path, "--explain", metrics=[SAME | {"name": "cpu\u001b[31m"}])
    assert done.returncode == 0
    assert done.stdout.startswith("pass: score 100")
    assert "control and experiment are identical" in done.stdout
    assert "Mann-Whitney" in done.stdout
    assert "\u001b" not in done.stdout


def test_the_input_can_be_a_pipe() -> None:
    text = json.dumps({"metrics": [SAME]})
    done = subprocess.run(
        [sys.executable, "-m", "relman_plugins.cli", "judge", "-"],
        input=text, capture_output=True, text=True, env=environment(), check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout[:5]) == (0, "pass:")


@pytest.mark.parametrize("text", ["", "[]", "[" * 200_000, '{"metrics": [{"name": 1}]}', "\x00"])
def test_a_bad_file_is_a_message_and_exit_code_2(tmp_path: Path, text: str) -> None:
    file = tmp_path / "numbers.json"
    file.write_text(text)
    for form in ("text", "json"):
        done = relman("judge", file, "--format", form)
        assert (done.returncode, done.stdout) == (2, "")
        assert f"{file}: $" in done.stderr
    assert relman("judge", tmp_path).returncode == 2


def test_ten_megabytes_are_judged(tmp_path: Path) -> None:
    values = [n * 1.000001 % 977 for n in range(300_000)]
    done = judged(tmp_path, metrics=[{"name": "m", "control": values, "experiment": values[::-1]}])
    assert (tmp_path / "numbers.json").stat().st_size > 10_000_000
    assert (done.returncode, done.stdout[:5]) == (0, "pass:")


def test_numpy_is_not_loaded_before_something_is_judged() -> None:
    code = (
        "import sys, relman_plugins.cli.main, relman_plugins.judge.run, relman_plugins.judge.document; "
        "sys.exit('numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0

"""A team's command, the hostile ones too: it ends when it must, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from relman_plugins.steps.process import LONGEST_LINE, Command, CommandResult

LEAVES = "import subprocess; print(subprocess.Popen({argv}, start_new_session=True{more}).pid, flush=True)"


def run(folder: Path, code: str, timeout_s: float = 20, **variables: str) -> tuple[CommandResult, list[str]]:
    said: list[str] = []
    command = Command(["python", "-c", code], folder, variables, timeout_s, said.append)
    return command.run(), said


def lives(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_its_output_its_end_and_its_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "secret")
    code = "import os; print(*sorted(os.environ), sep='\\n'); print('ä', end=''); raise SystemExit(3)"
    result, said = run(tmp_path, code, RELMAN_VERSION="1.0")
    assert (result.code, result.timed_out, said[-1]) == (3, False, "ä")
    assert "RELMAN_VERSION" in said
    assert "AIRFLOW__CORE__FERNET_KEY" not in said


@pytest.mark.parametrize("more", ["", ", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL"])
def test_what_moved_to_another_session_neither_holds_it_up_nor_stays(tmp_path: Path, more: str) -> None:
    result, said = run(tmp_path, LEAVES.format(argv=["sleep", "60"], more=more))
    assert (result.code, result.timed_out) == (0, False)
    assert not lives(int(said[0]))


def test_what_hides_cannot_stretch_the_time_limit(tmp_path: Path) -> None:
    hidden = LEAVES.format(argv=["sleep", "60"], more=", env={}") + "; import signal; signal.pause()"
    result, said = run(tmp_path, hidden, timeout_s=3)
    try:
        assert result.timed_out
        assert lives(int(said[0])), "it came back only when the hidden process had ended"
    finally:
        os.kill(int(said[0]), signal.SIGKILL)


def test_a_line_without_an_end_is_broken(tmp_path: Path) -> None:
    result, said = run(tmp_path, f"print('x' * {LONGEST_LINE * 5 + 1})")
    assert result.code == 0
    assert [len(line) for line in said] == [*[LONGEST_LINE] * 5, 1]


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    result = Command(["no-such-program"], tmp_path, {}, 5, print).run()
    assert (result.code, "cannot start" in result.tail) == (127, True)


def test_ending_it_afterwards_ends_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = Command([sys.executable, "-c", ""], tmp_path, {}, 20, print)
    command.run()
    signalled: list[int] = []
    monkeypatch.setattr(os, "killpg", lambda group, number: signalled.append(group))
    command.kill()
    assert signalled == []

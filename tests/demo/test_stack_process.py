from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from relman_plugins.testing.stack_lock import HomeLock
from relman_plugins.testing.stack_process import Managed, Processes, StackError
from relman_plugins.testing.stack_signals import Stopped, stoppable, unstoppable
from tests.demo import living

ROOT = Path(__file__).resolve().parents[2]

# Each prints the ids of the processes that it started, once they are there.
SLEEPER = "import signal; print('ready', flush=True); signal.pause()"
DEAF = (
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); signal.pause()"
)
FAMILY = f"""
import subprocess, sys, signal
pipe = subprocess.PIPE
own_session = subprocess.Popen([sys.executable, "-c", {SLEEPER!r}], start_new_session=True, stdout=pipe)
no_mark = subprocess.Popen([sys.executable, "-c", {DEAF!r}], env={{}}, stdout=pipe)
own_session.stdout.readline(), no_mark.stdout.readline()
print(own_session.pid, no_mark.pid, flush=True)
signal.pause()
"""


@pytest.fixture
def processes(tmp_path: Path):
    owned = Processes(tmp_path / "logs")
    yield owned
    owned.stop(grace_s=0.5)


def start(processes: Processes, code: str, name: str = "it") -> Managed:
    return processes.start(name, (sys.executable, "-c", code), _env(), ROOT)


def words(managed: Managed) -> list[str]:
    """Return what the process has written, once it has written something."""
    with subprocess.Popen(["tail", "-n", "+1", "-F", managed.log], stdout=subprocess.PIPE, text=True) as tail:
        assert tail.stdout is not None
        line = tail.stdout.readline()
        tail.kill()
    return line.split()


def test_stopping_ends_children_in_other_sessions_and_children_without_the_mark(processes: Processes) -> None:
    family = start(processes, FAMILY)
    children = [int(word) for word in words(family)]
    assert len(processes.members()) == 3
    assert processes.stop(grace_s=0.5) == []
    assert living.gone([family.popen.pid, *children])


def test_orphans_are_found_after_their_parent_was_killed(processes: Processes) -> None:
    family = start(processes, FAMILY)
    children = [int(word) for word in words(family)]
    os.kill(family.popen.pid, signal.SIGKILL)
    family.popen.wait(10)
    assert {p.pid for p in processes.members()} == set(children)
    processes.stop(grace_s=0.5)
    assert living.gone(children)


def test_two_stacks_do_not_stop_each_other(processes: Processes, tmp_path: Path) -> None:
    other = Processes(tmp_path / "other")
    theirs = start(other, SLEEPER)
    words(theirs)
    start(processes, SLEEPER)
    processes.stop(grace_s=2)
    assert theirs.popen.poll() is None
    other.stop(grace_s=2)
    assert living.gone([theirs.popen.pid])


def test_a_process_that_ends_by_itself_is_an_error_with_the_log_that_matters(processes: Processes) -> None:
    failing = start(processes, "print('before'); raise RuntimeError('no such database')", "scheduler")
    failing.popen.wait(10)
    with pytest.raises(StackError, match=r"scheduler ended by itself with code 1(.|\n)*no such database"):
        processes.check()


def test_children_end_when_the_owner_is_killed(tmp_path: Path) -> None:
    owner = f"""
from pathlib import Path
from relman_plugins.testing.stack_process import Processes
import os, signal, sys
p = Processes(Path({str(tmp_path)!r}))
it = p.start("it", (sys.executable, "-c", {SLEEPER!r}), os.environ, Path({str(ROOT)!r}))
print(it.popen.pid, flush=True)
signal.pause()
"""
    with subprocess.Popen(
        [sys.executable, "-c", owner], stdout=subprocess.PIPE, text=True, env=_env(), cwd=ROOT
    ) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        process.kill()
    assert living.gone([child])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_stops_and_the_ones_after_it_are_ignored(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    reached = []

    def clean_up_in_peace() -> None:
        with stoppable():
            try:
                os.kill(os.getpid(), number)
            finally:
                os.kill(os.getpid(), number)
                reached.append("the end of the clean-up")

    with pytest.raises(Stopped) as stopped:
        clean_up_in_peace()
    assert stopped.value.exit_code == 128 + number
    assert reached
    assert signal.getsignal(number) is before


def test_a_signal_during_what_must_not_be_interrupted_comes_after_it() -> None:
    reached = []

    def hold_back() -> None:
        with stoppable():
            with unstoppable():
                os.kill(os.getpid(), signal.SIGTERM)
                reached.append("inside")
            reached.append("never")

    with pytest.raises(Stopped):
        hold_back()
    assert reached == ["inside"]


def test_one_stack_for_each_folder(tmp_path: Path) -> None:
    first, second = HomeLock(tmp_path / "now"), HomeLock(tmp_path / "now")
    first.acquire()
    with pytest.raises(StackError, match=rf"another stack is running .*process {os.getpid()}"):
        second.acquire()
    first.release()
    second.acquire()
    second.release()


def _env() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}

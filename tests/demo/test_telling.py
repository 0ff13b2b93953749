"""How the demo shows itself and asks."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from relman_plugins.domain.event import Kind
from relman_plugins.testing.demo_events import describe, mark_of
from relman_plugins.testing.demo_screen import Plain, Terminal, screen_for

ROOT = Path(__file__).resolve().parents[2]

ASK = """
import sys
from relman_plugins.testing.demo_approver import Prompt, Question
answers = iter({still_open!r})
question = Question("checkout-1.1.0-1", "what", "http://x", "Approve", lambda: next(answers))
print("said:", Prompt().decide(question))
"""


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("a\n", "Approve"),
        ("\n", "Approve"),
        ("what?\nR\n", "Reject"),
        ("browser\n", "None"),
        ("\x04", "None"),
    ],
)
def test_a_person_answers_at_the_terminal(typed: str, said: str) -> None:
    assert ask(typed, [True] * 9).endswith(f"said: {said}")


def test_the_prompt_goes_away_when_the_answer_came_in_the_browser() -> None:
    shown = ask("", [True, False])
    assert "answered in the browser" in shown
    assert shown.endswith("said: None")


def ask(typed: str, still_open: list[bool]) -> str:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", ASK.format(still_open=still_open)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=theirs,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        os.write(ours, typed.encode())
        shown, _ = process.communicate(timeout=30)
    os.close(ours)
    os.close(theirs)
    assert "http://x" in shown
    return shown.strip()


def test_without_a_terminal_every_line_stands_for_itself(capsys: pytest.CaptureFixture[str]) -> None:
    screen = screen_for(stdout_is_terminal=False)
    assert isinstance(screen, Plain)
    screen.begin("checkout-1.1.0-1", ["open", "close"])
    screen.step("open", "running", None)
    screen.step("build", "done", "artifact sha256:00, 3 files")
    screen.table("Releases", ("release", "outcome"), [("checkout-1.1.0-1", "succeeded")])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert lines[1].endswith("build                  artifact sha256:00, 3 files")
    assert not any("\x1b" in line for line in lines)


def test_on_a_terminal_the_steps_stay_with_their_marks() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)
    screen = Terminal(console)
    screen.begin("checkout-1.2.0-1", ["build", "production.canary_10"])
    screen.step("build", "done", "artifact [sha256]")
    screen.step("production.canary_10", "failed", "the numbers are bad")
    screen.step(None, None, "closed: rolled_back")
    screen.end()
    assert isinstance(console.file, io.StringIO)
    last = console.file.getvalue()
    assert "✔  build" in last
    assert "artifact [sha256]" in last
    assert "✘  production.canary_10" in last
    assert "closed: rolled_back" in last


@pytest.mark.parametrize("kind", list(Kind), ids=lambda k: k.value)
def test_every_kind_of_event_can_be_told_whatever_its_data_lacks(kind: Kind) -> None:
    event = {"kind": kind.value, "data": {}, "environment": None}
    describe(event)
    mark_of(event)

"""What is printed: other people's text, that must not steer a terminal, and data for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer

from relman_plugins.cli.exits import Exit, Stop
from relman_plugins.spec.words import visible, visible_json


def shown(text: object) -> str:
    r"""Return text whose lines are lines and in which nothing else moves, hides or recolours what is shown.

    Control, bidirectional and other invisible characters become ``\u001b`` and the like: whoever approves
    "exactly what is shown" must see what there is.
    """
    lines = str(text).replace("\r\n", "\n").replace("\t", "    ").split("\n")
    return "\n".join(map(visible, lines))


def continued(text: object, margin: int) -> str:
    """Return ``shown`` text whose further lines are indented, so that none passes for a new entry."""
    return shown(text).replace("\n", "\n" + " " * margin)


def echo_json(value: Any) -> None:
    """Print one JSON document for programs: indented, UTF-8, and harmless to a terminal."""
    typer.echo(visible_json(json.dumps(value, indent=2, ensure_ascii=False)))


def echo_line(**entry: Any) -> None:
    """Print one JSON object on one line, at once: for output that goes on."""
    typer.echo(visible_json(json.dumps(entry, ensure_ascii=False)))


def is_terminal() -> bool:
    """Say whether there is somebody who can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def confirmed(question: str, *, yes: bool) -> None:
    """Ask a person at a terminal, unless told not to; anything but yes ends the command with code 1, or 130.

    Without a terminal nobody is asked: what stops a release or takes it back is not held up by that. The
    question goes to standard error.
    """
    if yes or not is_terminal():
        return
    with interruptible():
        agreed = typer.confirm(shown(question), err=True)
    if not agreed:
        raise Stop(Exit.FINDINGS, "nothing was done")


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C at a question end the command as elsewhere: Click's word for it is `relman abort`'s."""
    try:
        yield
    except typer.Abort:
        raise KeyboardInterrupt from None

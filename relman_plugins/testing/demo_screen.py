"""How the demo shows itself: a live table on a terminal, one plain line per event elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text


class Screen(Protocol):
    """What the story needs of a place to be told at."""

    def say(self, text: str) -> None:
        """Show a line that stays."""
        ...

    def heading(self, text: str) -> None:
        """Show the start of a part."""
        ...

    def begin(self, title: str, steps: Sequence[str]) -> None:
        """Start showing a release: its steps, none of them done."""
        ...

    def step(self, step: str | None, mark: str | None, text: str | None) -> None:
        """Show what happened at a step."""
        ...

    def end(self) -> None:
        """Stop showing the release; what was shown stays."""
        ...

    def resume(self) -> None:
        """Show the release again, after the terminal was needed for a question."""
        ...

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Show a table."""
        ...


class Plain:
    """Lines for logs and pipes."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def say(self, text: str) -> None:
        """Print a line with the seconds since the start."""
        for line in text.splitlines() or [""]:
            sys.stdout.write(f"[{time.monotonic() - self._start:6.1f}] {line}\n")
        sys.stdout.flush()

    def heading(self, text: str) -> None:
        """Print a line that stands out."""
        self.say(f"== {text}")

    def begin(self, title: str, steps: Sequence[str]) -> None:
        """Print the steps in one line."""
        self.say(f"{title}: {len(steps)} steps: {', '.join(steps)}")

    def step(self, step: str | None, mark: str | None, text: str | None) -> None:
        """Print what has words; a mark alone changes nothing that a log must hold."""
        if text:
            self.say(f"{step or '':22} {text}")

    def end(self) -> None:
        """Do nothing: every line stays."""

    def resume(self) -> None:
        """Do nothing: nothing was interrupted."""

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Print columns that line up."""
        cells = [list(columns), *(list(row) for row in rows)]
        widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
        self.say(title)
        for row in cells:
            self.say(
                "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            )


_MARKS = {"done": "[green]✔[/]", "failed": "[red]✘[/]", "waiting": "[yellow]◆[/]", None: "[dim]·[/]"}


class Terminal:
    """A live table of the steps of the release that runs."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        self._live: Live | None = None
        self._title = ""
        self._steps: dict[str, tuple[str | None, str]] = {}

    def say(self, text: str) -> None:
        """Print a line, above the table while there is one."""
        self._console.print(escape(text))

    def heading(self, text: str) -> None:
        """Print a rule with the text."""
        self._console.print()
        self._console.rule(f"[bold]{escape(text)}[/]", align="left")

    def begin(self, title: str, steps: Sequence[str]) -> None:
        """Show the table."""
        self._title, self._steps = title, dict.fromkeys(steps, (None, ""))
        self.resume()

    def resume(self) -> None:
        """Show the table as it stands."""
        self._live = Live(self._render(), console=self._console, refresh_per_second=8, redirect_stdout=False)
        self._live.start()

    def step(self, step: str | None, mark: str | None, text: str | None) -> None:
        """Change a row of the table; what belongs to no row is printed above it."""
        if step is None or step not in self._steps:
            if text:
                self.say(text)
            return
        before_mark, before_text = self._steps[step]
        self._steps[step] = (mark or before_mark, text or before_text)
        if self._live:
            self._live.update(self._render())

    def end(self) -> None:
        """Leave the table as it is."""
        if self._live:
            self._live.update(self._render(), refresh=True)
            self._live.stop()
            self._live = None

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Print a table."""
        table = Table(*columns, title=title, title_justify="left", box=box.SIMPLE_HEAD)
        for row in rows:
            table.add_row(*(escape(cell) for cell in row))
        self._console.print(table)

    def _render(self) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        for step, (mark, text) in self._steps.items():
            table.add_row(self._mark(mark), escape(step), Text(text, overflow="ellipsis", no_wrap=True))
        return Group(Text(self._title, style="bold"), table)

    def _mark(self, mark: str | None) -> Any:
        return Spinner("dots", style="cyan") if mark == "running" else _MARKS.get(mark, "")


def screen_for(stdout_is_terminal: bool) -> Screen:
    """Return the screen that suits standard output."""
    return Terminal() if stdout_is_terminal else Plain()

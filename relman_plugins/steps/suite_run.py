"""Running a suite's command on the worker, again when it pays, and reading what it left behind.

Without Airflow. What a try comes to is :mod:`relman_plugins.steps.suite_tries`'s to say.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from relman_plugins.clients.reports.reading import Before
from relman_plugins.errors import ClientRejected
from relman_plugins.steps.process import Command
from relman_plugins.steps.suite_tries import SuiteResult, Tries


@dataclass
class SuiteRun:
    """One run of a suite, with its retries."""

    args: Mapping[str, Any]
    """Of the suite's step in the plan. Keys that an older plan lacks have their defaults."""
    folder: Path
    """Where the command runs: the unpacked artifact."""
    scratch: Path
    """Where the list of failed tests is kept, outside the artifact."""
    variables: Mapping[str, str]
    """Environment of the command, on top of what says which try it is."""
    log: Callable[[str], None]
    """Gets the command's output, line by line."""
    before: Before | None = None
    """What the latest release that succeeded recorded of this suite."""
    _command: Command | None = field(default=None, init=False)
    _killed: bool = field(default=False, init=False)

    def run(self) -> SuiteResult:
        """Run the command, up to ``retries`` times more, and judge what it left.

        Raises:
            ClientRejected: A library that one of the reports needs is not installed; nothing ran.
        """
        tries = Tries(self.args, self.before, self._clean)
        tries.need()
        while tries.another() and not (self._killed and tries.all):
            if tries.all:
                self.log(f"try {len(tries.all)}: {tries.why()}; trying again")
            self._try(tries)
        return tries.judged()

    def kill(self) -> None:
        """End the command with all that it started, and try no more."""
        self._killed = True
        if self._command is not None:
            self._command.kill()

    def _try(self, tries: Tries) -> None:
        self._make_room(tries.files)
        failed = self.scratch / "failed-tests.txt"
        failed.write_text("".join(f"{' '.join(name.split())}\n" for name in tries.failed()), encoding="utf-8")
        self._command = Command(
            argv=self.args["command"],
            cwd=self.folder,
            variables={
                **self.variables,
                "RELMAN_ATTEMPT": str(len(tries.all) + 1),
                "RELMAN_FAILED_TESTS": str(failed),
            },
            timeout_s=self.args["timeout_s"],
            log=self.log,
        )
        since, began = time.time(), time.monotonic()
        result = self._command.run()
        stopped = f"took longer than {self.args['timeout_s']:g} s and was stopped" if result.timed_out else ""
        seconds = time.monotonic() - began
        tries.ended(result.code, result.tail, seconds, self.folder, since, stopped)

    def _make_room(self, files: list[str]) -> None:
        """Remove the reports of an earlier try, or that came with the artifact; make their folders."""
        home = self.folder.resolve()
        for name in files:
            path = self.folder / name
            if not path.parent.resolve().is_relative_to(home):
                raise ClientRejected(
                    f"the folder of {name} leads out of the artifact: no report is read there"
                )
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise ClientRejected(f"there is no folder for {name}: {error.strerror}") from error
            if path.is_symlink() or path.is_file():
                path.unlink()

    def _clean(self, text: str) -> str:
        """Return the text without the folders of this run: nobody can look there afterwards."""
        for folder in (self.folder, self.folder.resolve(), self.scratch, self.scratch.resolve()):
            text = text.replace(f"{folder}/", "").replace(str(folder), ".")
        return text

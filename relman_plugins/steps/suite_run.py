"""Running a suite's command, again when it pays, and reading what it left behind. Without Airflow.

What counts, and why:

* An exit code proves nothing. Green needs a whole report of the last try: of tests that ran, or of coverage,
  a scan or a load test.
* The command runs again only when tests failed, or when it broke off: past its time limit, by a signal, or
  without a report that can be read. Measuring coverage, findings or load until they please is no retry: one
  that missed its limit is the last.
* All tries together say which tests failed (``clients.reports.merge``). A test that a later try saw pass is
  flaky: green, recorded by name, and counted against ``max_flaky``. A try that broke off counts as one more.
* Reports beside the tests, the exit code and ``max_duration_s`` are those of the last try.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from signal import Signals
from typing import Any

from relman_plugins.clients.reports import gates, junit, source
from relman_plugins.clients.reports.junit import NamedTest, SuiteReport
from relman_plugins.clients.reports.merge import merged
from relman_plugins.clients.reports.reading import Before, Reading
from relman_plugins.errors import ClientRejected
from relman_plugins.steps.process import Command, CommandResult

NAMES_KEPT = 50
"""How many failed tests, and how many flaky ones, are recorded by name; all are counted."""

SHELL_SIGNALS = 128
"""Exit codes above are a shell's for a program that a signal ended (POSIX, 2.8.2)."""

WHOLE = "(the whole suite)"
"""What a try that broke off is called among the flaky tests."""


@dataclass(frozen=True)
class SuiteResult:
    """What a suite came to."""

    passed: bool
    reason: str
    tail: str
    """The last lines that the command printed."""
    data: dict[str, Any]
    """For the event ``suite.finished``, as JSON."""
    fingerprints: list[str] | None = None
    """Of the findings; None when no scanner's report could be read."""


@dataclass
class _Try:
    result: CommandResult
    since: float
    seconds: float
    report: SuiteReport | None = None
    readings: dict[str, Reading] = field(default_factory=dict)
    """Of the reports beside the tests, by kind."""
    broken: str = ""
    """Why it broke off; empty when it ended by itself with a report."""


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
        for report in self._reports:
            source.need(report["format"])
        tries: list[_Try] = []
        while not tries or (len(tries) <= int(self.args.get("retries") or 0) and self._pays(tries)):
            if tries:
                why = tries[-1].broken or f"{_merged(tries).bad} tests failed"
                self.log(f"try {len(tries)}: {self._clean(why)}; trying again")
            tries.append(self._try(len(tries) + 1, tries))
        return self._judged(tries)

    def kill(self) -> None:
        """End the command with all that it started, and try no more."""
        self._killed = True
        if self._command is not None:
            self._command.kill()

    @property
    def _reports(self) -> list[Mapping[str, Any]]:
        return list(self.args.get("reports") or ())

    def _try(self, number: int, earlier: list[_Try]) -> _Try:
        self._make_room()
        failed = self.scratch / "failed-tests.txt"
        # A try that broke off may not have come to most of its tests: then all of them are to run.
        whole = any(not ended.broken for ended in earlier)
        names = [case.name for case in _merged(earlier).cases if case.state in junit.BAD] if whole else []
        failed.write_text("".join(f"{' '.join(name.split())}\n" for name in names), encoding="utf-8")
        self._command = Command(
            argv=self.args["command"],
            cwd=self.folder,
            variables={
                **self.variables,
                "RELMAN_ATTEMPT": str(number),
                "RELMAN_FAILED_TESTS": str(failed),
            },
            timeout_s=self.args["timeout_s"],
            log=self.log,
        )
        since, began = time.time(), time.monotonic()
        result = self._command.run()
        ended = _Try(result, since, time.monotonic() - began)
        if self.args.get("junit"):
            try:
                ended.report = junit.read(self.folder / self.args["junit"], since)
            except ClientRejected as error:
                ended.broken = str(error)
        for report in self._reports:
            found = gates.examine(report["kind"], report, self.folder, since, self.before)
            ended.readings[report["kind"]] = found
            if not found.whole:
                ended.broken = ended.broken or f"{report['kind']}: {found.reason}"
        if result.timed_out:
            ended.broken = f"took longer than {self.args['timeout_s']:g} s and was stopped"
        elif result.code < 0 or result.code > SHELL_SIGNALS:
            # A shell says of a program that a signal ended: 128 and the signal's number.
            number = -result.code if result.code < 0 else result.code - SHELL_SIGNALS
            ended.broken = f"was ended by {_signal(number)}"
        elif result.code and not ended.broken and not ended.readings and not _bad(ended):
            ended.broken = f"the report is green, but the command ended with exit code {result.code}"
        return ended

    def _make_room(self) -> None:
        """Remove the reports of an earlier try, or that came with the artifact; make their folders."""
        home = self.folder.resolve()
        for name in (self.args.get("junit"), *(report["path"] for report in self._reports)):
            if not name:
                continue
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

    def _pays(self, tries: list[_Try]) -> bool:
        """Say whether another try may turn out better: tests failed, or the last one broke off.

        What was measured and missed its limit is not measured until it pleases, nor beside a failed test.
        """
        if self._killed or any(found.whole and not found.passed for found in tries[-1].readings.values()):
            return False
        return bool(tries[-1].broken) or _merged(tries).bad > int(self.args["max_failures"])

    def _judged(self, tries: list[_Try]) -> SuiteResult:
        last, report = tries[-1], _merged(tries)
        breaks = [t.broken for t in tries[:-1] if t.broken]
        if breaks:
            lost = tuple(NamedTest(name=WHOLE, message=self._clean(why)) for why in breaks)
            flaky = (*lost, *report.flaky)
            report = report.model_copy(update={"flakes": report.flakes + len(lost), "flaky": flaky})
        passed, reason = self._verdict(last, report)
        data = report.model_dump(mode="json", exclude={"failed", "flaky"}) | {
            "suite": self.args["suite"],
            "passed": passed,
            "reason": self._clean(reason),
            "tries": len(tries),
            "took": round(sum(t.seconds for t in tries), 3),
            "failed": self._named(report.failed),
            "flaky": self._named(report.flaky),
            "reports": [
                {"kind": kind, "passed": found.passed, "reason": self._clean(found.reason), **found.data}
                for kind, found in last.readings.items()
            ],
        }
        if last.report is None:
            data["seconds"] = data["took"]
        scan = last.readings.get("findings")
        return SuiteResult(
            passed=passed,
            reason=data["reason"],
            tail=self._clean(last.result.tail),
            data=data,
            fingerprints=scan.remembered.get("fingerprints") if scan else None,
        )

    def _verdict(self, last: _Try, report: SuiteReport) -> tuple[bool, str]:
        if last.broken:
            return False, last.broken
        readings = last.readings
        told: list[str] = []
        if last.report is not None:
            # With no other report there is no other proof that anything ran.
            least = int(self.args["min_tests"]) if readings else max(1, int(self.args["min_tests"]))
            passed, reason = report.verdict(
                min_tests=least,
                max_failures=self.args["max_failures"],
                max_skipped=self.args.get("max_skipped"),
                max_flaky=self.args.get("max_flaky"),
            )
            if not passed:
                return False, reason
            told.append(reason)
        elif not readings:
            return False, "the plan names no report, and an exit code proves nothing"
        elif self.args.get("max_flaky") is not None and report.flakes > self.args["max_flaky"]:
            return False, f"{report.flakes} tries broke off; at most {self.args['max_flaky']} may"
        for kind, found in readings.items():
            if not found.passed:
                return False, f"{kind}: {found.reason}"
            told.append(f"{kind}: {found.reason}")
        code = last.result.code
        if code and code not in _tolerable(last):
            return False, f"the reports are green, but the command ended with exit code {code}"
        most = self.args.get("max_duration_s")
        if most is not None and last.seconds > most:
            return (
                False,
                f"{'; '.join(told)}; it took {last.seconds:.1f} s, at most {most:g} s are acceptable",
            )
        return True, "; ".join(told)

    def _named(self, tests: tuple[NamedTest, ...]) -> list[dict[str, str]]:
        return [{"name": self._clean(t.name), "message": self._clean(t.message)} for t in tests[:NAMES_KEPT]]

    def _clean(self, text: str) -> str:
        """Return the text without the folders of this run: nobody can look there afterwards."""
        for folder in (self.folder, self.folder.resolve(), self.scratch, self.scratch.resolve()):
            text = text.replace(f"{folder}/", "").replace(str(folder), ".")
        return text


def _merged(tries: list[_Try]) -> SuiteReport:
    return merged([t.report for t in tries if t.report is not None])


def _tolerable(last: _Try) -> Collection[int]:
    """Return the exit codes by which a command says no more than its reports do.

    Test runners end with 1 for failed tests, or with their number. A scanner or a load tool that says what is
    tolerated ends with 1 or a code of its own; where its report is the suite's only one, nobody else can have
    ended so. Beside other reports only 1 is its: any other may be what a runner says of itself (pytest's 3).
    From 126 on it is the system that speaks: not found, not executable, killed by a signal.
    """
    blemished = any(found.blemished for found in last.readings.values())
    if blemished and last.report is None and len(last.readings) == 1:
        return range(1, 126)
    codes = {1} if blemished else set()
    if last.report is not None and last.report.bad > 0:
        codes |= {1, last.report.failures + last.report.errors}
    return codes


def _bad(one: _Try) -> bool:
    return one.report is not None and one.report.bad > 0


def _signal(number: int) -> str:
    try:
        return f"signal {number} ({Signals(number).name})"
    except ValueError:
        return f"signal {number}"

"""The tries of a suite: whether another one pays, and what all of them come to. Without Airflow.

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
class Try:
    """One run of a suite's command."""

    code: int
    tail: str
    """The last lines that it printed."""
    seconds: float
    report: SuiteReport | None = None
    readings: dict[str, Reading] = field(default_factory=dict)
    """Of the reports beside the tests, by kind."""
    broken: str = ""
    """Why it broke off; empty when it ended by itself with a report."""


@dataclass
class Tries:
    """The tries of one suite so far."""

    args: Mapping[str, Any]
    """Of the suite's step in the plan. Keys that an older plan lacks have their defaults."""
    before: Before | None = None
    """What the latest release that succeeded recorded of this suite."""
    clean: Callable[[str], str] = str
    """Takes out of a text what means nothing once the run is over."""
    all: list[Try] = field(default_factory=list)
    """Oldest first."""

    def need(self) -> None:
        """Raise ClientRejected when a library that one of the reports needs is not installed."""
        for report in self._reports:
            source.need(report["format"])

    @property
    def files(self) -> list[str]:
        """Paths of the reports, as the plan has them."""
        named = (self.args.get("junit"), *(report["path"] for report in self._reports))
        return [name for name in named if name]

    def ended(
        self, code: int, tail: str, seconds: float, folder: Path, since: float | None, stopped: str = ""
    ) -> None:
        """Take in a try that has ended.

        Args:
            code: its exit code; negative when a signal ended it.
            tail: the last lines that it printed.
            seconds: how long it took.
            folder: where its reports are.
            since: when it began, in seconds since the epoch: an older report is another run's.
            stopped: why it did not end by itself; empty when it did.
        """
        one = Try(code, tail, seconds)
        if self.args.get("junit"):
            try:
                one.report = junit.read(folder / self.args["junit"], since)
            except ClientRejected as error:
                one.broken = str(error)
        for report in self._reports:
            found = gates.examine(report["kind"], report, folder, since, self.before)
            one.readings[report["kind"]] = found
            if not found.whole:
                one.broken = one.broken or f"{report['kind']}: {found.reason}"
        if stopped:
            one.broken = stopped
        elif code < 0 or code > SHELL_SIGNALS:
            # A shell says of a program that a signal ended: 128 and the signal's number.
            one.broken = f"was ended by {_signal(-code if code < 0 else code - SHELL_SIGNALS)}"
        elif code and not one.broken and not one.readings and not _bad(one):
            one.broken = f"the report is green, but the command ended with exit code {code}"
        self.all.append(one)

    def failed(self) -> list[str]:
        """Return the names of the tests that the next try may restrict itself to; none: all of them."""
        # A try that broke off may not have come to most of its tests: then all of them are to run.
        if any(one.broken for one in self.all):
            return []
        return [case.name for case in _merged(self.all).cases if case.state in junit.BAD]

    def why(self) -> str:
        """Say why there is to be another try."""
        return self.clean(self.all[-1].broken or f"{_merged(self.all).bad} tests failed")

    def another(self) -> bool:
        """Say whether there is to be a try more: the first, or one that may turn out better.

        One may when tests failed, or the last one broke off. What was measured and missed its limit is not
        measured until it pleases, nor beside a failed test.
        """
        if not self.all:
            return True
        last = self.all[-1]
        if len(self.all) > int(self.args.get("retries") or 0):
            return False
        if any(found.whole and not found.passed for found in last.readings.values()):
            return False
        return bool(last.broken) or _merged(self.all).bad > int(self.args["max_failures"])

    @property
    def _reports(self) -> list[Mapping[str, Any]]:
        return list(self.args.get("reports") or ())

    def judged(self) -> SuiteResult:
        """Return what all tries came to."""
        tries = self.all
        last, report = tries[-1], _merged(tries)
        breaks = [t.broken for t in tries[:-1] if t.broken]
        if breaks:
            lost = tuple(NamedTest(name=WHOLE, message=self.clean(why)) for why in breaks)
            flaky = (*lost, *report.flaky)
            report = report.model_copy(update={"flakes": report.flakes + len(lost), "flaky": flaky})
        passed, reason = self._verdict(last, report)
        data = report.model_dump(mode="json", exclude={"failed", "flaky"}) | {
            "suite": self.args["suite"],
            "passed": passed,
            "reason": self.clean(reason),
            "tries": len(tries),
            "took": round(sum(t.seconds for t in tries), 3),
            "failed": self._named(report.failed),
            "flaky": self._named(report.flaky),
            "reports": [
                {"kind": kind, "passed": found.passed, "reason": self.clean(found.reason), **found.data}
                for kind, found in last.readings.items()
            ],
        }
        if last.report is None:
            data["seconds"] = data["took"]
        scan = last.readings.get("findings")
        return SuiteResult(
            passed=passed,
            reason=data["reason"],
            tail=self.clean(last.tail),
            data=data,
            fingerprints=scan.remembered.get("fingerprints") if scan else None,
        )

    def _verdict(self, last: Try, report: SuiteReport) -> tuple[bool, str]:
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
        code = last.code
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
        return [{"name": self.clean(t.name), "message": self.clean(t.message)} for t in tests[:NAMES_KEPT]]


def _merged(tries: list[Try]) -> SuiteReport:
    return merged([t.report for t in tries if t.report is not None])


def _tolerable(last: Try) -> Collection[int]:
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


def _bad(one: Try) -> bool:
    return one.report is not None and one.report.bad > 0


def _signal(number: int) -> str:
    try:
        return f"signal {number} ({Signals(number).name})"
    except ValueError:
        return f"signal {number}"

"""Suites as their step runs them: real commands in the real artifact, a real ledger, a real sandbox."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from relman_plugins.domain.event import Kind
from relman_plugins.domain.status import Outcome
from relman_plugins.steps.subjects import body_of
from tests.steps import world as worlds
from tests.steps.world import Release, World
from tests.waiting import eventually

SUITE = "staging.one"
JUNIT = {"junit": "out/one.xml"}
PRELUDE = """
import json, os, pathlib, sys
attempt = int(os.environ["RELMAN_ATTEMPT"])
failed_before = pathlib.Path(os.environ["RELMAN_FAILED_TESTS"]).read_text().splitlines()
def tests(**results):
    words = {"failed": "<failure message='no'/>", "broken": "<error message='broke'/>"}
    words |= {"skipped": "<skipped/>", "passed": ""}
    cases = "".join(f"<testcase name='{name}'>{words[said]}</testcase>" for name, said in results.items())
    pathlib.Path("out/one.xml").write_text(f"<testsuite>{cases}</testsuite>")
    return any(said in ("failed", "broken") for said in results.values())
def scan(*rules, **more):
    results = [{"ruleId": r, "level": "error", "message": {"text": "bad"}, **more} for r in rules]
    log = {"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "scan"}}, "results": results}]}
    pathlib.Path("scan.sarif").write_text(json.dumps(log))
def cover(covered, lines=100):
    da = "".join(f"DA:{n},{int(n <= covered)}\\n" for n in range(1, lines + 1))
    pathlib.Path("cov.info").write_text(f"SF:a.py\\n{da}end_of_record\\n")
def load(**metrics):
    metrics = {"http_reqs": {"count": 100}, "http_req_failed": {"passes": 0}, **metrics}
    pathlib.Path("k6.json").write_text(json.dumps({"metrics": metrics}))
"""


@pytest.fixture
def suite() -> dict[str, Any]:
    return {**JUNIT, "retries": 2}


@pytest.fixture(autouse=True)
def specs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, suite: dict[str, Any]) -> None:
    command = ["python", "-c", "import os; exec(open(os.environ['CODE']).read())"]
    one = {"command": command, "env": {"CODE": str(tmp_path / "code.py")}, **suite}
    text = worlds.SPECS["checkout.yaml"].replace(
        "  one: {command: [python, one.py], junit: one.xml}", f"  one: {json.dumps(one)}"
    )
    assert text != worlds.SPECS["checkout.yaml"]
    monkeypatch.setitem(worlds.SPECS, "checkout.yaml", text)


@pytest.fixture
def code(tmp_path: Path) -> Any:
    """Say what the suite's command does."""

    def write(text: str) -> None:
        (tmp_path / "code.py").write_text(PRELUDE + textwrap.dedent(text))

    return write


@pytest.fixture
def release(world: World) -> Release:
    world.live("1.1.0", "staging")
    return world.open().finished("open", "build", "staging.deploy")


def ended(release: Release) -> dict[str, Any]:
    """Run the suite; return what it recorded, with what the step said."""
    try:
        said = release.run(SUITE)["message"]
    except AirflowFailException as error:
        said = str(error)
    data = release.events(Kind.SUITE_FINISHED)[-1].data
    assert ("relman-suite-" in json.dumps(data) or "relman-suite-" in said) is False
    return data | {"said": said}


def test_what_passes_when_tried_again_is_green_and_recorded_as_flaky(release: Release, code: Any) -> None:
    code(
        """
        if attempt == 1:
            assert failed_before == []
            sys.exit(tests(a="passed", b="failed", c="broken"))
        assert failed_before == ["b", "c"]
        print("again", attempt)
        sys.exit(tests(b="passed", c="passed"))
        """
    )
    found = ended(release)
    assert found["said"] == "suite one: 3 ran, 0 failed, 0 broke, 0 skipped, 2 flaky; after 2 tries"
    assert (found["passed"], found["tests"], found["flakes"], found["tries"]) == (True, 3, 2, 2)
    assert found["flaky"] == [{"name": "b", "message": "no"}, {"name": "c", "message": "broke"}]
    assert found["failed"] == []


def test_what_fails_every_time_is_red_with_its_names(release: Release, code: Any) -> None:
    code("print('attempt', attempt); sys.exit(tests(a='passed', b='failed'))")
    found = ended(release)
    assert (found["passed"], found["tries"], found["failures"], found["flakes"]) == (False, 3, 1, 0)
    assert "1 failed, 0 broke, 0 skipped; at most 0 may fail; first: b" in found["said"]
    assert "attempt 3" in found["said"]
    assert found["failed"] == [{"name": "b", "message": "no"}]


def test_what_a_broken_off_try_did_not_come_to_is_run_again(release: Release, code: Any) -> None:
    code(
        """
        if attempt == 1:
            tests(a="failed")
            sys.exit(143)
        assert failed_before == []
        sys.exit(tests(a="passed", b="failed"))
        """
    )
    found = ended(release)
    assert (found["passed"], found["tests"], found["failures"]) == (False, 2, 1)
    assert {"name": "(the whole suite)", "message": "was ended by signal 15 (SIGTERM)"} in found["flaky"]


def test_a_green_suite_runs_once(release: Release, code: Any) -> None:
    code("assert attempt == 1; tests(a='passed')")
    assert ended(release)["said"] == "suite one: 1 ran, 0 failed, 0 broke, 0 skipped"


@pytest.mark.parametrize("suite", [{**JUNIT, "retries": 1, "max_flaky": 0}])
@pytest.mark.parametrize(
    ("first", "name", "message"),
    [
        ("sys.exit(tests(a='failed'))", "a", "no"),
        ("os.kill(os.getpid(), 9)", "(the whole suite)", "was ended by signal 9 (SIGKILL)"),
        (
            "tests(a='passed'); sys.exit(3)",
            "(the whole suite)",
            "the report is green, but the command ended with exit code 3",
        ),
    ],
)
def test_flakiness_has_its_limit_and_a_try_that_broke_off_counts(
    release: Release, code: Any, first: str, name: str, message: str
) -> None:
    code(f"if attempt == 1: {first}\nelse: tests(a='passed')")
    found = ended(release)
    assert (found["passed"], found["tries"], found["flakes"], found["flaky"]) == (
        False, 2, 1, [{"name": name, "message": message}]
    )  # fmt: skip
    assert "at most 0 may be flaky" in found["reason"]


@pytest.mark.parametrize("suite", [{**JUNIT, "max_failures": 3}])
@pytest.mark.parametrize(("ends", "passed"), [(0, True), (1, True), (2, True), (3, False), (127, False)])
def test_tolerated_failures_excuse_the_exit_code_that_they_have_and_no_other(
    release: Release, code: Any, ends: int, passed: bool
) -> None:
    code(f"tests(a='failed', b='failed', c='passed'); sys.exit({ends})")
    found = ended(release)
    assert found["passed"] is passed
    assert passed or f"exit code {ends}" in found["reason"]


def test_an_old_report_is_never_read_again(release: Release, code: Any) -> None:
    code("if attempt == 1: tests(a='passed'); sys.exit(1)")
    found = ended(release)
    assert (found["passed"], found["tries"], found["flakes"]) == (False, 3, 2)
    assert "out/one.xml is not a file" in found["reason"]


def test_a_try_that_broke_off_at_last_is_red_whatever_was_seen_before(release: Release, code: Any) -> None:
    code("if attempt == 1: sys.exit(tests(a='failed', b='passed'))\nos.kill(os.getpid(), 9)")
    found = ended(release)
    assert (found["passed"], found["tries"]) == (False, 3)
    assert found["reason"] == "was ended by signal 9 (SIGKILL)"
    assert (found["tests"], found["failures"]) == (2, 1)


@pytest.mark.parametrize("suite", [{**JUNIT, "timeout": "1s", "retries": 1}])
def test_a_try_that_hangs_is_stopped_and_tried_again(release: Release, code: Any) -> None:
    code("import signal\nif attempt == 1: signal.pause()\ntests(a='passed')")
    found = ended(release)
    assert (found["passed"], found["tries"], found["flakes"]) == (True, 2, 1)
    assert found["flaky"][0]["message"] == "took longer than 1 s and was stopped"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pass", "out/one.xml is not a file; check its path in the suite"),
        ("tests()", "0 ran, 0 failed, 0 broke, 0 skipped; at least 1 must run"),
        ("tests(a='skipped', b='passed', c='skipped')", "2 skipped; at most 1 may be skipped"),
        ("tests(a='passed'); pathlib.Path('out/one.xml').write_text('<testsuite><te')", "is not whole XML"),
        ("tests(a='passed'); os.utime('out/one.xml', (1, 1))", "is older than this run"),
        # The suite itself takes longer than it may: that is what is tried.
        ("tests(a='passed'); import time; time.sleep(1.2)", "at most 1 s are acceptable"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("suite", [{**JUNIT, "min_tests": 0, "max_skipped": 1, "max_duration": "1s"}])
def test_limits_and_reports_that_cannot_be_read_are_red(
    release: Release, code: Any, text: str, said: str
) -> None:
    code(text)
    found = ended(release)
    assert not found["passed"]
    assert said in found["reason"]


@pytest.mark.parametrize(
    "suite",
    [
        {
            **JUNIT,
            "max_failures": 2,
            "coverage": {"lcov": "cov.info", "min_line": "80%", "max_drop": "5%"},
            "findings": {"sarif": "scan.sarif"},
            "load": {"k6": "k6.json", "max_p95": "300ms"},
        }
    ],
)
class TestReports:
    GOOD = "tests(a='passed', b='passed'); cover(90); scan(); load(http_req_duration={'p(95)': 250})"

    def test_every_report_is_a_gate_and_told(self, release: Release, code: Any) -> None:
        code(self.GOOD)
        found = ended(release)
        assert found["passed"]
        assert [(r["kind"], r["passed"], r["reason"]) for r in found["reports"]] == [
            ("coverage", True, "90 % of 100 lines covered"),
            ("findings", True, "no findings; 0 new"),
            ("load", True, "100 requests, 0 % failed, p95 250.0 ms"),
        ]
        totals = release.world.ledger.status(release.id).suites[0]
        assert totals.reports[0] == "coverage: 90 % of 100 lines covered"

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("cover(79)", "coverage: 79 % of 100 lines covered; at least 80 % of the lines must be covered"),
            ("cover(0)", "coverage: 0 % of 100 lines covered; no line ran, so nothing was tested"),
            ("os.remove('cov.info')", "coverage: the LCOV report cov.info is not a file"),
            ("pathlib.Path('cov.info').write_text('SF:a')", "coverage: the LCOV report cov.info is not a wh"),
            ("scan('R1')", "findings: 1 high; 1 new; at most 0 new high acceptable; first: R1 in (no file)"),
            ("load(http_req_duration={'p(95)': 301})", "0 % failed, p95 301.0 ms; p95 may be at most"),
            ("load(x={'thresholds': {'rate<1': True}})", "k6's threshold x: rate<1 failed"),
            ("sys.exit(99)", "the reports are green, but the command ended with exit code 99"),
        ],
    )  # fmt: skip
    def test_a_report_that_misses_its_limit_or_is_broken_is_red(
        self, release: Release, code: Any, text: str, said: str
    ) -> None:
        code(f"{self.GOOD}\n{text}")
        found = ended(release)
        assert not found["passed"]
        assert said in found["reason"]

    @pytest.mark.parametrize(
        ("results", "ends", "passed"),
        [
            ("a='passed'", 1, True),
            ("a='passed'", 2, False),
            ("a='passed'", 3, False),
            ("a='passed'", 125, False),
            ("a='failed', b='failed', c='passed'", 2, True),
            ("a='failed', b='failed', c='passed'", 3, False),
        ],
    )
    def test_tolerated_findings_excuse_no_code_that_another_tool_of_the_suite_may_mean(
        self, release: Release, code: Any, suite: dict[str, Any], results: str, ends: int, passed: bool
    ) -> None:
        code(f"{self.GOOD}\nscan('R1', level='note'); tests({results}); sys.exit({ends})")
        found = ended(release)
        assert found["passed"] is passed
        assert passed or f"exit code {ends}" in found["reason"]

    def test_only_findings_that_the_last_good_release_did_not_have_are_new(
        self, release: Release, code: Any, world: World
    ) -> None:
        # A release that did not succeed is nothing to compare with.
        code(f"{self.GOOD}\nscan('R1', 'R2', 'R9')")
        assert not ended(release)["passed"]
        release.says(Kind.RELEASE_CLOSED, outcome=Outcome.FAILED.value, reason="")
        second = world.open("1.2.0", "run-2").finished("open", "build", "staging.deploy")
        code(f"{self.GOOD}\nscan('R1', level='note')")
        first_good = ended(second)
        assert first_good["passed"]
        assert first_good["reports"][1]["compared_with"] is None
        second.says(Kind.RELEASE_CLOSED, outcome=Outcome.SUCCEEDED.value, reason="")
        third = world.open("1.3.0", "run-3").finished("open", "build", "staging.deploy")
        code(f"{self.GOOD}\nscan('R1'); cover(86)")
        found = ended(third)
        assert found["passed"], found["reason"]
        assert found["reports"][1]["reason"] == "1 high; 0 new"
        assert found["reports"][1]["compared_with"] == "1.2.0"
        assert found["reports"][0]["reason"] == "86 % of 100 lines covered, -4.00 points since 1.2.0"
        code(f"{self.GOOD}\nscan('R1', 'R2'); cover(84)")
        fourth = world.open("1.3.0", "run-4").finished("open", "build", "staging.deploy")
        worse = ended(fourth)
        assert "line coverage may drop by at most 5 points" in worse["reason"]
        assert worse["reports"][1]["new"] == {"high": 1}
        kinds = fourth.kinds(SUITE)
        assert kinds.index(Kind.FINDINGS_RECORDED) < kinds.index(Kind.SUITE_FINISHED)


@pytest.mark.parametrize("suite", [{"findings": {"sarif": "scan.sarif"}}])
@pytest.mark.parametrize(("ends", "passed"), [(1, True), (15, True), (125, True), (126, False)])
def test_a_scanner_alone_ends_as_it_likes_while_its_findings_are_tolerated(
    release: Release, code: Any, ends: int, passed: bool
) -> None:
    code(f"scan('R1', level='note'); sys.exit({ends})")
    assert ended(release)["passed"] is passed
    code(f"scan(); sys.exit({ends})")
    again = ended(release.world.open("1.2.0", "run-2").finished("open", "build", "staging.deploy"))
    assert not again["passed"]


@pytest.mark.parametrize("suite", [{"load": {"k6": "k6.json"}, "retries": 1}])
def test_a_measurement_is_not_repeated_until_it_pleases_but_a_lost_one_is(
    release: Release, code: Any
) -> None:
    code("load(x={'thresholds': {'rate<1': attempt == 1}}); print('attempt', attempt)")
    found = ended(release)
    assert (found["passed"], found["tries"]) == (False, 1)
    code("if attempt == 2: load()")
    again = ended(release.world.open("1.2.0", "run-2").finished("open", "build", "staging.deploy"))
    assert (again["passed"], again["tries"], again["flakes"], again["tests"]) == (True, 2, 1, 0)


def test_people_see_totals_and_names_before_they_approve(
    release: Release, code: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    code("sys.exit(tests(a='passed', **{'b_*x*': 'failed' if attempt == 1 else 'passed'}))")
    assert ended(release)["passed"]
    release.finished("staging.two")
    release.run("production.approval")
    gate = release.world.ledger.votes.gate(release.id, "production.approval")
    assert gate is not None
    assert gate.subject["tests"] == [
        {
            "step": SUITE, "suite": "one", "tests": 2, "failures": 0, "skipped": 0,
            "flaky": ["b_*x*"], "flakes": 1,
        }
    ]  # fmt: skip
    run = release.task("production.approval").start(release.context("production.approval"))
    body = body_of(run, gate, gate.people, 1)
    assert "| 2 tests, 0 failed, 0 skipped, 1 flaky |" in body
    assert r"- flaky in `staging.one`: b\_\*x\*" in body


@pytest.mark.parametrize("suite", [{**JUNIT, "max_failures": 1}])
def test_people_see_what_failed_in_a_green_suite_before_they_approve(release: Release, code: Any) -> None:
    code("tests(a='passed', **{'b_*x*': 'failed'})")
    assert ended(release)["passed"]
    release.finished("staging.two")
    release.run("production.approval")
    gate = release.world.ledger.votes.gate(release.id, "production.approval")
    assert gate is not None
    assert gate.subject["tests"][0]["failed"] == ["b_*x*"]
    run = release.task("production.approval").start(release.context("production.approval"))
    assert r"- failed in `staging.one`: b\_\*x\*" in body_of(run, gate, gate.people, 1)


def test_killed_with_the_task_the_suite_is_not_tried_again(
    release: Release, code: Any, tmp_path: Path
) -> None:
    import threading

    code(f"pathlib.Path({str(tmp_path / 'began')!r}).write_text(str(attempt)); import signal; signal.pause()")
    task = release.task(SUITE)
    thread = threading.Thread(target=lambda: release._caught(lambda: _quietly(task, release)))
    thread.start()
    eventually((tmp_path / "began").exists, "the suite began")
    task.on_kill()
    thread.join(30)
    assert not thread.is_alive()
    assert (tmp_path / "began").read_text() == "1"


def _quietly(task: Any, release: Release) -> None:
    with pytest.raises(AirflowFailException):
        task.execute(release.context(SUITE))

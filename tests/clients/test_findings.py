"""Scanners' findings: by severity, suppressed ones apart, and only the new ones held against limits."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from relman_plugins.clients.reports import sarif
from relman_plugins.clients.reports.findings import MAX_FINDINGS, Severity, judge
from relman_plugins.clients.reports.reading import Before
from relman_plugins.errors import ClientRejected


def log(*results: dict[str, Any], rules: Any = (), run: dict[str, Any] | None = None) -> bytes:
    tool = {"driver": {"name": "scan", "rules": list(rules)}}
    runs = [{"tool": tool, "results": list(results)} | (run or {})]
    return json.dumps({"version": "2.1.0", "runs": runs}).encode()


def result(rule: str = "R1", file: str = "a.py", line: int = 3, **more: Any) -> dict[str, Any]:
    place = {"artifactLocation": {"uri": file}, "region": {"startLine": line}}
    return {
        "ruleId": rule,
        "message": {"text": f"{rule} is bad"},
        "locations": [{"physicalLocation": place}],
    } | more


def test_what_ruff_writes_is_the_same_wherever_it_ran(tmp_path: Path) -> None:
    prints = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "shop.py").write_text("import os\nx = eval('1')\n")
        command = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--select=S,F"]
        command += ["--output-format=sarif", "--output-file=out.sarif", "."]
        subprocess.run(command, cwd=folder, check=False, capture_output=True)
        found = sarif.read(folder / "out.sarif", root=folder).found
        assert [(f.rule, f.where, f.severity) for f in found] == [
            ("F401", "shop.py:1", Severity.HIGH),
            ("S307", "shop.py:2", Severity.HIGH),
        ]
        prints.append([f.fingerprint for f in found])
    assert prints[0] == prints[1]


def test_severity_is_the_rules_score_then_the_level() -> None:
    rules = [
        {"id": "A", "properties": {"security-severity": "9.8"}},
        {"id": "B", "properties": {"security-severity": "7.0"}},
        {"id": "C", "defaultConfiguration": {"level": "error"}},
        {"id": "D"},
    ]
    found = sarif.read(
        log(
            result("A", level="note"),
            result("B"),
            result("C"),
            result("D"),
            result("D", level="note"),
            result("D", properties={"security-severity": 4.0}),
            result("A/variant"),
            rules=rules,
        )
    ).found
    assert [str(f.severity) for f in found] == [
        "critical", "high", "high", "medium", "low", "medium", "critical",
    ]  # fmt: skip


def test_suppressed_and_passed_results_are_held_against_nothing() -> None:
    report = sarif.read(
        log(
            result(suppressions=[{"kind": "inSource"}]),
            result(suppressions=[{"kind": "external", "status": "accepted"}]),
            result(suppressions=[{"kind": "external", "status": "underReview"}]),
            result(kind="pass"),
            result(baselineState="absent"),
        )
    )
    assert (len(report.found), report.suppressed) == (1, 2)


def test_only_what_the_release_before_did_not_have_is_new() -> None:
    old = sarif.read(log(result(line=3), result("R2")))
    # Lines move; a second one of the same kind in the same file is another finding.
    now = sarif.read(log(result(line=30), result(line=40), result("R3", level="error")))
    before = Before(version="1.0", release_id="r", fingerprints=frozenset(f.fingerprint for f in old.found))
    limits = {"new_only": True, "max": {"critical": 0, "high": 0, "medium": 1, "low": None}}
    reading = judge(now, limits, before)
    assert reading.data["new"] == {"high": 1, "medium": 1}
    assert not reading.passed
    assert reading.reason == ("1 high, 2 medium; 2 new; at most 0 new high acceptable; first: R3 in a.py:3")
    assert judge(now, limits | {"max": {"high": 1, "medium": 1}}, before).passed
    assert not judge(now, limits | {"max": {"high": 1, "medium": 1}, "new_only": False}, before).passed
    # Without a release to compare with, everything is new.
    assert judge(now, limits, None).data["new"] == {"high": 1, "medium": 2}
    assert judge(now, limits, None).data["compared_with"] is None


def test_the_scanners_own_baseline_outranks_ours() -> None:
    report = sarif.read(log(result(baselineState="unchanged", level="error"), result("R2")))
    reading = judge(report, {"new_only": True, "max": {"high": 0}}, None)
    assert reading.passed
    assert reading.data["new"] == {"medium": 1}


def test_nothing_found_is_a_good_report() -> None:
    reading = judge(sarif.read(log()), {"max": {"critical": 0, "high": 0}}, None)
    assert (reading.passed, reading.reason, reading.blemished) == (True, "no findings; 0 new", False)


REFUSED = {
    "no runs": (b'{"version": "2.1.0", "runs": []}', "no tool has looked"),
    "another version": (b'{"version": "1.0.0", "runs": []}', "is SARIF 1.0.0"),
    "no results": (log(run={"results": None}), "did not look, or did not finish"),
    "a broken run": (log(run={"invocations": [{"executionSuccessful": False}]}), "did not succeed"),
    "a score in words": (log(result(properties={"security-severity": "grave"})), "cannot be judged"),
    "a score of nan": (log(result(properties={"security-severity": "nan"})), "cannot be judged"),
    "a score of twenty": (log(result(properties={"security-severity": 20})), "cannot be judged"),
    "a long score": (log(result(properties={"security-severity": 10**400})), "cannot be judged"),
    "too many": (log(*([result()] * (MAX_FINDINGS + 1))), "more than 5000 findings"),
    "a list": (b"[]", "not a whole SARIF log"),
    "deep": (b'{"runs":' + b"[" * 100_000, "not a whole SARIF log"),
}


@pytest.mark.parametrize(("content", "said"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_says_why(content: bytes, said: str) -> None:
    with pytest.raises(ClientRejected, match=said):
        sarif.read(content)

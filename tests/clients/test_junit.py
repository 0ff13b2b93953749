"""Test reports: what honest tools write is read, what hostile code writes is refused, and never green."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from relman_plugins.clients.reports import junit
from relman_plugins.clients.reports.junit import NamedTest, read
from relman_plugins.errors import ClientRejected


def suite(cases: str, attributes: str = "") -> bytes:
    return f"<testsuites><testsuite {attributes}>{cases}</testsuite></testsuites>".encode()


# What pytest reports of a test that is skipped is a part of what is read here.
PYTEST = """
import pytest
def test_good(): assert sum(range(1_000_000))  # long enough for a report in milliseconds
def test_bad(): assert 1 == 2, "one is not two"
@pytest.mark.skip
def test_skipped(): pass
@pytest.fixture
def broken(): raise RuntimeError("no database")
def test_broken(broken): pass
"""


def test_what_pytest_writes(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(PYTEST)
    report = tmp_path / "report.xml"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        str(tmp_path),
        "-c",
        os.devnull,
    ]
    subprocess.run([*command, f"--junit-xml={report}"], cwd=tmp_path, check=False, capture_output=True)
    found = read(report)
    assert (found.tests, found.failures, found.errors, found.skipped, found.ran) == (4, 1, 1, 1, 3)
    assert found.seconds > 0
    assert [t.name for t in found.failed] == ["test_it.test_bad", "test_it.test_broken"]
    assert "one is not two" in found.failed[0].message
    passed, reason = found.verdict()
    assert not passed
    assert reason == "3 ran, 1 failed, 1 broke, 1 skipped; at most 0 may fail; first: test_it.test_bad"
    assert found.verdict(max_failures=2) == (True, "3 ran, 1 failed, 1 broke, 1 skipped")


def test_suites_in_suites_and_a_bare_suite() -> None:
    inner = b'<testsuite failures="1"><testcase name="a"><failure type="E"/></testcase></testsuite>'
    nested = b'<testsuites failures="1"><testsuite failures="1">' + inner + b"</testsuite></testsuites>"
    for content in (inner, nested):
        found = read(content)
        assert (found.tests, found.failures) == (1, 1)
        assert found.failed == (NamedTest(name="a", message="E"),)


@pytest.mark.parametrize("min_tests", [1, 2])
def test_too_few_tests_are_not_green(min_tests: int) -> None:
    few = "<testcase name='a'/>" * (min_tests - 1) + "<testcase name='s'><skipped/></testcase>"
    passed, reason = read(suite(few)).verdict(min_tests=min_tests)
    assert not passed
    assert f"at least {min_tests} must run" in reason
    assert read(suite(few + "<testcase name='b'/>")).verdict(min_tests=min_tests)[0]


def test_a_summary_cannot_be_greener_than_the_cases_nor_the_cases_than_the_summary() -> None:
    assert not read(suite("<testcase name='a'><failure/></testcase>", "failures='0'")).verdict()[0]
    assert not read(suite("<testcase name='a'/>", "failures='3'")).verdict()[0]
    assert not read(suite("<testcase name='a'/>", "errors='1'")).verdict()[0]


BOMB = b"""<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>"""
HOSTILE = {
    "entities": (BOMB + suite("<testcase name='&b;'/>"), "document type or entities"),
    "document type": (b"<!DOCTYPE testsuites>" + suite("<testcase/>"), "document type or entities"),
    "external": (
        b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><testsuites/>',
        "document type or entities",
    ),
    "deep": (b"<testsuites>" + b"<testsuite>" * 100_000, "nested deeper than 64"),
    "far too many": (b"<testsuite>" + b"<a/>" * 300_001 + b"</testsuite>", "more than 300,000 elements"),
    "cut off": (suite("<testcase name='a'/>")[:-5], "not whole XML"),
    "empty": (b"", "is empty"),
    "blank": (b" \n", "is empty"),
    "not xml": (b"1 passed in 0.01s", "not whole XML"),
    "html": (b"<html><body/></html>", "its root is <html>"),
    "namespace": (b'<t:testsuites xmlns:t="x"/>', "its root is <{x}testsuites>"),
    "count": (suite("<testcase name='a'/>", "failures='none'"), "not a number"),
    "time": (suite("<testcase name='a' time='soon'/>"), "not a number"),
    "endless time": (suite("<testcase name='a' time='inf'/>"), "not a number"),
    "negative time": (suite("<testcase name='a' time='-1'/>"), "not a number"),
    "encoding": (b'<?xml version="1.0" encoding="nonsense"?><testsuites/>', "cannot be read"),
    "bytes": (b"<testsuites>\xff\xfe</testsuites>", "not whole XML"),
}


@pytest.mark.parametrize(("content", "said"), HOSTILE.values(), ids=HOSTILE)
def test_what_is_refused_says_why(tmp_path: Path, content: bytes, said: str) -> None:
    report = tmp_path / "report.xml"
    report.write_bytes(content)
    for source in (content, report):
        with pytest.raises(ClientRejected, match=said):
            read(source)


def test_an_oversized_report_is_refused_without_being_read_whole(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    with report.open("wb") as file:
        file.truncate(junit.MAX_BYTES * 20)
    with pytest.raises(ClientRejected, match="larger than 50 MB"):
        read(report)


def test_no_file_is_not_green(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("absent.xml", "pipe", "."):
        with pytest.raises(ClientRejected, match="is not a file; check its path"):
            read(tmp_path / name)


def test_hundreds_of_failures_are_counted_all_and_named_up_to_a_limit() -> None:
    case = "<testcase name='{}'><failure message='" + "x" * 5000 + "'/></testcase>"
    found = read(suite("".join(case.format(i) for i in range(700))))
    assert (found.failures, len(found.failed)) == (700, junit.MAX_FAILED)
    assert len(found.failed[0].message) == junit.MAX_TEXT

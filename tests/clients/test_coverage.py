"""Coverage: what real tools wrote is counted line by line, and no rounding helps it over a limit."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman_plugins.clients.reports import cobertura, lcov
from relman_plugins.clients.reports.coverage import Coverage, judge
from relman_plugins.clients.reports.reading import Before, percent
from relman_plugins.errors import ClientRejected

WRITTEN = Path(__file__).parent / "written"


def test_what_coverage_py_writes_is_the_same_in_both_formats() -> None:
    expected = Coverage(lines=8, covered_lines=5, branches=4, covered_branches=2)
    assert cobertura.read(WRITTEN / "cobertura.xml") == expected
    assert lcov.read(WRITTEN / "lcov.info") == expected
    assert (expected.line, expected.branch) == (Fraction("62.5"), Fraction(50))


def xml(lines: str, attributes: str = "") -> bytes:
    inner = f'<class filename="a.py"><lines>{lines}</lines></class>'
    return f"<coverage {attributes}><packages><package><classes>{inner}</classes></package></packages></coverage>".encode()  # noqa: E501


def test_the_summary_can_only_lower_what_the_lines_say() -> None:
    lines = '<line number="1" hits="1"/><line number="2" hits="0"/>'
    assert cobertura.read(xml(lines)).covered_lines == 1
    assert cobertura.read(xml(lines, 'line-rate="1.0"')).covered_lines == 1
    assert cobertura.read(xml(lines, 'line-rate="0.1"')).covered_lines == 0


def test_a_line_in_two_classes_counts_once_and_a_document_type_is_not_fetched() -> None:
    again = xml('<line number="1" hits="0"/><line number="1" hits="3"/>')
    assert cobertura.read(b"<!DOCTYPE coverage SYSTEM 'http://192.0.2.1/x.dtd'>" + again) == Coverage(
        lines=1, covered_lines=1
    )


def test_a_file_in_two_records_counts_once() -> None:
    record = "TN:{}\nSF:a.c\nDA:1,{}\nDA:2,0\nend_of_record\n"
    text = record.format("one", 0) + record.format("two", 4)
    assert lcov.read(text.encode()) == Coverage(lines=2, covered_lines=1)


REFUSED = {
    "another root": (cobertura, b"<report/>", "its root is <report>"),
    "no lines": (cobertura, b"<coverage/>", "nothing was measured"),
    "negative": (cobertura, xml('<line number="1" hits="-1"/>'), "-1 hits"),
    "no number": (cobertura, xml('<line number="x" hits="1"/>'), "cannot be counted"),
    "nan": (cobertura, xml('<line number="1" hits="1"/>', 'line-rate="nan"'), "a rate of nan"),
    "rate of two": (cobertura, xml('<line number="1" hits="1"/>', 'branch-rate="2"'), "a rate of 2"),
    "conditions": (
        cobertura,
        xml('<line number="1" hits="1" condition-coverage="150% (3/2)"/>'),
        "3 of 2 branches",
    ),
    "an endless digit": (cobertura, xml(f'<line number="1" hits="{"9" * 5000}"/>'), "cannot be counted"),
    "no end": (lcov, b"SF:a.c\nDA:1,1\n", "ends without end_of_record"),
    "no file": (lcov, b"DA:1,1\nend_of_record\n", "not of exactly one file"),
    "two files": (lcov, b"SF:a\nSF:b\nDA:1,1\nend_of_record\n", "not of exactly one file"),
    "nothing measured": (lcov, b"SF:a.c\nend_of_record\n", "nothing was measured"),
    "negative hits": (lcov, b"SF:a.c\nDA:1,-1\nend_of_record\n", "-1 hits"),
    "hits in words": (lcov, b"SF:a.c\nDA:1,often\nend_of_record\n", "not a whole LCOV tracefile"),
    "half a line": (lcov, b"SF:a.c\nDA:1\nend_of_record\n", "not a whole LCOV tracefile"),
    "bytes": (lcov, b"SF:\xff\xfe\nend_of_record\n", "not UTF-8"),
}


@pytest.mark.parametrize(("reader", "content", "said"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_says_why(reader: object, content: bytes, said: str) -> None:
    with pytest.raises(ClientRejected, match=said):
        reader.read(content)  # type: ignore[attr-defined]


def test_limits_are_inclusive_and_exact() -> None:
    third = Coverage(lines=3, covered_lines=2)
    assert judge(third, {"min_line": 66.66}, None).passed
    missed = judge(third, {"min_line": 66.67}, None)
    assert not missed.passed
    assert missed.reason == "66.66 % of 3 lines covered; at least 66.67 % of the lines must be covered"
    assert judge(Coverage(lines=1000, covered_lines=1), {"min_line": 0.1}, None).passed
    assert "has no branches" in judge(third, {"min_branch": 0.0}, None).reason
    half = Coverage(lines=1, covered_lines=1, branches=2, covered_branches=1)
    assert judge(half, {"min_branch": 50.0}, None).passed
    assert not judge(half, {"min_branch": 50.01}, None).passed


def test_a_drop_is_held_against_the_latest_release_that_succeeded() -> None:
    before = Before(version="1.0", release_id="r", coverage={"lines": 10, "covered_lines": 9})
    now = Coverage(lines=10, covered_lines=8)
    assert judge(now, {"max_drop": 10.0}, before).passed
    fell = judge(now, {"max_drop": 9.99}, before)
    assert not fell.passed
    assert "-10.00 points since 1.0; line coverage may drop by at most 9.99 points" in fell.reason
    assert fell.data["change"] == -10.0
    assert judge(now, {"max_drop": 0.0}, None).passed
    assert judge(now, {"max_drop": 0.0}, before.model_copy(update={"coverage": {"lines": 0}})).passed


@given(st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))))
def test_a_percentage_never_looks_better_than_it_is(counts: tuple[int, int]) -> None:
    lines, covered = counts
    share = Fraction(100 * covered, lines)
    written = Fraction(percent(float(share)).removesuffix(" %"))
    assert written <= share + Fraction(1, 10**6)
    assert (written == 100) == (covered == lines) or share > Fraction("99.99999")
    assert Fraction(percent(float(share), up=True).removesuffix(" %")) >= share - Fraction(1, 10**6)

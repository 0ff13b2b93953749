"""Lines of a log come once and in order, whatever a node's clock calls its zone, however many there are."""

from __future__ import annotations

from relman_plugins.platforms.kubernetes.log_lines import LOG_BYTES, new_lines


def test_what_was_seen_is_not_seen_again() -> None:
    first = "2026-11-26T10:00:00.1Z one\n2026-11-26T10:00:00.12Z two\n"
    lines, after = new_lines(first, "")
    assert (lines, after) == (["one", "two"], "2026-11-26T10:00:00.120000000")
    assert new_lines(f"{first}2026-11-26T10:00:00.120000001Z three\n", after)[0] == ["three"]


def test_a_nodes_own_zone_is_told_in_utc() -> None:
    lines, after = new_lines("2026-11-26T12:30:00.5+02:30 here\n", "2026-11-26T10:00:00.400000000")
    assert (lines, after) == (["here"], "2026-11-26T10:00:00.500000000")


def test_what_has_no_time_is_no_line() -> None:
    assert new_lines("no time\n9999-99-99T99:99:99Z x\n\n", "") == ([], "")


def test_a_line_that_is_cut_waits_for_the_rest() -> None:
    line = f"2026-11-26T10:00:00.1Z one\n2026-11-26T10:00:00.2Z {'x' * LOG_BYTES}"
    assert new_lines(line[:LOG_BYTES], "") == (["one"], "2026-11-26T10:00:00.100000000")


def test_lines_of_one_time_come_together() -> None:
    at = "2026-11-26T10:00:00.5Z"
    first = f"{at} one\n{at} two\n"
    lines, after = new_lines(first, "")
    assert lines == ["one", "two"]
    assert new_lines(f"{first}2026-11-26T10:00:00.6Z three\n2026-11-26T10:00:00.6Z four\n", after)[0] == [
        "three",
        "four",
    ]


def test_lines_of_one_time_that_a_piece_is_cut_in_are_all_in_the_next() -> None:
    early, late = "2026-11-26T10:00:00.1Z", "2026-11-26T10:00:01.2Z"
    text = f"{early} one\n{late} two\n{late} three\n"
    whole = f"{text}{late} {'x' * LOG_BYTES}\n"
    lines, after = new_lines(whole[:LOG_BYTES], "")
    assert lines == ["one"]
    assert new_lines(whole.partition("\n")[2][:LOG_BYTES], after)[0] == ["two", "three"]


def test_a_second_with_too_much_in_it_is_gone_past() -> None:
    text = "".join(f"2026-11-26T10:00:59.{n:09d}Z {'x' * 90}\n" for n in range(3000))[:LOG_BYTES]
    lines, after = new_lines(text, "")
    assert len(lines) > 2000
    lines, after = new_lines(text, after)
    assert lines == ["x" * 90]
    lines, after = new_lines(text, after)
    assert "are left out" in lines[0]
    assert after == "2026-11-26T10:01:00.000000000"

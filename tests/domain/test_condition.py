"""Conditions of rules: a small grammar, and what is not known leaves the rule asked for."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman_plugins.domain.condition import OPERATORS, PATTERN, Condition, ConditionError, parse
from relman_plugins.domain.risk import Risk

RISKS = st.sampled_from(list(Risk))
WORDS = st.sampled_from(
    [
        "risk",
        "Risk",
        ">=",
        ">",
        "==",
        "<",
        "<=",
        "=",
        "!=",
        "=>",
        "low",
        "medium",
        "high",
        "and",
        "3",
        "'",
        ";",
    ]
)
SPACES = st.sampled_from(["", " ", "  ", "\t", "\n"])


@pytest.mark.parametrize(
    ("text", "holding"),
    [
        ("risk >= medium", "medium high"),
        ("risk>=low", "low medium high"),
        (" risk  > medium ", "high"),
        ("risk == low", "low"),
        ("risk < low", ""),
        ("risk <= medium", "low medium"),
    ],
)
def test_what_is_written_is_what_is_compared(text: str, holding: str) -> None:
    assert [risk.value for risk in parse(text).holding] == holding.split()


@pytest.mark.parametrize(
    ("text", "offset", "expected", "hint"),
    [
        ("", 0, "risk", ""),
        ("severity >= low", 0, "risk", ""),
        ("risk", 4, "one of >= > == < <=", ""),
        ("risk = high", 5, "one of >= > == < <=", "write =="),
        ("risk => high", 5, "one of >= > == < <=", "write >="),
        ("risk >= ", 7, "low, medium or high", ""),
        ("risk >= Medium", 8, "low, medium or high", "write medium"),
        ("risk >= extreme", 8, "low, medium or high", ""),
        ("risk >= low or risk == high", 12, "nothing more", "one comparison"),
        ("__import__('os')", 0, "risk", ""),
    ],
)
def test_anything_else_is_told_with_its_place(text: str, offset: int, expected: str, hint: str) -> None:
    with pytest.raises(ConditionError) as raised:
        parse(text)
    assert (raised.value.offset, raised.value.expected) == (offset, expected)
    assert raised.value.hint.startswith(hint)
    assert bool(raised.value.hint) == bool(hint)


def wrong(text: str) -> ConditionError | None:
    try:
        parse(text)
    except ConditionError as error:
        return error
    return None


@given(st.lists(st.tuples(SPACES, WORDS), max_size=5).map(lambda found: "".join(a + b for a, b in found)))
def test_the_pattern_for_editors_takes_exactly_what_is_a_condition(text: str) -> None:
    error = wrong(text)
    assert (error is None) is bool(re.fullmatch(PATTERN, text))


@given(st.text(max_size=40))
def test_no_text_breaks_it(text: str) -> None:
    error = wrong(text)
    assert error is None or text[error.offset :].startswith(error.found)


@given(st.sampled_from(OPERATORS), RISKS, RISKS)
def test_it_compares_as_numbers_do_and_reads_back(operator: str, risk: Risk, other: Risk) -> None:
    condition = Condition.model_validate({"operator": operator, "risk": other})
    one, two = list(Risk).index(risk), list(Risk).index(other)
    expected = {">=": one >= two, ">": one > two, "==": one == two, "<": one < two, "<=": one <= two}
    assert condition.holds(risk) is expected[operator]
    assert parse(str(condition)) == condition


@given(st.sampled_from(OPERATORS), RISKS)
def test_what_nobody_knows_leaves_the_rule_asked_for(operator: str, other: Risk) -> None:
    assert Condition.model_validate({"operator": operator, "risk": other}).holds(None)

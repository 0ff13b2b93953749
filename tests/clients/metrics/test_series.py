"""One number of a series: of all of it, or of none."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman_plugins.clients.metrics.series import taken

NAN = math.nan


@pytest.mark.parametrize(
    ("take", "value"), [("mean", 2.5), ("max", 4.0), ("min", 1.0), ("sum", 10.0), ("last", 3.0)]
)
def test_what_is_taken(take, value):
    assert taken([1.0, 2.0, 4.0, 3.0], take).value == value
    assert taken([1.0, NAN, 2.0, 4.0, None, 3.0], take).value == value


@pytest.mark.parametrize("take", ["mean", "max", "min", "sum", "last"])
def test_what_is_too_little_to_speak_for_a_time(take):
    assert taken([], take).nothing == "the series has no points"
    assert taken([None, NAN], take).nothing == "the series has only gaps"
    assert taken([1.0, None, None, 1.0, None], take).nothing.startswith("the series has 2 of 5 points")
    assert taken([1.0, 1.0, None, 1.0], take).value is not None
    assert "has ended" in taken([1.0] * 8 + [None] * 4, take).nothing
    assert taken([1.0] * 9 + [None] * 3, take).value is not None


def test_infinities():
    assert taken([math.inf, 1.0], "sum").value == math.inf
    assert taken([-math.inf, math.inf], "mean").nothing == "the series has infinities of both signs"
    assert taken([1.0, -math.inf], "min").value == -math.inf


@given(st.lists(st.none() | st.floats(), max_size=30), st.sampled_from(["mean", "max", "min", "sum", "last"]))
def test_there_is_a_number_or_words_never_nan(points, take):
    answer = taken(points, take)
    assert (answer.value is None) == bool(answer.nothing)
    assert answer.value is None or not math.isnan(answer.value)

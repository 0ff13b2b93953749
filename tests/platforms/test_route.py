"""Smooth weighted round robin."""

from __future__ import annotations

from collections import Counter
from math import gcd

from hypothesis import given
from hypothesis import strategies as st

from relman_plugins.platforms.sandbox.route import Route

WEIGHTS = st.dictionaries(st.text("abcdef", min_size=1, max_size=2), st.integers(0, 100), max_size=4)


@given(WEIGHTS, st.integers(1, 3))
def test_each_gets_exactly_its_weight(weights, rounds):
    route = Route(weights)
    positive = {k: w for k, w in weights.items() if w}
    length = sum(positive.values()) // (gcd(*positive.values()) or 1)
    count = Counter(route.pick() for _ in range(length * rounds))
    divisor = gcd(*positive.values()) or 1
    assert count == {k: w // divisor * rounds for k, w in positive.items()}


@given(st.integers(1, 99), st.integers(1, 300))
def test_at_no_moment_is_a_share_off_by_more_than_one_request(weight, requests):
    route = Route({"new": weight, "old": 100 - weight})
    new = sum(route.pick() == "new" for _ in range(requests))
    assert abs(new - requests * weight / 100) <= 1


def test_the_same_weights_again_change_no_turn():
    one, two = Route({"a": 1, "b": 3}), Route({"a": 1, "b": 3})
    first = [one.pick() for _ in range(2)]
    one.set({"a": 1, "b": 3, "c": 0})
    assert [*first, *(one.pick() for _ in range(6))] == [two.pick() for _ in range(8)]


def test_nobody_gets_a_request_without_weight():
    assert Route({}).pick() is None
    assert Route({"a": 0}).pick() is None

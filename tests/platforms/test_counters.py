"""Counters in a mapped file."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relman_plugins.platforms.sandbox.counters import Counters

KEYS = st.tuples(
    st.just("n"), st.sampled_from(["qa", "production"]), st.sampled_from(["a", "é"]), st.text(max_size=9)
)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(KEYS, st.floats(0, 1e9)), max_size=30))
def test_what_was_added_is_there_in_the_next_process(tmp_path_factory, additions):
    path = tmp_path_factory.mktemp("counters") / "counters.bin"
    counters, expected = Counters(path), {}
    for key, amount in additions:
        counters.add(counters.at(key), amount)
        expected[key] = expected.get(key, 0.0) + amount
    # Opened a second time while the first was never closed: that is what a killed process leaves.
    assert Counters(path).items() == expected == counters.items()


def test_it_grows(tmp_path):
    counters = Counters(tmp_path / "c")
    for i in range(5000):
        counters.add(counters.at(("n", "qa", "a", str(i))), i)
    assert Counters(tmp_path / "c").items() == {("n", "qa", "a", str(i)): float(i) for i in range(5000)}


def test_a_removed_service_is_forgotten_and_no_other(tmp_path):
    counters = Counters(tmp_path / "c")
    for environment in ("qa", "production"):
        counters.add(counters.at(("n", environment, "a", "x")), 2)
    counters.drop("qa", "a")
    assert counters.items() == Counters(tmp_path / "c").items() == {("n", "production", "a", "x"): 2.0}


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"\xff\xff\xff\xff"])
def test_a_strange_file_is_an_empty_one(tmp_path, content):
    (tmp_path / "c").write_bytes(content)
    assert Counters(tmp_path / "c").items() == {}

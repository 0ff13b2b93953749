"""Whatever comes in: a document, or one message with the place of the fault."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman_plugins.judge.document import BadDocument
from relman_plugins.judge.reading import read
from relman_plugins.judge.run import judge
from tests.judge.documents import judged

GOOD = {"name": "m", "control": [1, 2], "experiment": [1, 2]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"^\$: not JSON: .*line 1, column 1"),
        ("[]", r"^\$: expected an object, found a list"),
        ("[" * 100_000, r"^\$: nested too deeply"),
        ('{"metrics": [], "metrics": []}', r'^\$: the key "metrics" occurs twice'),
        (
            '{"metrics": [{"name": "m", "outliers": {"factor": 1, "factor": 2}}]}',
            r"^\$\.metrics\[0\]\.outliers: ",
        ),
        ('{"metrics": [{"name": "m", "control": [NaN]}]}', r'NaN is no JSON.*"NaN" in quotes'),
        ('{"metrics": [{"name": "m", "control": [Infinity]}]}', "Infinity is no JSON"),
        ('{"confidence": ' + "9" * 5000 + "}", r"^\$: not JSON that can be read"),
        (b"\xff\xfe{}", r"^\$: not "),
        ("{}", r"^\$\.metrics: is missing"),
        ('{"metrics": {}}', r"^\$\.metrics: expected a valid list; found an object"),
        ('{"metrics": [3]}', r"^\$\.metrics\[0\]: "),
        ('{"metrics": [], "treshold": {}}', r'^\$\.treshold: unknown key; did you mean "thresholds"\?'),
        ('{"metrics": [], "thresholds": {"pas": 1}}', r'^\$\.thresholds\.pas: .*"pass"'),
        ('{"metrics": [{"nam": "m"}]}', r"^\$\.metrics\[0\]\.name: is missing \(and 1 more"),
        ('{"metrics": [], "method": "guess"}', r"^\$\.method: expected "),
        (
            '{"metrics": [], "confidence": 98}',
            r"^\$\.confidence: expected less than or equal to 0.99",
        ),
        ('{"metrics": [], "confidence": "0.98"}', r'^\$\.confidence: .*found the text "0\.98"'),
        ('{"metrics": [], "confidence": true}', r"^\$\.confidence: .*found true"),
        ('{"metrics": [], "tolerance": 1e999}', r"^\$\.tolerance: "),
        ('{"metrics": [], "tolerance": 1e7}', r"^\$\.tolerance: expected less than or equal to 1000000"),
        ('{"metrics": [], "tolerance": -1}', r"^\$\.tolerance: "),
        ('{"metrics": [], "group_weights": {"a": -1}}', r"^\$\.group_weights\.a: "),
        ('{"metrics": [], "thresholds": {"pass": 50}}', r"^\$\.thresholds\.marginal: above pass"),
        ('{"metrics": [{"name": "m"}, {"name": "m"}]}', r'^\$\.metrics\[1\]\.name: "m" occurs twice'),
        ('{"metrics": [{"name": "m", "groups": ["a", "a"]}]}', r"^\$\.metrics\[0\]\.groups: "),
    ],
)
def test_what_is_no_document(text: str | bytes, message: str) -> None:
    with pytest.raises(BadDocument, match=message):
        read(text)


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        ("values", None, r'\[1\]: expected a number or "NaN"; found null'),
        ("values", True, "found true"),
        ("values", "nan", 'found the text "nan"'),
        ("values", "Infinity", 'found the text "Infinity"'),
        ("values", [1], "found a list"),
        ("values", {}, "found an object"),
        ("values", 10**400, "too large"),
        ("values", 1e301, "too large"),
        ("count", -1, "is negative"),
        ("proportion", 3, r"expected \[bad, total\]"),
        ("proportion", [1], r"expected \[bad, total\]"),
        ("proportion", [1, 2, 3], r"expected \[bad, total\]"),
        ("proportion", [-1, 2], r"control\[1\]\[0\]: -1 is negative"),
        ("proportion", [0, -2], r"control\[1\]\[1\]: -2 is negative"),
        ("proportion", [3, 2], "3 bad of 2 in all"),
        ("proportion", [3, 1e16], r"control\[1\]\[1\]: 1e\+16 is more than anybody counts"),
        ("count", 1e16, "more than anybody counts"),
        ("proportion", ["NaN", 2], 'a look without an answer is "NaN" as a whole'),
        ("proportion", [10**400, 10**401], "too large"),
    ],
)
def test_what_is_no_number(kind: str, value: Any, message: str) -> None:
    good = [0, 2] if kind == "proportion" else 1
    with pytest.raises(BadDocument, match=message) as caught:
        judged({"kind": kind, "control": [good, value], "experiment": [good]})
    assert caught.value.path.startswith("$.metrics[0].control[1]")


def test_nan_is_left_out_or_zero_and_infinity_does_not_come_out() -> None:
    report = judged({"control": [1.5, 2.5, "NaN"] * 5, "experiment": ["NaN"] + [2.0, 1.0] * 6})
    json.dumps(report.data(), allow_nan=False)
    huge = judged({"control": [1e300, -1e300] * 9, "experiment": [1e300, -1e300, 0] * 9})
    json.dumps(huge.data(), allow_nan=False)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["NaN", "Pass", "values", ""]),
    lambda inside: (
        st.lists(inside, max_size=4) | st.dictionaries(st.sampled_from(list(GOOD)), inside, max_size=4)
    ),
    max_leaves=12,
)


@given(_JSON, st.sampled_from(["values", "proportion", "count"]), _JSON)
def test_anything_is_judged_or_refused(value: Any, kind: str, other: Any) -> None:
    metric = {"name": "m", "kind": kind, "control": value, "experiment": other}
    by = [
        {"metrics": [metric], "method": method}
        for method in ("mann_whitney", "sequential", "threshold", "slo")
    ]
    for data in (value, {"metrics": value}, {"metrics": [value]}, *by):
        try:
            json.dumps(judge(read(json.dumps(data))).data(), allow_nan=False)
        except BadDocument as error:
            assert error.path.startswith("$")  # noqa: PT017

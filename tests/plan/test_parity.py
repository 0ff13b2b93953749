"""Comparing two environments, without environments."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from relman_plugins.domain.parity import DIFF_LINES, HIDDEN, MOST_LINES, Area, mappings, normal, schemas
from relman_plugins.spec.secrets import looks_secret

NAMES = ("staging", "production")
KEYS = st.sampled_from(["LOG_LEVEL", "URL", "TOKEN", "EMPTY"])
CONFIG = st.dictionaries(KEYS, st.text(max_size=5))
JSON = st.recursive(st.integers() | st.text(max_size=3), lambda x: st.dictionaries(st.text(max_size=2), x))


def hides(key: str, value: str | None) -> bool:
    return key == "TOKEN" or (value or "").startswith("secret")


@given(CONFIG, CONFIG)
def test_exactly_what_differs_is_found_and_no_secret_shown(one: dict[str, str], two: dict[str, str]) -> None:
    found = list(mappings(Area.CONFIG, one, two, hides))
    assert [d.key for d in found] == sorted(k for k in {*one, *two} if one.get(k) != two.get(k))
    for d in found:
        assert {d.source, d.target} <= {None, HIDDEN} or d.key != "TOKEN"
        assert d.line(*NAMES).startswith(f"{d.key}: ")


@given(CONFIG, CONFIG, st.sets(KEYS), st.sets(KEYS))
def test_what_may_differ_must_be_there(
    one: dict[str, str], two: dict[str, str], ignore: set[str], may_differ: set[str]
) -> None:
    found = {d.key for d in mappings(Area.CONFIG, one, two, hides, ignore=ignore, may_differ=may_differ)}
    assert not found & ignore
    assert all((key in one) != (key in two) for key in found & may_differ)


@given(JSON)
def test_order_and_spacing_of_json_say_nothing(value: object) -> None:
    texts = (json.dumps(value), json.dumps(value, indent=3, sort_keys=True))
    assert schemas(*texts, NAMES, hides) == (None, "")


def test_line_ends_and_trailing_spaces_say_nothing() -> None:
    assert normal("CREATE TABLE a  \r\n(x int)\r\n\r\n") == "CREATE TABLE a\n(x int)\n"
    assert normal("") == "\n"
    assert normal("[" * 100_000).startswith("[")


def test_a_diff_is_counted_whole_kept_short_and_shows_no_secret() -> None:
    two = "".join(f"column_{n}\n" for n in range(DIFF_LINES * 2))
    difference, diff = schemas("secret dsn\n--odd\n", two, NAMES, lambda _, line: "secret" in (line or ""))
    assert difference is not None
    told = schemas('{"TOKEN": "abc", "x": 1}', '{"TOKEN": "def", "x": 1}', NAMES, hides)[1]
    assert ("abc" in told, told.count(HIDDEN)) == (False, 2)
    assert difference.line(*NAMES) == "schema: 2 lines only in staging, 400 only in production"
    assert len(diff.splitlines()) == DIFF_LINES + 1
    assert "dsn" not in diff
    assert "-" + HIDDEN in diff.splitlines()


def test_a_secret_is_hidden_wherever_it_stands_in_a_schema() -> None:
    begins, ends = ("-----" + edge + " RSA PRIVATE KEY-----" for edge in ("BEGIN", "END"))
    lines = ["dsn: user=app password=hunter2", "opts: {name: x, api_key: hunter2}", begins, "hunter2", ends]
    _, diff = schemas("\n".join(["orders: id", *lines, "total: int"]), "orders: id", NAMES, looks_secret)
    assert "hunter2" not in diff
    assert diff.splitlines()[-6:] == [f"-{HIDDEN}"] * 5 + ["-total: int"]


def test_long_schemas_are_counted_and_not_laid_beside_each_other() -> None:
    one = [f"column_{n}: int" for n in range(MOST_LINES)]
    difference, diff = schemas(
        "\n".join([*one, "a: int", "b: int"]), "\n".join([*one, "c: int"]), NAMES, looks_secret
    )
    assert difference is not None
    assert difference.note == "2 lines only in staging, 1 only in production; too many to show how"
    assert diff == ""

"""A file of evidence is good when all fits together, and whatever is done to it is noticed and named."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relman_plugins.evidence import words
from relman_plugins.evidence.dsse import pae, sealed
from relman_plugins.evidence.statement import PAYLOAD_TYPE, payload_of
from relman_plugins.evidence.strict import LIMIT
from relman_plugins.evidence.verify import Verified, verify
from tests.evidence.conftest import Book, Telling
from tests.evidence.make import (
    Story,
    changed_minds,
    emergency,
    new_key,
    rejected,
    rolled_back,
    settled_emergency,
    succeeded,
)

Good = tuple[Book, dict[str, Any]]
CHECKS = ["signature", "chain", "subject", "plan", "spec", "approvals", "changes", "verdicts", "ledger"]


def failed(found: Verified) -> dict[str, str]:
    problems: dict[str, str] = {}
    for f in found.findings:
        if f.state == "fail":
            problems[f.check] = f"{problems.get(f.check, '')}{f.text}\n"
    return problems


def test_what_is_signed_is_what_the_protocol_says() -> None:
    """The test vector of the DSSE specification, protocol.md."""
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    assert pae("", b"") == b"DSSEv1 0  0 "
    assert pae("é", "ü".encode()) == "DSSEv1 2 é 2 ü".encode()


@pytest.mark.real
@pytest.mark.parametrize("telling", [succeeded, rolled_back, rejected, changed_minds, emergency])
def test_a_release_of_each_kind_is_good(book: Book, telling: Telling) -> None:
    story = telling(book.ledger, book.clock)
    book.ledger.checkpoint(book.key)
    found = book.verify(book.statement(story))
    assert [(f.check, f.state) for f in found.findings] == [(name, "ok") for name in CHECKS], found.findings
    assert found.good
    ends = {"rolled_back": "rolled back", "rejected": "rejected"}
    assert words.outcome(found) == ends.get(telling.__name__, "succeeded")
    assert any("was signed there" in line for line in words.proves(found))


def test_a_release_under_way_is_good(good: Good) -> None:
    book, _ = good
    story = Story(book.ledger, book.clock, "under-way").build().approve().shift()
    found = book.verify(book.statement(story))
    assert (found.good, words.outcome(found)) == (True, "under way")
    # Another release was recorded when the ledger was signed last, and nothing of this one.
    (ledger,) = (f for f in found.findings if f.check == "ledger")
    assert (ledger.state, "at no event of this release" in ledger.text) == ("open", True)


def test_a_release_whose_spec_was_not_recorded_says_so(good: Good) -> None:
    from tests.evidence.forge import rechained

    book, statement = good
    changed = copy.deepcopy(statement)
    del changed["predicate"]["events"][0]["data"]["spec"]
    found = book.verify(rechained(changed))
    assert next(f for f in found.findings if f.check == "spec").state == "open"
    assert found.good, found.findings


def test_what_stood_in_the_way_and_who_went_round_it_is_told(good: Good) -> None:
    book, _ = good
    why = {"emergency": True, "emergency_reason": "the shop is down"}
    story = Story(book.ledger, book.clock, "glass", "a.dana", **why).build().skip().shift()
    said = list(words.overrides(book.verify(book.statement(story))))
    assert "A.Dana started it as an emergency: the shop is down" in said[0]
    assert "A.Dana skipped the rules release-managers at production.approval: the shop" in said[1]
    assert "not approved afterwards by then" in said[1]
    said = list(words.overrides(book.verify(book.statement(story.review()))))
    assert "approved afterwards by erin" in said[1]


def test_what_was_done_about_a_no_to_an_emergency_is_told(good: Good) -> None:
    book, _ = good
    story = settled_emergency(book.ledger, book.clock, "glass-no")
    found = book.verify(book.statement(story))
    assert found.good, found.findings
    told = "rejected afterwards by erin, settled since by Erin: there is an alert now"
    assert told in list(words.overrides(found))[1]


def test_another_key_is_refused(good: Good) -> None:
    book, statement = good
    found = verify(book.file(statement), [new_key().public_key()])
    assert list(failed(found)) == ["signature", "ledger"]
    assert not found.good
    assert "Who made the file" in "".join(words.proves_not(found))


def test_one_of_several_keys_is_enough(good: Good) -> None:
    book, statement = good
    assert verify(book.file(statement), [new_key().public_key(), book.key.public_key()]).good


def test_an_unsigned_file_is_refused_when_a_key_is_given(good: Good) -> None:
    book, statement = good
    unsigned = book.file(statement, signed=False)
    assert failed(verify(unsigned, [book.key.public_key()])) == {"signature": "the file is not signed\n"}
    found = verify(unsigned)
    assert found.good
    assert found.findings[0][1:] == ("open", "not signed")


def test_one_good_signature_among_others_is_enough(good: Good) -> None:
    book, statement = good
    envelope = json.loads(book.file(statement))
    other = sealed(PAYLOAD_TYPE, payload_of(statement), new_key())
    envelope["signatures"] = other["signatures"] + envelope["signatures"]
    assert verify(json.dumps(envelope).encode(), [book.key.public_key()]).good


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value)
    for key, child in children:
        if isinstance(child, dict | list) and child:
            yield from leaves(child, (*path, key))
        else:
            yield (*path, key)


def flipped(value: Any) -> Any:
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str():
            return value + "x"
        case _:
            return "x"


UNTOLD = ("exported", "ledger")
"""Of these only the signature tells: they are of the moment of export, and nothing else records that."""


@given(data=st.data())
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_is_changed_is_noticed_and_named(good: Good, data: st.DataObject) -> None:
    book, statement = good
    path = data.draw(st.sampled_from(list(leaves(statement))))
    changed = copy.deepcopy(statement)
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = flipped(place[path[-1]])
    envelope = json.loads(book.file(statement))
    envelope["payload"] = sealed(PAYLOAD_TYPE, payload_of(changed), None)["payload"]
    problems = failed(verify(json.dumps(envelope).encode(), [book.key.public_key()]))
    assert "signature" in problems
    if path[0] == "predicate" and path[1] in UNTOLD:
        return
    # Also without a look at the signature.
    problems = failed(verify(json.dumps(envelope).encode()))
    assert problems, path
    told = " ".join(problems.values())
    if path[:2] == ("predicate", "events"):
        event = statement["predicate"]["events"][path[2]]
        # An event with the next one's id stands in that one's way.
        names = (f"event {event['id']}", f"events[{path[2]}", f"event {event['id'] + 1} stands")
        assert any(name in told for name in names), told
    elif path[:2] == ("predicate", "votes"):
        assert "vote" in told
    elif path[:2] == ("predicate", "release"):
        assert "release" in told
    else:
        assert any(str(part) in told + " ".join(problems) for part in path), (path, problems)


@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_byte_that_is_changed_anywhere_in_the_file_makes_it_worthless(
    good: Good, data: st.DataObject
) -> None:
    book, statement = good
    file = bytearray(book.file(statement))
    at = data.draw(st.integers(0, len(file) - 1))
    file[at] ^= data.draw(st.integers(1, 255))
    same = False
    with contextlib.suppress(ValueError):
        same = json.loads(bytes(file)) == json.loads(book.file(statement))
    found = verify(bytes(file), [book.key.public_key()])
    # White space between values, and nothing else, says nothing.
    assert found.good is same
    assert all(f.text for f in found.findings)


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_file_that_is_cut_is_refused(good: Good, data: st.DataObject) -> None:
    book, statement = good
    file = book.file(statement)
    found = verify(file[: data.draw(st.integers(0, len(file) - 1))], [book.key.public_key()])
    assert not found.good
    assert found.findings[0].text.startswith("it can't be read: ")


@pytest.mark.parametrize(
    "path", [("payloadType",), ("payload",), ("signatures", 0, "sig"), ("signatures", 0, "keyid")]
)
def test_the_envelope_is_not_changed_unnoticed(good: Good, path: tuple[Any, ...]) -> None:
    book, statement = good
    envelope = json.loads(book.file(statement))
    place = envelope
    for key in path[:-1]:
        place = place[key]
    text = place[path[-1]]
    for other in (text[:-8] + "AAAA" + text[-4:], "A" + text[1:], text + "=", "", 7, None, []):
        if other == text or (path[-1] == "keyid" and other == ""):
            continue
        place[path[-1]] = other
        assert not verify(json.dumps(envelope).encode(), [book.key.public_key()]).good, other


@pytest.mark.parametrize("column", ["hash", "length", "at", "key_id", "signature", "id"])
def test_a_signature_of_the_ledger_is_not_changed_unnoticed(good: Good, column: str) -> None:
    """Also by whoever signs the file: the ledger's signatures are others."""
    book, statement = good
    changed = copy.deepcopy(statement)
    row = changed["predicate"]["ledger"]["checkpoints"][0]
    row[column] = {
        "id": row["id"] - 1,
        "length": row["length"] + 1,
        "at": "2026-03-30T00:00:00.000000Z",
    }.get(column, "sha256:" + "0" * 64)
    problems = failed(book.verify(changed))
    assert list(problems) == ["ledger"], problems
    assert f"signature at event {row['id']}" in problems["ledger"]


HOSTILE = {
    "nothing": b"",
    "no JSON": b"{",
    "text": b"\xff\xfe",
    "a list": b"[]",
    "two values": b"{} {}",
    "a key twice": b'{"payload": "", "payload": ""}',
    "no number": b'{"a": NaN}',
    "an endless number": b'{"a": 1e999}',
    "a long number": b'{"a": ' + b"9" * 5000 + b"}",
    "half a character": b'{"a": "\\ud800"}',
    "deep": b"[" * 100_000 + b"]" * 100_000,
    "deep enough": b'{"a":' * 100 + b"1" + b"}" * 100,
    "large": b" " * (LIMIT + 1),
    "no signatures": b'{"payloadType": "", "payload": ""}',
    "many signatures": json.dumps({"payloadType": "", "payload": "", "signatures": [{}] * 17}).encode(),
    "no base64": b'{"payloadType": "", "payload": "?", "signatures": []}',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_in_words(good: Good, name: str) -> None:
    found = verify(HOSTILE[name], [good[0].key.public_key()])
    assert [(f.check, f.state) for f in found.findings] == [("file", "fail")]
    assert found.findings[0].text.startswith("it can't be read: ")
    assert len(found.findings[0].text) < 300


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def branches(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    if isinstance(value, dict | list):
        for key, child in value.items() if isinstance(value, dict) else enumerate(value):
            yield from branches(child, (*path, key))


@given(data=st.data(), junk=JSON)
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
def test_junk_anywhere_in_it_never_raises(good: Good, data: st.DataObject, junk: Any) -> None:
    book, statement = good
    path = data.draw(st.sampled_from(list(branches(statement))))
    changed = copy.deepcopy(statement)
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = junk
    found = book.verify(changed)
    for told in (words.proves, words.proves_not, words.overrides):
        assert all(isinstance(line, str) for line in told(found))
    assert words.headline(found)

"""What people type after ``/relman``, and what is made of it."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman_plugins.plugin.models import FreezeBody, ThawBody
from relman_plugins.plugin.slack_command import Misspelt, Wish, wish_of

NOW = datetime(2026, 7, 1, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "body"),
    [
        ('--reason "incident 7"', FreezeBody(reason="incident 7")),
        # Without quotes, with an apostrophe, and as Slack sends what means something to it.
        (
            "--reason it's a &lt;mess&gt; --environment qa",
            FreezeBody(environment="qa", reason="it's a <mess>"),
        ),
        # As phones write it.
        (
            "\u2014environment qa \u2014unless-approved \u2014reason \u201cit \u2014 burns\u201d",
            FreezeBody(environment="qa", unless="approved", reason="it \u2014 burns"),
        ),
        (
            "--pipeline checkout --label tier=gold --label zone=eu --reason audit",
            FreezeBody(pipeline="checkout", labels={"tier": "gold", "zone": "eu"}, reason="audit"),
        ),
        ("--until 22:00 --reason x", FreezeBody(until=datetime(2026, 7, 1, 22, tzinfo=UTC), reason="x")),
        ("--until 12:30 --reason x", FreezeBody(until=datetime(2026, 7, 2, 12, 30, tzinfo=UTC), reason="x")),
        (
            "--until=2026-07-03T01:00+02:00 --reason=x",
            FreezeBody(until=datetime(2026, 7, 2, 23, tzinfo=UTC), reason="x"),
        ),
    ],
)
def test_the_words_are_those_of_the_command_line(text: str, body: FreezeBody) -> None:
    assert wish_of(f"freeze {text}", NOW) == Wish(freeze=body)


def test_a_thaw_names_the_scope_and_nothing_else() -> None:
    assert wish_of("thaw --environment qa --reason over", NOW) == Wish(
        thaw=ThawBody(environment="qa", reason="over")
    )
    assert wish_of("freezes", NOW) == Wish()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "what is to be done"),
        ("stop", "expected freeze, thaw or freezes, got 'stop'"),
        ("freezes production", "expected freeze"),
        ("freeze", "required: --reason"),
        ("freeze --reason", "--reason: expected at least one"),
        ('freeze --reason ""', "reason: String should have at least 1"),
        (f"freeze --reason {'x' * 4001}", "reason: String should have at most 4000"),
        ('freeze --reason "x', 'no other "'),
        ("freeze --reason x --until noon", "--until: 'noon' is no point in time"),
        ("freeze --reason x --unitl 22:00", "unrecognized arguments: --unitl 22:00"),
        ("freeze --reason x --env qa", "unrecognized arguments: --env qa"),
        ("freeze production --reason x", "unrecognized arguments: production"),
        ("freeze --reason x --environment Production", "environment: String should match"),
        ("freeze --reason x --label tier", "--label: expected KEY=VALUE"),
        ("freeze --reason x --label a=b --label a=c", "each key once"),
        ("freeze --environment a --environment b --reason x", "--environment is there twice"),
        ("thaw --pipeline a --reason x --pipeline=a", "--pipeline is there twice"),
        ("freeze --reason x --environment a --reason y", "--reason is there twice"),
        ("freeze --until 22:00 --reason x --until 23:00", "--until is there twice"),
        ("thaw --reason x --until 22:00", "unrecognized arguments: --until"),
        ("thaw --reason x --unless-approved", "unrecognized arguments: --unless-approved"),
        ("freeze --help", "required: --reason"),
    ],
)
def test_what_is_misspelt_freezes_nothing_and_is_said(text: str, said: str) -> None:
    with pytest.raises(Misspelt, match=said.replace("(", r"\(")):
        wish_of(text, NOW)


@given(st.sampled_from(["freeze", "thaw", ""]), st.text() | st.lists(st.text()).map(" --".join))
def test_any_text_is_a_wish_or_misspelt(verb: str, text: str) -> None:
    with suppress(Misspelt):
        assert isinstance(wish_of(f"{verb} --reason x {text}", NOW), Wish)

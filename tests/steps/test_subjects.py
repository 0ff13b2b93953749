"""What other people wrote reaches the approver as text: whole, and without a life of its own."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from relman_plugins.steps.subjects import one_line, quoted, quoted_code

MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
texts = st.text(
    st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs"), include_characters="\n\t")
)


def read(markdown: str) -> tuple[str, set[str]]:
    """Return what a reader sees, without differences in white space, and the kinds of markup in it."""
    seen, kinds = [], set()
    for block in MARKDOWN.parse(markdown):
        for token in block.children or [block]:
            kinds.add(token.type.removesuffix("_open").removesuffix("_close"))
            seen.append(
                token.content
                if token.type == "text" or not block.children
                else "\n" * ("break" in token.type)
            )
    return " ".join("".join(f"{s} " if s == "\n" else s for s in seen).split()), kinds - {
        "text",
        "inline",
        "paragraph",
    }


def spaced(text: str) -> str:
    return " ".join(text.split())


@given(st.lists(texts.filter(lambda t: "://" not in t), min_size=1, max_size=4).map("\n".join))
@example("# a\n- b\n1. c\n| d | e |\n|---|---|\n```\nf\n===\n    g")
@example("<script>x</script> &amp; ~~a~~ **b** [c](d) ![e](f) \\ `g`")
def test_nothing_that_was_written_becomes_markup(text: str) -> None:
    seen, kinds = read(quoted(text))
    assert re.sub(r"\s", "", seen) == re.sub(r"\s", "", text)
    assert kinds <= {"blockquote", "hardbreak", "softbreak"}
    assert read(f"a {one_line(text)}")[1] <= set()


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("see https://tickets.example/A_1?a=1&b=2, please", "https://tickets.example/A_1?a=1&b=2"),
        ("[x](https://tickets.example/1)", "https://tickets.example/1"),
        ("<https://tickets.example/~me/>", "https://tickets.example/~me/"),
    ],
)
def test_an_address_is_a_link_that_shows_where_it_leads(text: str, target: str) -> None:
    tokens = [t for block in MARKDOWN.parse(quoted(text)) for t in block.children or []]
    assert [t.attrs["href"] for t in tokens if t.type == "link_open"] == [target]
    assert read(quoted(text))[0] == spaced(text)


def test_lines_and_paragraphs_stay() -> None:
    assert quoted("one\ntwo\n\nthree") == "> one\\\n> two\n>\n> three"
    assert quoted(" \n ") == ""


def test_what_hides_or_turns_around_is_seen() -> None:
    text = "to \u202enoitcudorp\u202c \u200bnow \U000e0041"
    for shown in (quoted(text), one_line(text)):
        assert read(shown)[0] == r"to \u202enoitcudorp\u202c \u200bnow \U000e0041"
    assert "\u202e" not in quoted_code("-a\n+\u202eb", "diff")
    assert quoted_code("-a\n+b", "diff") == "```diff\n-a\n+b\n```"
    assert read(one_line("\U0001f469\u200d\U0001f4bb"))[0] == "\U0001f469\u200d\U0001f4bb"

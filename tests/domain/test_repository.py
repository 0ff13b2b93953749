"""Which texts are directories, which are addresses, and which are neither."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman_plugins.domain.repository import LONGEST, PATTERN, host_of, is_address, refused

PARTS = st.sampled_from(
    [
        "https://",
        "http://",
        "ssh://",
        "ext::",
        "git@",
        "-",
        "..",
        "/",
        ":",
        "@",
        "git.example",
        "a",
        ".git",
        "?",
        "#",
        " ",
    ]
)


@pytest.mark.parametrize("text", ["../shop", ".", "/srv/git/shop.git", "shop@2/x", "a b", "c:/x", "it's"])
def test_directories_are_directories(text: str) -> None:
    assert (is_address(text), refused(text)) == (False, "")


@pytest.mark.parametrize("step", ["%2e%2e", "%2E%2E", "..", "a%2f..%2fb", "%5c"])
def test_no_address_steps_out_of_its_folder(step: str) -> None:
    assert refused(f"https://git.example.com/shop/{step}/mallory/repo.git")


def test_addresses_name_their_host() -> None:
    assert refused("https://Git.example.com:8443/shop/checkout.git") == ""
    assert host_of("https://Git.example.com:8443/shop/checkout.git") == "git.example.com:8443"
    assert "login" in refused("https://a:b@git.example/shop")
    with pytest.raises(ValueError, match="no address"):
        host_of("../shop")


@given(st.lists(PARTS, max_size=7).map("".join))
def test_the_pattern_for_editors_refuses_what_is_refused(text: str) -> None:
    assert bool(re.fullmatch(PATTERN, text)) is (not refused(text) or len(text) > LONGEST)
    if is_address(text) and not refused(text):
        assert re.match("https?://", text)

"""Which of several versions is the newest."""

from __future__ import annotations

import pytest

from relman_plugins.domain.versions import comparable, is_newer, newest, same_as

ALL = [
    "1.3.9",
    "1.10.0",
    "1.4.0",
    "1.11.0-rc.1",
    "2.0.0-rc.2",
    "2.0.0-rc.10",
    "latest",
    "1.4.0+build.7",
    "../x",
]
UNCOMPARED = [
    *("1.4.0-1.dev1", "1.4.0-1dev", "1.4.0-1-dev.2", "1.4.0-20261126.dev1", "1.4.0-0", "1.4.0-rc.1.dev2"),
    *("1.4.0-rc.1-1", "1.4.0-preview.1", "1.4.0-pre", "1.4.0-c.2", "1.4.0-rc.1.post2"),
    *("1.4.0-1", "1.4.0-7+b", "1.4.0-r1", "1.4.0-r.1", "1.4.0-REV2", "1.4.0-post", "1.4.0-post.1+b"),
    *("latest", "", "1..2", "1.4.0 ", "v 1", "1" * 65),
]


@pytest.mark.parametrize(
    ("within", "prereleases", "found"),
    [
        ("", False, "1.10.0"),
        ("", True, "2.0.0-rc.10"),
        ("<2", True, "1.11.0-rc.1"),
        ("~=1.4.0", False, "1.4.0+build.7"),
        (">=1.4,<1.10", False, "1.4.0+build.7"),
        (">2", False, None),
        (">=2", True, None),
        (">=2.0rc1", True, "2.0.0-rc.10"),
    ],
)
def test_the_newest_is_told_by_range_and_pre_releases_whatever_the_order(within, prereleases, found):
    for order in (ALL, ALL[::-1]):
        assert newest(order, within, prereleases=prereleases) == found


@pytest.mark.parametrize("text", UNCOMPARED)
def test_what_has_no_place_among_versions_is_not_compared(text):
    assert comparable(text) is None
    assert newest([text]) is None
    assert not is_newer(text, "1.0")
    assert not is_newer("9.0", text)


@pytest.mark.parametrize(
    "rising",
    [
        # https://semver.org/#spec-item-11, without what PEP 440 knows nothing of
        [
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
        ],
        ["1.0.0", "2.0.0-rc.1", "2.0.0", "2.1.0", "2.1.1"],
        ["1.3.9", "1.4.0-dev.3", "1.4.0-dev.12", "1.4.0", "1.4.1-alpha.1+5"],
    ],
)
def test_what_is_compared_comes_in_the_order_of_semantic_versions(rising):
    for n, earlier in enumerate(rising):
        for later in rising[n + 1 :]:
            assert is_newer(later, earlier)
            assert not is_newer(earlier, later)
            assert same_as(earlier, [later]) is None


def test_newer_is_by_number_not_by_text():
    assert is_newer("1.10.0", "1.9.0")
    assert is_newer("1.4.0", "1.4.0-rc.1")
    assert not is_newer("1.4", "1.4.0")


def test_a_range_that_is_none_is_said():
    with pytest.raises(ValueError, match=r"'1\.x' is no range"):
        newest(["1.0"], "1.x")


@pytest.mark.parametrize("text", ["7654321", "20261126", "v2"])
def test_what_may_be_a_commit_or_a_date_is_the_newest_only_where_a_range_asks_for_it(text):
    assert newest(["1.4.0", text]) == "1.4.0"
    assert newest([text]) is None
    assert newest(["1.4.0", text], ">=2") == text


def test_a_release_candidate_is_compared():
    assert is_newer("1.4.0-rc1", "1.3.9")
    assert newest(["1.4.0-rc1", "1.4.0-rev1"], prereleases=True) == "1.4.0-rc1"


def test_a_version_is_the_same_however_it_is_written():
    assert same_as("v1.4.0", ["1.3.9", "1.4"]) == "1.4"
    assert same_as("1.4.0", ["v1.4.0", "1.4.0"]) == "1.4.0"
    assert same_as("1.4.0+b.2", ["1.4.0", "1.4.0+b.1"]) is None
    assert same_as("nightly", ["latest", "nightly"]) == "nightly"
    assert same_as("nightly", ["latest", "1.4.0-1"]) is None

"""Versions compared: which is the newest that may be released by itself.

By PEP 440, which reads what people write as semantic versions: ``1.4.0``, ``1.4.0-rc.1``, ``1.4.0+build.7``.
What it would read otherwise than semantic versions do is not compared at all. After a hyphen that is whatever
it takes for a later release, which is an earlier one there (``1.4.0-1``, ``1.4.0-1.dev1``, ``1.4.0-post.1``),
what it takes for the way to a pre-release (``1.4.0-rc.1.dev2``, which comes after ``1.4.0-rc.1`` there), and
other names of ``rc`` (``1.4.0-preview.1``, which is a version of its own there).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from relman_plugins.domain.identity import is_version

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

_OTHER_NAMES = re.compile(r"-(c|pre|preview)(?![a-z])", re.IGNORECASE)


def comparable(text: str) -> Version | None:
    """Return what a version is compared by; None when it has no place among others."""
    from packaging.version import InvalidVersion, Version

    if not is_version(text):
        return None
    try:
        version = Version(text)
    except InvalidVersion:
        return None
    named = text.partition("+")[0]
    otherwise = (
        version.is_postrelease or (version.pre and version.is_devrelease) or _OTHER_NAMES.search(named)
    )
    return None if "-" in named and otherwise else version


def range_of(text: str) -> SpecifierSet:
    """Read a range such as ``>=1.4,<2``.

    Raises:
        ValueError: it is none.
    """
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        return SpecifierSet(text)
    except InvalidSpecifier as error:
        raise ValueError(f"{text!r} is no range of versions") from error


def newest(versions: Iterable[str], within: str = "", *, prereleases: bool = False) -> str | None:
    """Return the newest version within a range; None when there is none. The order given doesn't matter.

    Args:
        versions: what there is; what can't be compared is passed over.
        within: a range as of :func:`range_of`; empty for any with a dot: ``7654321`` or ``20261126`` may as
            well be a commit or a date, which would be newer than every version.
        prereleases: whether ``1.4.0-rc.1`` and the like count. ``<2`` is never ``2.0.0-rc.1``.

    Raises:
        ValueError: the range is none.
    """
    allowed = range_of(within)
    found = [
        (version, text)
        for text in versions
        if (within or "." in text)
        and (version := comparable(text)) is not None
        and (prereleases or not version.is_prerelease)
        and allowed.contains(version, prereleases=True)
    ]
    return max(found)[1] if found else None


def is_newer(version: str, than: str) -> bool:
    """Say whether a version comes after another; no, where either can't be compared."""
    one, other = comparable(version), comparable(than)
    return one is not None and other is not None and one > other


def same_as(version: str, among: Iterable[str]) -> str | None:
    """Return which of several is this version, maybe written otherwise (``v1.4.0``); None when none is."""
    known, this = tuple(among), comparable(version)
    if version in known:
        return version
    return next((text for text in known if this is not None and comparable(text) == this), None)

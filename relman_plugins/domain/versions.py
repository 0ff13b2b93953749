"""Versions compared: which is the newest that may be released by itself.

By PEP 440, which reads what people write as semantic versions: ``1.4.0``, ``1.4.0-rc.1``, ``1.4.0+build.7``.
What it would read otherwise than semantic versions do (``1.4.0-1``, ``1.4.0-r1``, ``1.4.0-post.1``: a later
release here, an earlier one there) is not compared at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from relman_plugins.domain.identity import is_version

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

_AMBIGUOUS = re.compile(r"-([0-9]+(\+|$)|(r|rev|post)(?![a-z]))", re.IGNORECASE)


def comparable(text: str) -> Version | None:
    """Return what a version is compared by; None when it has no place among others."""
    from packaging.version import InvalidVersion, Version

    if not is_version(text) or _AMBIGUOUS.search(text):
        return None
    try:
        return Version(text)
    except InvalidVersion:
        return None


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

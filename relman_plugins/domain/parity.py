"""Two environments compared: what a version was tried with, and what it will meet. Pure."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from enum import StrEnum

from relman_plugins.domain.base import Frozen, digest_of

HIDDEN = "(hidden)"
"""Shown for a value that looks like a secret."""

LONGEST_VALUE = 200
"""Characters of a value that are shown."""

DIFF_LINES = 200
"""Lines of a schema's difference that are kept."""

_SETTING = re.compile(r"""(\w+)["']?\s*[:=]""")
"""A name that is given a value, in JSON, YAML or an assignment."""

_KEY_BEGINS, _KEY_ENDS = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY"), "-----END "

MOST_LINES = 5000
"""Lines of two schemas together up to which they are laid side by side: the time grows with the square."""

Hides = Callable[[str, str | None], bool]
"""Says whether a key of this name, or this value, would show a secret."""


class Area(StrEnum):
    """What can be compared."""

    CONFIG = "config"
    VERSIONS = "versions"
    DRIFT = "drift"
    SCHEMA = "schema"


class Difference(Frozen):
    """One thing that is not the same."""

    area: Area
    key: str
    """The variable, the service, or ``schema``."""
    source: str | None
    """What the source has, as it may be shown; None when it has nothing of the kind."""
    target: str | None
    note: str = ""
    """Why it could not be compared, or what kind of difference it is."""

    def line(self, source: str, target: str) -> str:
        """Say it in one line; ``source`` and ``target`` are the environments' names."""
        if self.note:
            return f"{self.key}: {self.note}"
        if self.area is Area.DRIFT:
            says, runs = said(self.target), said(self.source)
            return f"{self.key} in {source}: the spec says {says}, it runs with {runs}"
        if self.source is None or self.target is None:
            where, value = (source, self.source) if self.target is None else (target, self.target)
            return f"{self.key}: only in {where} {HIDDEN if value == HIDDEN else f'({said(value)})'}"
        if self.source == self.target == HIDDEN:
            return f"{self.key}: another value in {source} than in {target} {HIDDEN}"
        return f"{self.key}: {said(self.source)} in {source}, {said(self.target)} in {target}"


def mappings(
    area: Area,
    source: Mapping[str, str],
    target: Mapping[str, str],
    hides: Hides,
    *,
    written: Collection[Mapping[str, str]] = (),
    ignore: Collection[str] = (),
    may_differ: Collection[str] = (),
) -> Iterator[Difference]:
    """Compare two mappings key by key, sorted.

    Args:
        area: What they are about.
        source: What the version was tried with.
        target: What it will meet.
        hides: What must not be shown; it is compared all the same.
        written: What specs say. Of a running system only what one of them says for the same key is shown: the
            rest was set by somebody past the specs, where nothing keeps secrets out.
        ignore: Keys that are not compared.
        may_differ: Keys that both must have, with whatever value.
    """
    for key in sorted({*source, *target} - set(ignore)):
        one, two = source.get(key), target.get(key)
        if one == two or (key in may_differ and None not in (one, two)):
            continue
        known = {spec.get(key) for spec in written}
        source_, target_ = (_shown(key, value, hides, known) for value in (one, two))
        yield Difference(area=area, key=key, source=source_, target=target_)


def normal(text: str) -> str:
    """Return a schema so that only what it says counts: JSON sorted and indented, text without odd spaces."""
    try:
        # Key order and spacing say nothing; two keys of one name do, so the last one is what a reader gets.
        return json.dumps(json.loads(text), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    except (ValueError, RecursionError):
        lines = [line.rstrip() for line in text.replace("\r\n", "\n").strip("\n").split("\n")]
        return "\n".join(lines) + "\n"


def schemas(source: str, target: str, names: tuple[str, str], hides: Hides) -> tuple[Difference | None, str]:
    """Compare two schemas; return the difference, if there is one, and its lines as a unified diff.

    Lines that look like a secret are hidden in it, and no more than ``DIFF_LINES`` are kept. Of
    schemas with more than ``MOST_LINES`` lines those that differ are only counted, wherever they stand.
    """
    import difflib  # every task imports this module, few compare schemas

    one, two = normal(source), normal(target)
    if one == two:
        return None, ""
    lines = one.splitlines(), two.splitlines()
    if len(lines[0]) + len(lines[1]) > MOST_LINES:
        left, right = Counter(lines[0]), Counter(lines[1])
        counts = [(left - right).total(), (right - left).total()]
        note = f"{counts[0]} lines only in {names[0]}, {counts[1]} only in {names[1]}; too many to show how"
        return _schema(one, two, note), ""
    found = list(difflib.unified_diff(*lines, *names, n=2, lineterm=""))
    # The first two lines are the names; further on, a comment in SQL looks like them.
    only = [sum(line.startswith(mark) for line in found[2:]) for mark in "-+"]
    note = f"{only[0]} lines only in {names[0]}, {only[1]} only in {names[1]}"
    secret = {*_secrets(one, hides), *_secrets(two, hides)}
    shown = [f[:1] + HIDDEN if f[1:] in secret else f[:LONGEST_VALUE] for f in found[:DIFF_LINES]]
    if len(found) > DIFF_LINES:
        shown.append(f"… and {len(found) - DIFF_LINES} more lines")
    return _schema(one, two, note), "\n".join(shown)


def _schema(one: str, two: str, note: str) -> Difference:
    return Difference(area=Area.SCHEMA, key="schema", source=digest_of(one), target=digest_of(two), note=note)


def _secrets(text: str, hides: Hides) -> Iterator[str]:
    """Yield the lines that would show a secret: a line may give several values, a key has several lines."""
    in_key = False
    for line in text.splitlines():
        in_key = in_key or _KEY_BEGINS.search(line) is not None
        if in_key or hides("", line) or any(hides(named[1], line) for named in _SETTING.finditer(line)):
            yield line
        in_key = in_key and _KEY_ENDS not in line


def _shown(key: str, value: str | None, hides: Hides, known: Collection[str | None]) -> str | None:
    if value is None:
        return None
    return HIDDEN if hides(key, value) or (known and value not in known) else value[:LONGEST_VALUE]


def said(value: str | None) -> str:
    """Return a value as it stands in a sentence."""
    return "nothing" if value is None else f'"{value}"' if value == "" else value

"""The wording of messages: quoting, lists, nearest names."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable

LONGEST = 60
MOST_COMPARED = 500
"""Names among which the nearest is looked for: comparing is slow, and a file can hold thousands of them."""
_HIDDEN = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs", "Co", "Cn"})


def visible(text: str) -> str:
    """Return ``text`` with control, bidirectional and other invisible characters made visible."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(c) if unicodedata.category(c) in _HIDDEN else c for c in text)


def visible_json(text: str) -> str:
    """Return a JSON document that says the same, without characters that steer a terminal or hide there."""
    if text.isascii():
        return text
    return "".join(
        json.dumps(c)[1:-1] if c not in "\n\t" and unicodedata.category(c) in _HIDDEN else c for c in text
    )


def _escape(char: str) -> str:
    if char == "\n":
        return "\\n"
    if char == "\t":
        return "\\t"
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"


def quoted(text: object) -> str:
    """Return ``text`` in double quotes, on one line, at most ``LONGEST`` characters of it."""
    shown = visible(str(text)[: LONGEST + 1])
    if len(shown) > LONGEST:
        shown = shown[: LONGEST - 1] + "…"
    return f'"{shown}"'


def listed(names: Iterable[str], empty: str = "there are none") -> str:
    """Return the names quoted, sorted, separated by commas."""
    ordered = sorted(names)
    shown = ", ".join(quoted(n) for n in ordered[:20])
    return (shown + (f" and {len(ordered) - 20} more" if len(ordered) > 20 else "")) or empty


def suggestion(name: object, names: Iterable[str]) -> str:
    """Return ``did you mean "…"?`` for the nearest of ``names``, or nothing if none is near."""
    import difflib  # for a wrong name only; most specs have none

    by_fold = {n.casefold(): n for n in sorted(names, reverse=True)[-MOST_COMPARED:]}
    near = difflib.get_close_matches(str(name)[:100].casefold(), list(by_fold), n=1, cutoff=0.65)
    return did_you_mean(by_fold[near[0]]) if near else ""


def did_you_mean(name: str) -> str:
    """Return the hint that names what was probably meant."""
    return f"did you mean {quoted(name)}?"

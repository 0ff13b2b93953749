"""The parts of a Markdown page that the checks need: links, headings, and blocks with their marks.

A block of commands that is to be run has a comment before it: ``<!-- run -->``, or ``<!-- run exit=1 -->``.
The block after it may be marked ``<!-- prints -->``: it is then exactly what the commands print.
``<!-- spec -->`` marks YAML that must be a valid spec.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(
    r"(?:^<!--\s*(?P<mark>[^\n]*?)\s*-->\n+)?^```(?P<lang>[\w-]*)[^\n]*\n(?P<text>.*?)^```\s*$",
    re.MULTILINE | re.DOTALL,
)
_LINK = re.compile(r"(?<!`)!?\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)|(?:src|href)=\"([^\"]+)\"")
_HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    page: Path
    line: int
    lang: str
    mark: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    return [
        Block(page, text.count("\n", 0, m.start("lang")) + 1, m["lang"], m["mark"] or "", m["text"])
        for m in _FENCE.finditer(text)
    ]


def links(page: Path) -> list[str]:
    return [first or second for first, second in _LINK.findall(_prose(page))]


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub makes of the headings."""
    found: dict[str, int] = {}
    for heading in _HEADING.findall(_prose(page)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        found[slug] = found.get(slug, -1) + 1
    return {slug if not n else f"{slug}-{i}" for slug, n in found.items() for i in range(n + 1)} | set(found)


def _prose(page: Path) -> str:
    return _FENCE.sub("", page.read_text())

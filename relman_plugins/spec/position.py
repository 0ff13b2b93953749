"""Values with their places in a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Span(NamedTuple):
    """A half-open range in a file. Lines and columns count from 1 because editors do."""

    line: int = 1
    column: int = 1
    end_line: int = 1
    end_column: int = 1


@dataclass(slots=True)
class Node:
    """One value of a document, where it stands, and the same for what is inside it."""

    value: Any
    """The plain value: dict, list, str, int, float, bool or None."""
    span: Span
    text: str = ""
    """A scalar as it is written, without quotes; empty for mappings and lists."""
    plain: bool = False
    """Whether a scalar stands without quotes."""
    children: dict[str | int, Node] = field(default_factory=dict)
    """What is inside: by key, or by index."""
    keys: dict[str, Span] = field(default_factory=dict)
    """Where the keys of a mapping stand."""
    partial: bool = False
    """Whether keys that cannot be used were dropped from a mapping."""
    size: int = 1
    """Number of values in it, aliases counted every time they are used."""
    height: int = 1
    """How deep it nests."""
    file: str = ""
    """The file it stands in. What a policy gives keeps the policy's."""

    def child(self, *path: str | int) -> Node | None:
        """Return the value at ``path``, or None if there is none."""
        node = self
        for part in path:
            inner = node.children.get(part)
            if inner is None:
                return None
            node = inner
        return node


@dataclass(frozen=True, slots=True)
class Document:
    """A file that could be read as YAML."""

    path: str
    """The file, as the caller named it."""
    text: str
    root: Node

    def nearest(self, path: Sequence[str | int]) -> tuple[tuple[str | int, ...], Node]:
        """Follow ``path`` as far as the document goes; return the part that exists and the value there.

        Parts that stand nowhere in the document, such as the tag of a union, are skipped when what follows
        exists.
        """
        node, real = self.root, []
        for part in path:
            inner = node.children.get(part)
            if inner is not None:
                node = inner
                real.append(part)
        return tuple(real), node

    def place(self, path: Sequence[str | int], *, key: bool = False) -> Span:
        """Return where the value at ``path`` stands, or its key; for a missing value, what should hold it."""
        real, node = self.nearest(path)
        if key or isinstance(node.value, (dict, list)):
            return self._key(real) or node.span
        return node.span

    def file(self, path: Sequence[str | int]) -> str:
        """Return the file in which the value at ``path`` stands, and its key; or what should hold it."""
        return self.nearest(path)[1].file or self.path

    def _key(self, path: tuple[str | int, ...]) -> Span | None:
        if not path or not isinstance(path[-1], str):
            return None
        holder = self.root.child(*path[:-1])
        return holder.keys.get(path[-1]) if holder is not None else None

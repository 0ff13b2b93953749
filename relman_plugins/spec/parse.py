"""YAML text → a value with its places.

Reads the events of libyaml one by one instead of composing a tree by recursion, so that depth, size and
aliases are refused before they cost anything. Only null, true, false, whole numbers and decimal numbers are
resolved: versions, dates and times stay the text that was written.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from relman_plugins.spec.position import Node, Span
from relman_plugins.spec.words import quoted

DEEPEST = 32
LARGEST = 20_000
MOST_ALIASES = 100

_CONSTANTS = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True,
    "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)", re.ASCII)
_FLOAT = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?", re.ASCII)
_MAY_BE_NUMBER = frozenset("0123456789+-.")
_BIGGEST = 2**53
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Bad(Exception):
    """The text is not YAML that relman reads."""

    def __init__(self, code: str, message: str, span: Span, hint: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.span, self.hint = code, message, span, hint


@dataclass(slots=True)
class _Open:
    """A mapping or list whose end has not come yet."""

    node: Node
    anchor: str | None
    mapping: bool
    key: str | None = None
    key_span: Span | None = None


@dataclass(slots=True)
class _Reader:
    """Builds the tree while the events go by."""

    found: list[Bad] = field(default_factory=list)
    stack: list[_Open] = field(default_factory=list)
    anchors: dict[str, Node | None] = field(default_factory=dict)
    aliases: int = 0
    root: Node | None = None
    file: str = ""

    def add(self, node: Node) -> None:
        if not self.stack:
            self.root = node
            return
        top = self.stack[-1]
        holder, height = top.node, node.height
        if top.key_span is not None:
            if top.key is not None:
                holder.children[top.key] = node
                holder.keys[top.key] = top.key_span
                holder.value[top.key] = node.value
            else:
                holder.partial = True
            top.key = top.key_span = None
        elif top.mapping:
            top.key_span = node.span
            top.key = self.key(node, holder)
            return
        else:
            holder.children[len(holder.value)] = node
            holder.value.append(node.value)
        holder.size += node.size
        if holder.height <= height:
            holder.height = height + 1
        if holder.size > LARGEST:
            raise Bad("RM005", f"more than {LARGEST} values, those behind aliases included", node.span)
        if len(self.stack) + height > DEEPEST:
            raise _too_deep(node.span)

    def key(self, node: Node, holder: Node) -> str | None:
        """Return the key, or None when it cannot be one and its value must be dropped."""
        name = node.value
        if not isinstance(name, str):
            said = quoted(node.text) if node.text else "this"
            self.found.append(
                Bad(
                    "RM009",
                    f"a key must be text, got {said}",
                    node.span,
                    f'write "{node.text}"' if node.text else "",
                )
            )
            return None
        if name == "<<" and node.plain:
            hint = "write the keys out, or reuse a whole value with an alias"
            self.found.append(Bad("RM004", "merge keys (<<) are not supported", node.span, hint))
            return None
        if name in holder.keys:
            first = holder.keys[name]
            where = f"first defined at line {first.line}, column {first.column}"
            message = f"duplicate key {quoted(name)}; {where}"
            self.found.append(Bad("RM002", message, node.span, "remove one of them"))
            return None
        return name

    def alias(self, name: str, span: Span) -> None:
        self.aliases += 1
        if self.aliases > MOST_ALIASES:
            raise Bad("RM004", f"more than {MOST_ALIASES} aliases", span, "write the values out")
        if name not in self.anchors:
            known = ", ".join(quoted("&" + n) for n in sorted(self.anchors))
            message = f"alias {quoted('*' + name)} refers to no anchor above it"
            raise Bad("RM004", message, span, f"anchors above: {known}" if known else "")
        target = self.anchors[name]
        if target is None:
            raise Bad("RM004", f"alias {quoted('*' + name)} contains itself", span)
        node = replace(target, span=span)
        self.add(node)


def parse(text: str, file: str = "") -> tuple[Node | None, list[Bad]]:
    """Read ``text``; return the value with its places in ``file``, and what is wrong with the text.

    The value is None when the text could not be read to its end or is empty.
    """
    reader = _Reader(file=file)
    loader = _LOADER(text)
    try:
        _read(loader, reader)
    except Bad as bad:
        return None, [*reader.found, bad]
    except yaml.YAMLError as error:
        return None, [*reader.found, _syntax(error, text)]
    finally:
        loader.dispose()
    return reader.root, reader.found


def _read(loader: Any, reader: _Reader) -> None:
    """Read to the end. Much of what the first parse of a spec costs is here: hence few calls."""
    documents = 0
    get_event, stack, file = loader.get_event, reader.stack, reader.file
    while (event := get_event()) is not None:
        kind = type(event)
        if kind is _Scalar:
            text: str = event.value
            start, end = event.start_mark, event.end_mark
            span = _Span(Span, (start.line + 1, start.column + 1, end.line + 1, end.column + 1))
            if event.tag is not None:
                _tag(event, "tag:yaml.org,2002:str", span)
            plain = event.tag is None and event.implicit[0]
            value: Any = text
            if plain:
                if text in _CONSTANTS:
                    value = _CONSTANTS[text]
                elif text[0] in _MAY_BE_NUMBER:
                    value = _number(text, span, reader)
            if (
                stack
                and (top := stack[-1]).mapping
                and top.key_span is None
                and value is text
                and text != "<<"
                and text not in top.node.keys
                and event.anchor is None
            ):
                # Half of all scalars are keys like this one: `add` would come to the same.
                top.key, top.key_span = text, span
                continue
            node = Node(value, span, text, plain, _NOTHING_INSIDE, _NOTHING_INSIDE, False, 1, 1, file)
            if event.anchor is not None:
                reader.anchors[event.anchor] = node
            reader.add(node)
        elif kind is _MappingStart or kind is _SequenceStart:
            mapping = kind is _MappingStart
            span = _span(event)
            if event.tag is not None:
                _tag(event, f"tag:yaml.org,2002:{'map' if mapping else 'seq'}", span)
            if len(stack) >= DEEPEST:
                raise _too_deep(span)
            if event.anchor is not None:
                reader.anchors[event.anchor] = None
            node = Node({} if mapping else [], span, "", False, {}, {}, False, 1, 1, file)
            stack.append(_Open(node, event.anchor, mapping))
        elif kind is _MappingEnd or kind is _SequenceEnd:
            done = stack.pop()
            node, end = done.node, event.end_mark
            node.span = _Span(Span, (*node.span[:2], end.line + 1, end.column + 1))
            if done.anchor is not None:
                reader.anchors[done.anchor] = node
            reader.add(node)
        elif kind is yaml.AliasEvent:
            reader.alias(event.anchor, _span(event))
        elif kind is yaml.DocumentStartEvent:
            documents += 1
            if documents > 1:
                raise Bad(
                    "RM007", "a second document starts here", _span(event), "one file holds one document"
                )


_Scalar, _MappingStart, _SequenceStart = yaml.ScalarEvent, yaml.MappingStartEvent, yaml.SequenceStartEvent
_MappingEnd, _SequenceEnd = yaml.MappingEndEvent, yaml.SequenceEndEvent
_Span = tuple.__new__
"""What a named tuple does when it is made by its name, one call less."""

_NOTHING_INSIDE: dict[Any, Any] = {}
"""Shared by all scalars: two dictionaries for each of them would cost a fifth of the reading."""


def _span(event: Any) -> Span:
    start, end = event.start_mark, event.end_mark
    return Span(start.line + 1, start.column + 1, end.line + 1, end.column + 1)


def _tag(event: Any, usual: str, span: Span) -> None:
    if event.tag not in {"!", usual}:
        shown = event.tag.replace("tag:yaml.org,2002:", "!!")
        raise Bad("RM003", f"tags are not allowed, got {quoted(shown)}", span, "remove the tag")


def _too_deep(span: Span) -> Bad:
    return Bad("RM005", f"nested more than {DEEPEST} deep", span)


def _number(text: str, span: Span, reader: _Reader) -> int | float | str:
    value: int | float
    if _INT.fullmatch(text):
        value = int(text) if len(text) < 20 else _BIGGEST + 1
    elif _FLOAT.fullmatch(text):
        value = float(text)
    else:
        return text
    if not math.isfinite(value) or abs(value) > _BIGGEST:
        hint = "numbers go up to 2^53; put text that only looks like a number in quotes"
        reader.found.append(Bad("RM010", f"the number {quoted(text)} is out of range", span, hint))
        return 0
    return value


def _syntax(error: yaml.YAMLError, text: str) -> Bad:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = str(getattr(error, "problem", None) or getattr(error, "reason", None) or "cannot be read")
    context = getattr(error, "context", None)
    if mark is None:
        where = text[: getattr(error, "position", 0)]
        line, column = where.count("\n") + 1, len(where) - (where.rfind("\n") + 1) + 1
    else:
        line, column = mark.line + 1, mark.column + 1
    lines = text.split("\n")
    source = lines[line - 1] if line <= len(lines) else ""
    hint = ""
    if "\t" in source[: len(source) - len(source.lstrip())] or source[column - 1 : column] == "\t":
        hint = "YAML is indented with spaces; there is a tab in this line"
    elif "mapping values are not allowed" in problem:
        hint = "text with a colon and a space needs quotes; or the indentation is off"
    elif source[column - 1 : column] in {"@", "`", "%"}:
        hint = "text that starts with this character needs quotes"
    elif "did not find expected" in problem:
        hint = "look at the indentation and for a missing bracket, comma or quote at or above this line"
    message = f"not valid YAML: {problem}" + (f" ({context})" if context else "")
    return Bad("RM001", message, Span(line, column, line, column + 1), hint)

"""Checklists: items that can be told apart."""

from __future__ import annotations

from collections.abc import Iterator

from relman_plugins.spec.bundle import Bundle, entries, text_at
from relman_plugins.spec.diagnostic import Diagnostic
from relman_plugins.spec.trail import finding, holder
from relman_plugins.spec.words import quoted

COMMENT = "comment"
"""The form's own field."""


def items(bundle: Bundle) -> Iterator[Diagnostic]:
    """Items have different ids, those that count them included."""
    for path, _ in bundle.checklists():
        where = holder(bundle.pipeline, path)
        seen: set[str] = set()
        for number, (place, item) in enumerate(entries(bundle.pipeline, *path, "checklist"), start=1):
            own = text_at(item, "id")
            name = own or f"item-{number}"
            at = (*place, "id") if own else place
            if name == COMMENT:
                message = f"an item of {where} has the id {quoted(COMMENT)}, which the form needs itself"
                yield finding(bundle.pipeline, at, "RM702", message, hint="give it another id:")
            elif name in seen:
                message = f"a second item of {where} has the id {quoted(name)}"
                yield finding(bundle.pipeline, at, "RM702", message, hint="give it an id: of its own")
            seen.add(name)


RULES = (items,)

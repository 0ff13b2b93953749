"""Checklists: items that can be told apart, in an environment that is still there."""

from __future__ import annotations

from collections.abc import Iterator

from relman_plugins.spec.bundle import Bundle, entries, text_at
from relman_plugins.spec.diagnostic import Diagnostic
from relman_plugins.spec.models.checklist import Checklist
from relman_plugins.spec.models.duration import Duration
from relman_plugins.spec.models.environment import Environment
from relman_plugins.spec.position import Node
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


def lifetimes(bundle: Bundle) -> Iterator[Diagnostic]:
    """Nobody can try what was removed."""
    written = {str(path[-1]): (path, suite) for path, suite in bundle.checklists()}
    for stage_path, stage in bundle.stages():
        document = bundle.environments.get(text_at(stage, "environment") or "")
        if document is None or document.root.value.get("ephemeral") is not True:
            continue
        lives = _seconds(document.root, "expires", Environment.model_fields["expires"].default)
        for _, named in entries(bundle.pipeline, *stage_path, "suites"):
            path, suite = written.get(named.value if isinstance(named.value, str) else "", ((), None))
            waits = _seconds(suite, "timeout", Checklist.model_fields["timeout"].default)
            if suite is not None and lives is not None and waits is not None and waits > lives:
                message = (
                    f"{holder(bundle.pipeline, path)} may wait {Duration(waits)}, but the environment of "
                    f"{holder(bundle.pipeline, stage_path)} is removed after {Duration(lives)}"
                )
                hint = "make timeout: of the checklist shorter than expires: of the environment"
                yield finding(
                    bundle.pipeline, path, "RM703", message, key=True, hint=hint, severity="warning"
                )


def _seconds(node: Node | None, key: str, default: Duration) -> int | None:
    if node is None or node.child(key) is None:
        return default.seconds
    try:
        return Duration.parse(text_at(node, key) or "").seconds
    except ValueError:
        return None


RULES = (items, lifetimes)

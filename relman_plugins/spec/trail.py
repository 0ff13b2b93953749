"""Where something stands in a document, in words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from relman_plugins.spec.diagnostic import Diagnostic, Severity
from relman_plugins.spec.position import Document, Node
from relman_plugins.spec.words import quoted

_BY_KEY = {
    "suites": "suite",
    "analyses": "analysis",
    "people": "person",
    "groups": "group",
    "stages": "stage",
    "parameters": "parameter",
}
_BY_INDEX = {
    "stages": "stage",
    "metrics": "metric",
    "gates": "gate",
    "rules": "rule",
    "windows": "window",
    "routes": "route",
    "checklist": "item",
}
_KINDS = {
    "ReleasePipeline": "the pipeline",
    "Environment": "the environment",
    "People": "the people document",
    "Policy": "the policy",
    "Calendar": "the calendar",
}


def finding(
    document: Document,
    path: Sequence[str | int],
    code: str,
    message: str,
    *,
    hint: str = "",
    key: bool = False,
    severity: Severity = "error",
) -> Diagnostic:
    """Make a diagnostic that points at the value at ``path``, or at its key."""
    span = document.place(path, key=key)
    real, _ = document.nearest(path)
    crumbs = " > ".join(text for text, _ in _crumbs(document, real))
    file = document.file(path)
    if file != document.path:  # a policy's: several pipelines may extend it, so say in which this was found
        met = f"met in {PurePath(document.path).name}, {crumbs}"
        hint = f"{hint} ({met})" if hint else met
    return Diagnostic(code, severity, message, file, *span, breadcrumb=crumbs, hint=hint)


def holder(document: Document, path: Sequence[str | int]) -> str:
    """Name the mapping or list at ``path``: ``stage "production"``, ``"canary" of stage "production"``."""
    crumbs = _crumbs(document, path)
    if not crumbs:
        return _KINDS.get(str(document.root.value.get("kind")), "the document")
    text, named = crumbs[-1]
    above = next((t for t, is_named in reversed(crumbs[:-1]) if is_named), None)
    return text if named or above is None else f"{text} of {above}"


def subject(document: Document, path: Sequence[str | int]) -> str:
    """Name the value at ``path`` as the subject of a sentence."""
    if not path:
        return holder(document, path)
    crumb, named = _crumbs(document, path)[-1]
    if named:
        return crumb
    if isinstance(path[-1], int):
        if len(path) > 1 and path[-2] in _BY_INDEX:
            return holder(document, path)
        return f"{crumb} of {subject(document, path[:-1])}"
    return crumb if len(path) == 1 else f"{crumb} in {holder(document, path[:-1])}"


def _crumbs(document: Document, path: Sequence[str | int]) -> list[tuple[str, bool]]:
    """Return a word for every step that needs one, and whether it is a name people gave."""
    crumbs: list[tuple[str, bool]] = []
    node: Node | None = document.root
    for depth, part in enumerate(path):
        node = node.children.get(part) if node is not None else None
        parent = path[depth - 1] if depth else ""
        last = depth == len(path) - 1
        if isinstance(part, int):
            noun = _BY_INDEX.get(str(parent))
            if noun is None:
                crumbs.append((f"item {part + 1}", False))
            else:
                name = _name(node)
                crumbs.append((f"{noun} {quoted(name)}" if name else f"{noun} {part + 1}", bool(name)))
        elif depth == 1 and parent in _BY_KEY:  # "stages" of a policy are named, not counted
            crumbs.append((f"{_BY_KEY[str(parent)]} {quoted(part)}", True))
        elif parent == "fields":
            crumbs.append((f"field {quoted(part)}", False))
        elif last or not (part in _BY_INDEX or (depth == 0 and part in _BY_KEY)):
            crumbs.append((quoted(part), False))
    return crumbs


def _name(node: Node | None) -> str:
    value = node.value if node is not None and isinstance(node.value, dict) else {}
    found = value.get("name") or value.get("environment") or ""
    return found if isinstance(found, str) else ""

"""The policies that a pipeline extends: found by name, bases first, each once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from relman_plugins.spec.bundle import Path_, entries, is_name
from relman_plugins.spec.diagnostic import Diagnostic
from relman_plugins.spec.position import Document
from relman_plugins.spec.trail import finding
from relman_plugins.spec.words import listed, quoted, suggestion

FOLDER = "policies"
MOST = 20
"""Policies that one pipeline may extend, those that they extend included."""

Reader = Callable[[Path], tuple[Document | None, bool]]
"""Reads a policy; returns it as far as it could be read, and whether it is right."""


@dataclass(slots=True)
class Policies:
    """The policies of one pipeline."""

    folder: Path
    read: Reader
    found: list[Diagnostic] = field(default_factory=list)
    ordered: list[Document] = field(default_factory=list)
    """The right ones, farthest first: what a later one says wins."""
    complete: bool = True
    """Whether all of them could be used. If not, what seems to be missing may stand in one of the others."""
    documents: dict[str, Document] = field(default_factory=dict)
    """All that could be read, by name."""
    _seen: set[str] = field(default_factory=set)

    def follow(self, document: Document, above: tuple[str, ...] = ()) -> None:
        """Read what ``document`` extends, each policy after those it extends.

        Args:
            document: the pipeline, or a policy.
            above: names of the policies that led here; the last is this document's.
        """
        here: set[str] = set()
        for place, name in _extended(document):
            problem = self._problem(document, place, name, above)
            if name in here:
                hint = "a policy counts once; remove one of them"
                self.found.append(
                    finding(document, place, "RM211", f"policy {quoted(name)} is named twice", hint=hint)
                )
            here.add(name)
            if problem is not None:
                self.found.append(problem)
                self.complete = False
            elif name not in self._seen:
                self._seen.add(name)
                self._take(name, above)

    def _take(self, name: str, above: tuple[str, ...]) -> None:
        policy, right = self.read(self._path(name))
        self.complete = self.complete and right
        if policy is None:
            return
        self.documents[name] = policy
        self.follow(policy, (*above, name))
        if right:
            self.ordered.append(policy)

    def _problem(
        self, document: Document, place: Path_, name: str, above: tuple[str, ...]
    ) -> Diagnostic | None:
        if name in above:
            way = " → ".join(map(quoted, (*above[above.index(name) :], name)))
            hint = "remove one of these extends:"
            message = f"policy {quoted(name)} extends itself: {way}"
            return finding(document, place, "RM210", message, hint=hint)
        if name not in self._seen and len(self._seen) >= MOST:
            hint = "say it in fewer policies"
            return finding(document, place, "RM210", f"more than {MOST} policies in one pipeline", hint=hint)
        path = self._path(name)
        if path.is_symlink() or path.exists():
            return None
        existing = [p.stem for p in sorted(path.parent.glob("*.yaml"))]
        message = f"unknown policy {quoted(name)}; those that exist are {listed(existing, 'none')}"
        hint = suggestion(name, existing) or f"describe it in {FOLDER}/{name}.yaml"
        return finding(document, place, "RM209", message, hint=hint)

    def _path(self, name: str) -> Path:
        return self.folder / FOLDER / f"{name}.yaml"


def _extended(document: Document) -> Iterator[tuple[Path_, str]]:
    extends = document.root.child("extends")
    if extends is not None and isinstance(extends.value, list):
        for place, node in entries(document, "extends"):
            if is_name(node.value):
                yield place, node.value

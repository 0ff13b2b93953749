"""Names: of files, and those that must be unique."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

from relman_plugins.spec.bundle import Bundle, Path_, entries, text_at
from relman_plugins.spec.diagnostic import Diagnostic
from relman_plugins.spec.trail import finding
from relman_plugins.spec.words import quoted


def file_names(bundle: Bundle) -> Iterator[Diagnostic]:
    """A document's file is called after it: that is how it is found without reading the others."""
    kept_here = PurePath(bundle.pipeline.path).parent == bundle.folder  # a copy elsewhere has any name
    pipeline = [bundle.pipeline] if kept_here else []
    for document in (*pipeline, *bundle.policies.values(), *bundle.environments.values()):
        name, file = text_at(document.root, "metadata", "name"), PurePath(document.path)
        if name is not None and name != file.stem:
            message = f"the name {quoted(name)} does not match the file name {quoted(file.name)}"
            hint = f"name it {quoted(file.stem)}, or rename the file to {quoted(name + '.yaml')}"
            yield finding(document, ("metadata", "name"), "RM108", message, hint=hint)


def stage_names(bundle: Bundle) -> Iterator[Diagnostic]:
    """Stages have different names: their steps are called after them."""
    seen: dict[str, Path_] = {}
    for path, stage in bundle.stages():
        key = "name" if text_at(stage, "name") else "environment"
        name = text_at(stage, key)
        if name in seen:
            line = bundle.pipeline.place(seen[name]).line
            message = f"a second stage is called {quoted(name)}; the first is at line {line}"
            yield finding(bundle.pipeline, (*path, key), "RM204", message, hint="give it a name: of its own")
        elif name is not None:
            seen[name] = (*path, key)


def metric_names(bundle: Bundle) -> Iterator[Diagnostic]:
    """Metrics of one analysis have different names."""
    for path, _ in entries(bundle.pipeline, "analyses"):
        seen: set[str] = set()
        for metric_path, metric in entries(bundle.pipeline, *path, "metrics"):
            name = text_at(metric, "name")
            if name in seen:
                message = f"a second metric of analysis {quoted(path[-1])} is called {quoted(name)}"
                yield finding(bundle.pipeline, (*metric_path, "name"), "RM205", message)
            elif name is not None:
                seen.add(name)


RULES = (file_names, stage_names, metric_names)

"""A pipeline file and everything it refers to → documents, or diagnostics."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from relman_plugins.domain.base import digest_of
from relman_plugins.spec.bundle import Bundle, is_name, text_at
from relman_plugins.spec.diagnostic import Diagnostic, arrange
from relman_plugins.spec.models import Documents, Environment, People, ReleasePipeline
from relman_plugins.spec.models.base import SpecModel
from relman_plugins.spec.position import Document
from relman_plugins.spec.rules import check
from relman_plugins.spec.shape import validated
from relman_plugins.spec.source import read

ENVIRONMENTS = "environments"
PEOPLE = "people.yaml"


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came of loading one pipeline."""

    documents: Documents | None
    """None when there is at least one error."""
    diagnostics: tuple[Diagnostic, ...]
    """Errors and warnings, sorted by place."""
    sources: dict[str, str] = field(default_factory=dict)
    """Text of every file that could be read, by the path its diagnostics name."""


@dataclass(slots=True)
class _Loading:
    """Reads each document once and remembers what was wrong with it."""

    folder: Path
    found: list[Diagnostic] = field(default_factory=list)
    sources: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    models: dict[str, SpecModel] = field(default_factory=dict)

    def document(self, path: Path, key: str, model: type[SpecModel]) -> Document | None:
        """Read one document and check its shape; the model is kept under ``key`` if it is right."""
        result = read(path, self.folder)
        self.found += result.diagnostics
        self.sources[str(path)] = result.text
        if result.document is None:
            return None
        self.texts[path.relative_to(self.folder).as_posix()] = result.text
        value, wrong = validated(result.document, model)
        self.found += wrong
        if value is not None:
            self.models[key] = value
        return result.document


def load_pipeline(path: Path) -> Loaded:
    """Read the pipeline in ``path`` with every document it refers to, and check all of it.

    Only what is referenced is read. Never raises for what the files contain, nor for files that are missing:
    that is what the diagnostics are for. Pure but for reading: the same files give the same result.
    """
    loading = _Loading(path.parent)
    pipeline = loading.document(path, "pipeline", ReleasePipeline)
    if pipeline is None:
        return Loaded(None, arrange(loading.found), loading.sources)
    bundle = _referenced(loading, pipeline)
    diagnostics = arrange([*loading.found, *check(bundle)])
    if any(d.is_error for d in diagnostics):
        return Loaded(None, diagnostics, loading.sources)
    return Loaded(_documents(loading, bundle), diagnostics, loading.sources)


def _referenced(loading: _Loading, pipeline: Document) -> Bundle:
    environments: dict[str, Document] = {}
    unreadable: set[str] = set()
    bundle = Bundle(loading.folder, pipeline, environments)
    for _, stage in bundle.stages():
        name = text_at(stage, "environment")
        if name is None or not is_name(name) or name in environments or name in unreadable:
            continue
        path = loading.folder / ENVIRONMENTS / f"{name}.yaml"
        if not path.exists() and not path.is_symlink():
            continue
        document = loading.document(path, f"environment {name}", Environment)
        if document is None:
            unreadable.add(name)
        else:
            environments[name] = document
    people, path = None, loading.folder / PEOPLE
    if any(True for _ in bundle.gates()) and (path.exists() or path.is_symlink()):
        people = loading.document(path, "people", People)
        unreadable |= {"people"} if people is None else set()
    return Bundle(loading.folder, pipeline, environments, people, frozenset(unreadable))


def _documents(loading: _Loading, bundle: Bundle) -> Documents:
    value = {
        "pipeline": bundle.pipeline.root.value,
        "environments": {name: d.root.value for name, d in bundle.environments.items()},
        "people": _named_people(bundle),
    }
    return Documents.model_construct(
        pipeline=loading.models["pipeline"],
        environments={name: loading.models[f"environment {name}"] for name in bundle.environments},
        people=loading.models.get("people"),
        digest=digest_of(value),
        texts=loading.texts,
    )


def _named_people(bundle: Bundle) -> dict[str, Any] | None:
    """Return the part of the people document that gates name, so that a new colleague changes no digest."""
    if bundle.people is None:
        return None
    value = bundle.people.root.value
    names = {text_at(gate, "approval") for _, _, gate in bundle.gates()}
    groups = {name: members for name, members in value.get("groups", {}).items() if name in names}
    used = {member for members in groups.values() for member in members}
    return {"groups": groups, "people": {k: v for k, v in value["people"].items() if k in used}}

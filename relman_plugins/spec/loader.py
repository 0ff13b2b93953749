"""A pipeline file and everything it refers to → documents, or diagnostics."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar, cast

from relman_plugins.domain.base import digest_of
from relman_plugins.spec.bundle import Bundle, is_name, text_at
from relman_plugins.spec.calendars import read_calendars
from relman_plugins.spec.diagnostic import Diagnostic, arrange
from relman_plugins.spec.manifests import read_manifests
from relman_plugins.spec.merge import merged
from relman_plugins.spec.models import Calendar, Documents, Environment, People, ReleasePipeline
from relman_plugins.spec.models.base import SpecModel
from relman_plugins.spec.policies import Policies
from relman_plugins.spec.position import Document
from relman_plugins.spec.rules import TIMES, check
from relman_plugins.spec.rules.references import FILES
from relman_plugins.spec.shape import OTHER_KIND, header, validated
from relman_plugins.spec.source import read

ENVIRONMENTS = "environments"
PEOPLE = "people.yaml"

M = TypeVar("M", bound=SpecModel)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came of loading one pipeline."""

    documents: Documents | None
    """None when there is at least one error."""
    diagnostics: tuple[Diagnostic, ...]
    """Errors and warnings, sorted by place."""
    sources: dict[str, str] = field(default_factory=dict)
    """Text of every file that could be read, by the path its diagnostics name."""
    files: dict[str, str] = field(default_factory=dict)
    """What else was looked for, by path relative to the pipeline's folder: ``file`` or ``directory``."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """A document that pipelines refer to, as it was found."""

    document: Document | None
    model: SpecModel | None
    found: tuple[Diagnostic, ...]
    text: str
    name: str
    """Its path relative to the folder of the pipelines; empty when it could not be read."""


class Shared:
    """What several pipelines refer to, read and checked once.

    Good for one load of a folder: a file that changes meanwhile is not read again.
    """

    def __init__(self) -> None:
        self.seen: dict[tuple[Path, type[SpecModel]], _Seen] = {}
        self.clean: set[str] = set()
        """Paths of environments that are right by themselves."""
        self._paths: dict[tuple[Path, str], Path | None] = {}

    def present(self, folder: Path, name: str) -> Path | None:
        """Return the path of a document, or None if there is none; a link that leads nowhere is one."""
        if (folder, name) not in self._paths:
            path = folder / name
            self._paths[folder, name] = path if path.is_symlink() or path.exists() else None
        return self._paths[folder, name]


@dataclass(slots=True)
class _Loading:
    """Reads each document once and remembers what was wrong with it."""

    folder: Path
    shared: Shared
    found: list[Diagnostic] = field(default_factory=list)
    sources: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    def document(self, path: Path, model: type[M]) -> tuple[Document | None, M | None]:
        """Read one document and check its shape; return it as read, and as a model if it is right."""
        seen = self.shared.seen.get((path, model))
        if seen is None:
            seen = self.shared.seen[path, model] = self._first(path, model)
        self.found += seen.found
        self.sources[str(path)] = seen.text
        if seen.name:
            self.texts[seen.name] = seen.text
        return seen.document, cast("M | None", seen.model)

    def _first(self, path: Path, model: type[M]) -> _Seen:
        alone = _Loading(self.folder, self.shared)
        document = alone.read(path)
        checked, value = alone.checked(document, model) if document is not None else (None, None)
        return _Seen(
            checked, value, tuple(alone.found), alone.sources[str(path)], next(iter(alone.texts), "")
        )

    def read(self, path: Path) -> Document | None:
        """Read one document."""
        inside = path.is_relative_to(self.folder)  # all but the copy of a pipeline that is kept elsewhere
        result = read(path, self.folder if inside else path.parent)
        self.found += result.diagnostics
        self.sources[str(path)] = result.text
        if result.document is not None:
            name = path.relative_to(self.folder).as_posix() if inside else path.name
            self.texts[name] = result.text
        return result.document

    def checked(self, document: Document, model: type[M]) -> tuple[Document | None, M | None]:
        """Check a document's shape."""
        value, wrong = validated(document, model)
        self.found += wrong
        if any(d.code == OTHER_KIND for d in wrong):
            return None, None
        return document, value

    def policy(self, path: Path) -> tuple[Document | None, bool]:
        """Read one policy; say whether there is nothing wrong with it."""
        from relman_plugins.spec.models.policy import Policy  # most pipelines extend none

        before = len(self.found)
        document, _ = self.document(path, Policy)
        return document, len(self.found) == before


@dataclass(slots=True)
class _Models:
    """The models of what a pipeline refers to, as far as they are right."""

    environments: dict[str, Environment] = field(default_factory=dict)
    people: People | None = None
    calendars: dict[str, Calendar] = field(default_factory=dict)


def load_pipeline(path: Path, shared: Shared | None = None, folder: Path | None = None) -> Loaded:
    """Read the pipeline in ``path`` with every document it refers to, and check all of it.

    Only what is referenced is read. Never raises for what the files contain, nor for files that are missing:
    that is what the diagnostics are for. Pure but for reading: the same files give the same result.

    Args:
        path: the pipeline's file.
        shared: what earlier pipelines of the same load referred to; what is in there is not read again.
        folder: where the documents are that it refers to, if not beside it: the file is a copy of a pipeline
            of that folder, and may have any name.
    """
    loading = _Loading(folder or path.parent, Shared() if shared is None else shared)
    document, pipeline = loading.read(path), None
    policies = Policies(loading.folder, loading.policy)
    if document is not None:
        if header(document, ReleasePipeline) is None:
            policies.follow(document)
            loading.found += policies.found
        document, pipeline = loading.checked(merged(document, policies.ordered), ReleasePipeline)
    if document is None:
        return Loaded(None, arrange(loading.found), loading.sources)
    bundle, models = _referenced(loading, document, policies)
    # A warning in a document with the wrong shape is most often a consequence of that.
    shapeless = {d.path for d in loading.found}
    ruled = [d for d in check(bundle, loading.shared.clean) if d.is_error or d.path not in shapeless]
    diagnostics = arrange([*loading.found, *ruled])
    if pipeline is None or any(d.is_error for d in diagnostics):
        return Loaded(None, diagnostics, loading.sources)
    content = _content(bundle)
    documents = Documents.model_construct(
        pipeline=pipeline,
        environments=models.environments,
        people=models.people,
        calendars=models.calendars,
        events=bundle.events,
        manifests=_manifests(bundle),
        digest=digest_of(content),
        content=content,
        texts=loading.texts,
    )
    files = {text: wanted for path, wanted in FILES if (text := text_at(document.root, *path))}
    return Loaded(documents, diagnostics, loading.sources, files)


def _referenced(loading: _Loading, pipeline: Document, policies: Policies) -> tuple[Bundle, _Models]:
    environments: dict[str, Document] = {}
    unreadable: set[str] = set()
    models = _Models()
    bundle = Bundle(loading.folder, pipeline, environments)
    for _, stage in bundle.stages():
        name = text_at(stage, "environment")
        if name is None or not is_name(name) or name in environments or name in unreadable:
            continue
        path = loading.shared.present(loading.folder, f"{ENVIRONMENTS}/{name}.yaml")
        if path is None:
            continue
        document, model = loading.document(path, Environment)
        if document is None:
            unreadable.add(name)
        else:
            environments[name] = document
        if model is not None:
            models.environments[name] = model
    calendars, models.calendars, events = read_calendars(bundle, loading, unreadable)
    service = text_at(pipeline.root, "metadata", "name") or ""
    manifests = read_manifests(bundle, service, loading)
    people = None
    named = any(True for _ in itertools.chain(bundle.asked(), bundle.people_asked(), bundle.groups_told()))
    path = loading.shared.present(loading.folder, PEOPLE) if named else None
    if path is not None:
        people, models.people = loading.document(path, People)
        unreadable |= {PEOPLE} if people is None else set()
    return replace(
        bundle,
        people=people,
        calendars=calendars,
        events=events,
        manifests=manifests,
        policies=policies.documents,
        incomplete=not policies.complete,
        unreadable=frozenset(unreadable),
    ), models


def _content(bundle: Bundle) -> dict[str, Any]:
    parts: dict[str, Any] = {
        "pipeline": bundle.pipeline.root.value,
        "environments": {name: d.root.value for name, d in bundle.environments.items()},
        "people": _named_people(bundle),
    }
    if bundle.calendars:
        parts["calendars"] = {name: d.root.value for name, d in bundle.calendars.items()}
        parts["events"] = bundle.events
    if bundle.manifests:
        parts["manifests"] = _manifests(bundle)
    return parts


def _manifests(bundle: Bundle) -> dict[str, tuple[dict[str, Any], ...]]:
    return {name: tuple(d.root.value for d in found) for name, found in bundle.manifests.items()}


def _named_people(bundle: Bundle) -> dict[str, Any] | None:
    """Return the part of the people document that is named, so that a new colleague changes no digest."""
    if bundle.people is None:
        return None
    value = bundle.people.root.value
    names = {asked.group for asked in bundle.asked()}
    names |= {name for _, _, name, _ in bundle.groups_told()}
    groups = {name: members for name, members in value.get("groups", {}).items() if name in names}
    used = {member for members in groups.values() for member in members}
    used |= {person for _, _, person in bundle.people_asked()}
    return {"groups": groups, "people": {k: v for k, v in value["people"].items() if k in used}}


@dataclass(frozen=True, slots=True)
class Place:
    """An environment and its calendars."""

    environment: Environment | None
    """None when there is at least one error."""
    calendars: dict[str, Calendar]
    events: dict[str, str]
    """Text of the iCalendar files that the calendars name."""
    diagnostics: tuple[Diagnostic, ...]
    sources: dict[str, str]


def load_environment(folder: Path, name: str) -> Place:
    """Read one environment with the calendars it names, without any pipeline, and check their times.

    Never raises for what the files contain, as :func:`load_pipeline` does not.
    """
    loading = _Loading(folder, Shared())
    document, environment = loading.document(folder / ENVIRONMENTS / f"{name}.yaml", Environment)
    if document is None:
        return Place(None, {}, {}, arrange(loading.found), loading.sources)
    unreadable: set[str] = set()
    bundle = Bundle(folder, document, {name: document})
    documents, models, events = read_calendars(bundle, loading, unreadable)
    bundle = replace(bundle, calendars=documents, events=events, unreadable=frozenset(unreadable))
    found = arrange([*loading.found, *(d for rule in TIMES for d in rule(bundle))])
    right = environment if not any(d.is_error for d in found) else None
    return Place(right, models, events, found, loading.sources)

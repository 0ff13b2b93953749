"""Documents as they were read, before anybody knows whether they are right: what the rules look at."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from relman_plugins.domain.identity import NAME_PATTERN
from relman_plugins.domain.source import DEFAULT, KINDS, SourceKind
from relman_plugins.spec.position import Document, Node

Path_ = tuple[str | int, ...]
_NAME = re.compile(NAME_PATTERN)


def is_name(value: Any) -> bool:
    """Say whether ``value`` can be the name of a document."""
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def entries(document: Document, *path: str | int) -> Iterator[tuple[Path_, Node]]:
    """Yield path and node of everything directly inside the mapping or list at ``path``."""
    holder = document.root
    for part in path:  # `Node.child`, written out: the rules ask this a hundred times of each pipeline
        if (inner := holder.children.get(part)) is None:
            return iter(())
        holder = inner
    return iter([((*path, key), node) for key, node in holder.children.items()])


def text_at(node: Node | None, *path: str | int) -> str | None:
    """Return the text at ``path``, or None when there is none or it is something else."""
    for part in path:
        node = node.children.get(part) if node is not None else None
    return node.value if node is not None and isinstance(node.value, str) else None


def number_at(node: Node | None, *path: str | int) -> int | float | None:
    """Return the number at ``path``, or None when there is none or it is something else."""
    found = node.child(*path) if node is not None else None
    good = found is not None and isinstance(found.value, (int, float)) and not isinstance(found.value, bool)
    return found.value if found is not None and good else None


def source_kind(analysis: Node) -> SourceKind | None:
    """Return the kind of source that an analysis asks; None for one that there is not."""
    return KINDS.get(text_at(analysis, "source") or DEFAULT)


def judge_of(analysis: Node) -> str:
    """Return how an analysis judges; limits unless it says another way that there is."""
    judge = text_at(analysis, "judge")
    return judge if judge in ("sequential", "mann_whitney", "slo") else "thresholds"


def compares(analysis: Node) -> bool:
    """Say whether an analysis compares with the old version beside the new one."""
    return judge_of(analysis) in ("sequential", "mann_whitney") and not looks_back(analysis)


def looks_back(analysis: Node) -> bool:
    """Say whether an analysis compares with the time before the change."""
    return judge_of(analysis) == "mann_whitney" and text_at(analysis, "against") == "before"


class Asked(NamedTuple):
    """A group that is asked something, where its name stands, and where it says how many must answer."""

    document: Document
    place: Path_
    group: str
    quorum_place: Path_
    quorum: int | float | None


@dataclass(frozen=True)
class Bundle:
    """A pipeline's documents, as far as they could be read."""

    folder: Path
    pipeline: Document
    environments: dict[str, Document] = field(default_factory=dict)
    people: Document | None = None
    policies: dict[str, Document] = field(default_factory=dict)
    """What the pipeline extends; the pipeline has what they give already."""
    calendars: dict[str, Document] = field(default_factory=dict)
    """What environments and stages name."""
    events: dict[str, str] = field(default_factory=dict)
    """Text of the iCalendar files that calendars name, by path relative to the folder of the pipelines."""
    manifests: dict[str, tuple[Document, ...]] = field(default_factory=dict)
    """What the pipeline's service is made of on Kubernetes, by environment, as far as it could be read."""
    incomplete: bool = False
    """Whether a policy could not be used, so that what it gives may be missing."""
    unreadable: frozenset[str] = frozenset()
    """Documents that exist and were reported already: ``people.yaml``, names of environments, or
    ``calendars/<name>``.
    """

    def stages(self) -> Sequence[tuple[Path_, Node]]:
        """Return the stages that are mappings."""
        return self._stages

    @cached_property
    def _stages(self) -> tuple[tuple[Path_, Node], ...]:
        return tuple((p, n) for p, n in entries(self.pipeline, "stages") if isinstance(n.value, dict))

    def calendar_lists(self) -> Iterator[tuple[Document, Path_, list[tuple[Path_, Node]]]]:
        """Yield where calendars are named, and the names, with their places."""
        places: list[tuple[Document, Path_]] = [(d, ("calendars",)) for d in self.environments.values()]
        places += [(self.pipeline, (*path, "calendars")) for path, _ in self.stages()]
        for document, place in places:
            if names := [(p, n) for p, n in entries(document, *place) if is_name(n.value)]:
                yield document, place, names

    def checklists(self) -> Iterator[tuple[Path_, Node]]:
        """Yield the suites that people go through by hand."""
        for path, suite in entries(self.pipeline, "suites"):
            if isinstance(suite.value, dict) and "checklist" in suite.value:
                yield path, suite

    def asked(self) -> Sequence[Asked]:
        """Return every group that is asked something, as often as it is."""
        return self._asked

    @cached_property
    def _asked(self) -> tuple[Asked, ...]:
        return tuple(self._found_asked())

    def _found_asked(self) -> Iterator[Asked]:
        for document, path, rule in self.rules():
            name = text_at(rule, "approval")
            if name is not None:
                quorum = number_at(rule, "quorum")
                yield Asked(document, (*path, "approval"), name, (*path, "quorum"), quorum)
        for document, path, gate in self.gates():
            if (name := text_at(gate, "escalate", "to")) is not None:
                place = (*path, "escalate", "to")
                yield Asked(document, place, name, place, 1)
        for path, stage in self.stages():
            name = text_at(stage, "parity", "group")
            if name is not None:
                place = (*path, "parity", "group")
                yield Asked(self.pipeline, place, name, place, 1)
        for path, suite in self.checklists():
            name = text_at(suite, "group")
            if name is not None:
                yield Asked(self.pipeline, (*path, "group"), name, (*path, "group"), 1)
        for document in self.environments.values():
            for place in (("break_glass", "group"), ("break_glass", "follow_up", "approval")):
                if (name := text_at(document.root, *place)) is not None:
                    yield Asked(document, place, name, place, 1)
        if (name := text_at(self.pipeline.root, "follow_ups", "group")) is not None:
            place = ("follow_ups", "group")
            yield Asked(self.pipeline, place, name, place, 1)

    def gates(self) -> Sequence[tuple[Document, Path_, Node]]:
        """Return the gates of the stages and of their environments, those for exceptions included."""
        return self._gates

    @cached_property
    def _gates(self) -> tuple[tuple[Document, Path_, Node], ...]:
        return tuple(self._found_gates())

    def _found_gates(self) -> Iterator[tuple[Document, Path_, Node]]:
        for path, _ in self.stages():
            yield from ((self.pipeline, p, n) for p, n in entries(self.pipeline, *path, "gates"))
        for document in self.environments.values():
            yield from ((document, p, n) for p, n in entries(document, "gates"))
            if (exceptions := document.root.child("exceptions")) is not None:
                yield document, ("exceptions",), exceptions

    def rules(self) -> Iterator[tuple[Document, Path_, Node]]:
        """Yield the rules of all gates."""
        for document, path, gate in self.gates():
            for place, rule in self.rules_of(document, path, gate):
                yield document, place, rule

    @staticmethod
    def rules_of(document: Document, path: Path_, gate: Node) -> Iterator[tuple[Path_, Node]]:
        """Yield the rules of one gate: those listed, or the gate itself where it is its only rule."""
        if not isinstance(gate.value, dict):
            return
        if "rules" in gate.value:
            yield from entries(document, *path, "rules")
        elif "approval" in gate.value:
            yield path, gate

    def people_asked(self) -> Iterator[tuple[Document, Path_, str]]:
        """Yield the people whom a rule names one by one."""
        for document, path, _ in self.rules():
            for place, person in entries(document, *path, "approval"):
                if isinstance(person.value, str):
                    yield document, place, person.value

    def notifies(self) -> Iterator[tuple[Document, Path_, Node]]:
        """Yield who is told: the pipeline's and its environments', and every route in them."""
        for document in (self.pipeline, *self.environments.values()):
            notify = document.root.child("notify")
            if notify is not None and isinstance(notify.value, dict):
                yield document, ("notify",), notify
                yield from ((document, p, n) for p, n in entries(document, "notify", "routes"))

    def groups_told(self) -> Iterator[tuple[Document, Path_, str, bool]]:
        """Yield the groups that are mentioned or get email, and whether it is email."""
        for document, path, node in self.notifies():
            if (name := text_at(node, "mention")) is not None:
                yield document, (*path, "mention"), name, False
            for place, recipient in entries(document, *path, "email"):
                if is_name(recipient.value):
                    yield document, place, recipient.value, True

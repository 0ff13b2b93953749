"""The manifests of a service on Kubernetes: YAML with several documents, each read like a spec."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

from relman_plugins.spec.bundle import Bundle, is_name, text_at
from relman_plugins.spec.calendars import Reader
from relman_plugins.spec.diagnostic import Diagnostic
from relman_plugins.spec.files import Unreadable, bytes_of
from relman_plugins.spec.models.base import stays_inside
from relman_plugins.spec.models.kubernetes import Kubernetes
from relman_plugins.spec.parse import parse
from relman_plugins.spec.position import Document
from relman_plugins.spec.trail import finding
from relman_plugins.spec.words import quoted

_BREAK = re.compile(r"^---(?=\s|$)", re.MULTILINE)
"""What begins another document: in YAML three dashes at the start of a line mean nothing else."""

MOST = 50
"""Documents that one file may have."""


def read_manifests(bundle: Bundle, service: str, reader: Reader) -> dict[str, tuple[Document, ...]]:
    """Read the manifests of a service for each of its environments on Kubernetes.

    Args:
        bundle: the pipeline and its environments.
        service: the pipeline's name.
        reader: gets the texts that were read, and what is wrong with them.

    Returns:
        By environment, in the file's order; an environment whose file can't be used is not in it.
    """
    found: dict[str, tuple[Document, ...]] = {}
    for name, document in bundle.environments.items():
        held = document.root.child("kubernetes")
        if held is None or not isinstance(held.value, dict) or not is_name(service):
            continue
        folder = text_at(held, "manifests") or str(Kubernetes.model_fields["manifests"].default)
        if not stays_inside(folder):
            continue
        file = f"{folder}/{service}.yaml"
        if (documents := _read(bundle.folder, file, document, reader)) is not None:
            found[name] = documents
    return found


def _read(folder: Path, file: str, environment: Document, reader: Reader) -> tuple[Document, ...] | None:
    place = (
        ("kubernetes", "manifests") if environment.root.child("kubernetes", "manifests") else ("kubernetes",)
    )
    path = folder / file
    try:
        if not (path.is_symlink() or path.exists()):
            hint = f"put the Deployment and the Service of the pipeline into {quoted(file)}"
            raise Unreadable("RM711", f"there are no manifests {quoted(file)}", hint)
        text = bytes_of(path, folder).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        wrong = f"{quoted(file)} is not UTF-8 at byte {error.start}"
        reader.found.append(finding(environment, place, "RM006", wrong))
        return None
    except Unreadable as error:
        reader.found.append(finding(environment, place, error.code, error.message, hint=error.hint))
        return None
    reader.texts[file] = reader.sources[str(path)] = text
    documents, wrong_ones = _parsed(text, str(path))
    reader.found += wrong_ones
    return None if wrong_ones else documents


def _parsed(text: str, path: str) -> tuple[tuple[Document, ...], list[Diagnostic]]:
    starts = [0, *(m.start() for m in _BREAK.finditer(text)), len(text)]
    documents: list[Document] = []
    found: list[Diagnostic] = []
    for start, end in itertools.pairwise(starts):
        chunk = text[start:end]
        if not _content(chunk):
            continue
        # Lines before it are kept as empty ones, so that places are those of the whole file.
        node, bad = parse("\n" * text.count("\n", 0, start) + chunk, path)
        found += [Diagnostic(b.code, "error", b.message, path, *b.span, hint=b.hint) for b in bad]
        if node is not None:
            documents.append(Document(path, text, node))
        if found or len(documents) > MOST:
            break
    if len(documents) > MOST:
        found.append(Diagnostic("RM005", "error", f"more than {MOST} documents", path, 1, 1, 1, 2))
    return tuple(documents), found


def _content(chunk: str) -> bool:
    lines = (line.partition("#")[0].strip() for line in chunk.splitlines())
    return any(line not in ("", "---") for line in lines)

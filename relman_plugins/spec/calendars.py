"""The calendars that a pipeline's environments and stages name, and the iCalendar files that those name."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, TypeVar

from relman_plugins.spec.bundle import Bundle, entries, text_at
from relman_plugins.spec.diagnostic import Diagnostic
from relman_plugins.spec.files import Unreadable, bytes_of
from relman_plugins.spec.models.base import SpecModel
from relman_plugins.spec.models.calendar import Calendar
from relman_plugins.spec.position import Document
from relman_plugins.spec.trail import finding
from relman_plugins.spec.words import quoted

FOLDER = "calendars"

M = TypeVar("M", bound=SpecModel)


class Reader(Protocol):
    """Reads documents, and remembers what was read and what was wrong."""

    texts: dict[str, str]
    sources: dict[str, str]
    found: list[Diagnostic]

    def document(self, path: Path, model: type[M]) -> tuple[Document | None, M | None]:
        """Read one document."""
        ...


def read_calendars(
    bundle: Bundle, reader: Reader, unreadable: set[str]
) -> tuple[dict[str, Document], dict[str, Calendar], dict[str, str]]:
    """Read every calendar that is named and exists.

    Args:
        bundle: the pipeline and its environments.
        reader: reads documents; gets the text of iCalendar files, and what is wrong with them.
        unreadable: grown by what exists and can't be used.

    Returns:
        The documents, those that are right as models, and the text of the iCalendar files.
    """
    documents: dict[str, Document] = {}
    models: dict[str, Calendar] = {}
    events: dict[str, str] = {}
    names = dict.fromkeys(node.value for _, _, listed in bundle.calendar_lists() for _, node in listed)
    for name in names:
        path = bundle.folder / FOLDER / f"{name}.yaml"
        if not (path.is_symlink() or path.exists()):
            continue
        document, model = reader.document(path, Calendar)
        if document is None:
            unreadable.add(f"{FOLDER}/{name}")
            continue
        documents[name] = document
        if model is not None:
            models[name] = model
        _read_events(bundle.folder, document, reader, events)
    return documents, models, events


def _read_events(folder: Path, document: Document, reader: Reader, events: dict[str, str]) -> None:
    for place, window in entries(document, "windows"):
        file = text_at(window, "ics", "file")
        if not file or file.startswith(("/", "~")) or ".." in Path(file).parts or "\x00" in file:
            continue
        name, path = f"{FOLDER}/{file}", folder / FOLDER / file
        try:
            if not (path.is_symlink() or path.exists()):
                raise Unreadable("RM213", f"there is no file {quoted(name)}", "put it beside the calendar")
            events[name] = bytes_of(path, folder).decode("utf-8-sig")
            reader.texts[name] = events[name]
        except UnicodeDecodeError as error:
            wrong = f"{quoted(name)} is not UTF-8 at byte {error.start}"
            reader.found.append(finding(document, (*place, "ics", "file"), "RM006", wrong))
        except Unreadable as error:
            reader.found.append(
                finding(document, (*place, "ics", "file"), error.code, error.message, hint=error.hint)
            )

"""The file that archived releases go to: JSON lines, compressed, and checked by itself, without a ledger.

The first line says what it is; then come the releases' rows, the votes, and all events in the ledger's order.
The last line has the digest of all before it, and the runs: which stretches of the ledger's chain these are.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from relman_plugins.domain.base import Frozen, canonical_json
from relman_plugins.domain.chain import FIRST, ChainedEvent, row_digest
from relman_plugins.domain.event import Kind

FORMAT = 1

MAX_LINE = 64 << 20
"""The longest line that is read, in bytes; no row that relman writes comes near."""


class Run(NamedTuple):
    """A stretch of the chain without a gap."""

    first_id: int
    last_id: int
    length: int
    prev_hash: str
    """Hash of what is before it."""
    hash: str
    """Hash of its last event."""


class Contents(Frozen):
    """What is in a file, and what is wrong with it."""

    digest: str
    """Of the file as it lies on the disk."""
    releases: dict[str, str]
    """Id to the hash of the release's last event."""
    events: int
    runs: tuple[tuple[int, int, int, str, str], ...]
    problems: tuple[str, ...] = ()


class Runs:
    """Cuts events, given in order, into runs; also behind each id in ``cuts``, whose hashes are signed."""

    def __init__(self, cuts: Iterable[int] = ()) -> None:
        self.done: list[Run] = []
        self.cuts = set(cuts)

    def add(self, event: ChainedEvent) -> None:
        """Take the next event."""
        last = self.done[-1] if self.done else None
        if last is None or last.hash != event.prev_hash or last.last_id in self.cuts:
            self.done.append(Run(event.id, event.id, 1, event.prev_hash, event.hash))
        else:
            self.done[-1] = last._replace(last_id=event.id, length=last.length + 1, hash=event.hash)


def write(
    path: Path,
    header: dict[str, Any],
    releases: Iterable[dict[str, Any]],
    votes: Iterable[dict[str, Any]],
    events: Iterable[ChainedEvent],
    cuts: Iterable[int],
) -> None:
    """Write a file; it is whole and on the disk when this returns, and not there at all before.

    Raises OSError when the disk refuses, or there is such a file.
    """
    if path.exists():
        raise FileExistsError(f"{path} is there already")
    partial = path.with_name(path.name + ".partial")
    runs, digest, lines = Runs(cuts), hashlib.sha256(), 0
    try:
        with (
            open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as raw,
            gzip.GzipFile(fileobj=raw, mode="wb", filename="", mtime=0) as file,
        ):
            for line in _lines(header, releases, votes, events, runs):
                digest.update(line)
                file.write(line)
                lines += 1
            end = {
                "lines": lines,
                "digest": f"sha256:{digest.hexdigest()}",
                "runs": [list(r) for r in runs.done],
            }
            file.write(canonical_json({"end": end}).encode() + b"\n")
            file.close()
            raw.flush()
            os.fsync(raw.fileno())
        partial.rename(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _lines(
    header: dict[str, Any],
    releases: Iterable[dict[str, Any]],
    votes: Iterable[dict[str, Any]],
    events: Iterable[ChainedEvent],
    runs: Runs,
) -> Iterator[bytes]:
    def line(name: str, value: Any) -> bytes:
        return canonical_json({name: value}).encode() + b"\n"

    yield line("relman_archive", {"format": FORMAT, "cuts": sorted(runs.cuts), **header})
    yield from (line("release", row) for row in releases)
    yield from (line("vote", row) for row in votes)
    for event in events:
        runs.add(event)
        yield line("event", event.model_dump())


def check(path: Path) -> Contents:
    """Read a file and say what is in it and what is wrong with it. Raises OSError when it can't be opened."""
    whole = hashlib.sha256()
    with path.open("rb") as raw:
        while chunk := raw.read(1 << 20):
            whole.update(chunk)
    reader = _Reader()
    try:
        with gzip.open(path, "rb") as file:
            while line := file.readline(MAX_LINE + 1):
                reader.take(line)
        reader.finish()
    except (
        EOFError,
        gzip.BadGzipFile,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        ValidationError,
        RecursionError,
        zlib.error,
    ) as error:
        reader.problems.append(f"line {reader.lines + 1} can't be read: {' '.join(str(error).split())[:200]}")
    return Contents(
        digest=f"sha256:{whole.hexdigest()}",
        releases=reader.last,
        events=reader.events,
        runs=tuple(tuple(r) for r in reader.runs.done),
        problems=tuple(reader.problems[:20]),
    )


def rows_of(path: Path, release_id: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what a file has of a release, in order: ``release``, ``vote`` or ``event``, and the row.

    ``check`` says whether the file holds; this one trusts it.
    """
    with gzip.open(path, "rb") as file:
        while line := file.readline(MAX_LINE + 1):
            ((name, value),) = json.loads(line).items()
            if name in ("release", "vote", "event") and value["release_id"] == release_id:
                yield name, value


class _Reader:
    """Takes line by line, and collects what does not hold."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.last: dict[str, str] = {}
        self.events = self.lines = 0
        self.runs = Runs()
        self._digest = hashlib.sha256()
        self._end: dict[str, Any] | None = None
        self._rows: dict[str, str] = {}
        self._votes: dict[tuple[Any, ...], str] = {}

    def take(self, line: bytes) -> None:
        """Take the next line; raise ValueError for one that can't stand there."""
        if len(line) > MAX_LINE:
            raise ValueError(f"longer than {MAX_LINE >> 20} MB")
        ((name, value),) = json.loads(line).items()
        if self._end is not None or (self.lines == 0) != (name == "relman_archive"):
            raise ValueError(f"{name!r} does not belong there")
        if name == "end":
            self._end = value
            return
        self._digest.update(line)
        self.lines += 1
        if name == "relman_archive":
            if value["format"] != FORMAT:
                raise ValueError(f"format {value['format']!r}; this relman reads format {FORMAT}")
            self.runs = Runs(value["cuts"])
        elif name == "release":
            self._rows[value["release_id"]] = row_digest(value)
        elif name == "vote":
            self._votes[value["release_id"], value["gate"], value["round"], value["person"]] = row_digest(
                value
            )
        elif name == "event":
            self._event(ChainedEvent.model_validate(value))
        else:
            raise ValueError(f"nothing is called {name!r}")

    def _event(self, event: ChainedEvent) -> None:
        name = f"event {event.id} of {event.release_id} ({event.kind})"
        if event.computed() != event.hash:
            self.problems.append(f"{name} was changed: it gives another hash")
        if self.last.get(event.release_id, FIRST) != event.prev_release_hash:
            self.problems.append(f"{name} follows an event of its release that is not there")
        digest = event.data.get("row_digest")
        if event.kind == Kind.RELEASE_OPENED and digest not in (None, self._rows.get(event.release_id)):
            self.problems.append(f"release {event.release_id} is not as it was opened")
        if event.kind == Kind.GATE_VOTED:
            key = (event.release_id, event.step, event.data.get("round"), event.data.get("person"))
            vote = self._votes.pop(key, None)
            if digest not in (None, vote):
                self.problems.append(f"{name}: the vote is not as it was cast")
        self.last[event.release_id] = event.hash
        self.events += 1
        self.runs.add(event)

    def finish(self) -> None:
        """Check the end against all before it."""
        if self._end is None:
            raise ValueError("the end is missing")
        if self._end["digest"] != f"sha256:{self._digest.hexdigest()}" or self._end["lines"] != self.lines:
            self.problems.append("the file is not as it was written: another digest")
        if self._end["runs"] != [list(run) for run in self.runs.done]:
            self.problems.append("the file's events do not fit its runs")
        if self._rows.keys() != self.last.keys():
            self.problems.append("the file has not the events of just its releases")
        for release_id, gate, number, person in self._votes:
            self.problems.append(
                f"nobody cast the vote of {person} at gate {gate}, round {number}, of release {release_id}"
            )

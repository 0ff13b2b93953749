"""Counters that outlive the process: numbers in a file that is mapped into memory.

A killed process loses nothing it has counted, and counting costs no system call. The file is a sequence of
records: length of the key (4 bytes), key (UTF-8 JSON, padded to 8), value (8 bytes).
"""

from __future__ import annotations

import json
import mmap
import struct
from pathlib import Path

Key = tuple[str, ...]
"""Name of the series, then its label values."""

_LENGTH = struct.Struct("<I")
_VALUE = struct.Struct("<d")
_STEP = 64 * 1024


class Counters:
    """All counters of the daemon, by key. Not for use from several threads or processes at once."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._file = path.open("r+b" if path.exists() else "w+b")
        self._at: dict[Key, int] = {}
        self._end = 0
        self._map = self._grow()
        self._read()

    def at(self, key: Key) -> int:
        """Return where a key's value is, for `add`; a new key starts at 0."""
        found = self._at.get(key)
        if found is None:
            found = self._append(key, 0.0)
        return found

    def add(self, at: int, amount: float = 1.0) -> None:
        """Add to the value at a place."""
        _VALUE.pack_into(self._map, at, _VALUE.unpack_from(self._map, at)[0] + amount)

    def items(self) -> dict[Key, float]:
        """Return all values."""
        return {key: _VALUE.unpack_from(self._map, at)[0] for key, at in self._at.items()}

    def drop(self, environment: str, service: str) -> None:
        """Forget everything of one service in one environment (the first two label values of each key).

        Places from `at` are void afterwards.
        """
        kept = {k: v for k, v in self.items().items() if k[1:3] != (environment, service)}
        self._map[:] = bytes(len(self._map))
        self._at, self._end = {}, 0
        for key, value in kept.items():
            self._append(key, value)

    def _append(self, key: Key, value: float) -> int:
        text = json.dumps(key).encode()
        text += b" " * (-(len(text) + _LENGTH.size) % 8)
        at = self._end + _LENGTH.size + len(text)
        while at + _VALUE.size + _LENGTH.size > len(self._map):
            self._map = self._grow()
        _VALUE.pack_into(self._map, at, value)
        self._map[self._end + _LENGTH.size : at] = text
        # Last, so that a process killed before this line leaves no half record.
        _LENGTH.pack_into(self._map, self._end, len(text))
        self._end = at + _VALUE.size
        self._at[key] = at
        return at

    def _grow(self) -> mmap.mmap:
        size = self._path.stat().st_size
        self._file.truncate(size + _STEP)
        return mmap.mmap(self._file.fileno(), size + _STEP)

    def _read(self) -> None:
        while self._end + _LENGTH.size < len(self._map):
            length = _LENGTH.unpack_from(self._map, self._end)[0]
            at = self._end + _LENGTH.size + length
            if not length or at + _VALUE.size > len(self._map):
                return
            self._at[tuple(json.loads(self._map[self._end + _LENGTH.size : at]))] = at
            self._end = at + _VALUE.size

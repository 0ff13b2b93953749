"""The store of snapshots: one archive for each content, shared by all machines that run tasks."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from relman_plugins.errors import BundleError, PlatformRejected
from relman_plugins.platforms import archive

TOUCHED_EVERY_S = 3600.0
"""How often the time of the snapshot in use is renewed: seldom, for the folder is shared."""

TAKING_S = 3600.0
"""Nothing takes a snapshot for so long: what is older was left by a process that was killed."""

_TAKING = ".taking-"
_VERSION = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"sha256-([0-9a-f]{64})\.tar\.gz")


@dataclass(frozen=True)
class Store:
    """Snapshots in a folder. Safe with several processes, and with several machines that share the folder.

    A snapshot's version is the SHA-256 of its archive, which is checked whenever it is unpacked: whoever can
    write here can take a snapshot away, and not change what a version is. The time of an archive's file is
    when it was last the newest, to the hour.
    """

    folder: Path

    def publish(
        self,
        source: Path,
        only: Sequence[str],
        *,
        max_bytes: int,
        unchanged: Callable[[], bool] = lambda: True,
    ) -> str:
        """Take a snapshot of the folders ``only`` in ``source``; return its version.

        ``unchanged`` is asked when all was read: a folder that is being written gives no snapshot.

        Raises:
            BundleError: Nothing, too much or a link is there; it is being changed; no room to write.
        """
        try:
            self._made()
            with tempfile.TemporaryDirectory(dir=self.folder, prefix=_TAKING) as staging:
                packed = archive.pack(source, Path(staging), only=only, max_bytes=max_bytes)
                if not unchanged():
                    raise BundleError(
                        f"{source} was changed while it was read; it is taken when it is at rest"
                    )
                with self._locked():
                    packed.path.replace(self.folder / packed.path.name)
        except (PlatformRejected, OSError) as error:
            raise BundleError(f"no snapshot of {source} was taken: {error}") from error
        return packed.digest.removeprefix("sha256:")

    @staticmethod
    def check(version: str) -> None:
        """Raise BundleError unless this is the version of a snapshot, and so safe as a part of a path."""
        if not _VERSION.fullmatch(version):
            raise BundleError(f'"{version}" is no version of a snapshot; those are 64 lower-case hex digits')

    def unpack(self, version: str, into: Path) -> None:
        """Unpack a snapshot into a folder that is not there yet, all or nothing.

        Raises:
            BundleError: There is no such snapshot, or its bytes have another digest.
        """
        self.check(version)
        try:
            archive.unpack(self._path(version), f"sha256:{version}", into)
        except PlatformRejected as error:
            raise BundleError(
                f"the snapshot {version} can't be had from {self.folder}: {error}. DAG processor and workers "
                "must share this folder ([relman] home, or the bundle's `store`)"
            ) from error

    def holds(self, version: str) -> bool:
        """Say whether a snapshot is here, whole and unchanged; raise OSError where that can't be read."""
        if not _VERSION.fullmatch(version):
            return False
        try:
            return archive.digest_of_file(self._path(version)) == f"sha256:{version}"
        except FileNotFoundError:
            return False

    def newest(self) -> str | None:
        """Return the version that was taken, or found to be the present one, last; None of an empty store."""
        found = self._all()
        return max(found, key=lambda version: found[version], default=None)

    def touch(self, version: str) -> bool:
        """Note that a version is the present one; return False if it is gone."""
        with self._locked():
            path = self._path(version)
            try:
                if time.time() - path.stat().st_mtime > TOUCHED_EVERY_S or self.newest() != version:
                    os.utime(path)
            except FileNotFoundError:
                return False
        return True

    def sweep(self, needed: Callable[[], Collection[str]], keep_s: float) -> list[str]:
        """Remove what was last the present one more than ``keep_s`` seconds ago; return these versions.

        The newest stays, and what is ``needed``: asked only when there is something to remove.
        """
        with self._locked():
            oldest = time.time() - keep_s
            newest = self.newest()
            old = [v for v, used in self._all().items() if used < oldest and v != newest]
            gone = [v for v in old if v not in needed()] if old else []
            for version in gone:
                self._path(version).unlink(missing_ok=True)
            for left in self.folder.glob(f"{_TAKING}*"):
                if left.stat().st_mtime < time.time() - TAKING_S:
                    shutil.rmtree(left, ignore_errors=True)
        return gone

    def _all(self) -> dict[str, float]:
        found: dict[str, float] = {}
        try:
            for entry in os.scandir(self.folder):
                if match := _NAME.fullmatch(entry.name):
                    found[match[1]] = entry.stat(follow_symlinks=False).st_mtime
        except FileNotFoundError:
            pass
        return found

    def _path(self, version: str) -> Path:
        return archive.store_path(self.folder, f"sha256:{version}")

    def _made(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        about = self.folder.lstat()
        strange = about.st_uid not in (os.getuid(), 0) or about.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if not stat.S_ISDIR(about.st_mode) or strange:
            raise BundleError(
                f"{self.folder} is a link or another user's, or others may write it and so say which specs "
                "are the newest; make it a folder of Airflow's user that nobody else may write (mode 700)"
            )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep others from removing what is being taken."""
        self._made()
        with open(self.folder / ".lock", "a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

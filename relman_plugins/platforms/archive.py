"""Artifacts: a directory as one archive, named by what is in it.

The same files give the same bytes and so the same digest: entries are sorted, times and owners are zero,
modes are 0755 or 0644. An artifact store is a directory of `sha256-<hex>.tar.gz`.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import re
import shutil
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO
from urllib.parse import unquote, urlsplit

from relman_plugins.domain.state import Revision
from relman_plugins.errors import PlatformRejected

MAX_BYTES = 512 * 1024 * 1024
"""Most that an artifact may unpack to."""

MAX_FILES = 20_000
"""Most files and directories that an artifact may hold."""

LEFT_OUT = frozenset({"__pycache__", ".git", ".hg", ".svn", ".mypy_cache", ".pytest_cache", ".ruff_cache"})
"""Directories that are never packed: they differ between builds of the same source."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Packed:
    """An archive that was made."""

    digest: str
    """``sha256:<hex>`` of the archive's bytes."""
    path: Path
    """Absolute."""
    size: int
    """Bytes of the archive."""
    files: int
    """Files in it, directories not counted."""

    def revision(self, version: str) -> Revision:
        """Return the revision that this archive is, under a version."""
        return Revision(version=version, digest=self.digest, uri=self.path.as_uri())


def pack(
    directory: Path,
    target_dir: Path,
    *,
    only: Sequence[str] = (".",),
    max_bytes: int = MAX_BYTES,
    max_files: int = MAX_FILES,
) -> Packed:
    """Archive a directory, or ``only`` these folders in it, into an artifact store.

    Idempotent: the same content gives the same file, which is written atomically. Compiled Python and the
    folders in `LEFT_OUT` are not packed.

    Raises:
        PlatformRejected: Nothing to pack, more than could be unpacked again, or something that is neither a
            file nor a directory (a link, a device) is in it.
    """
    found = entries(directory, only)
    sizes = [p.stat().st_size for p in found if p.is_file()]
    files = len(sizes)
    if not files:
        raise PlatformRejected(f"nothing to archive: {directory} has no files. Does the build fill it?")
    if sum(sizes) > max_bytes or len(found) > max_files:
        raise PlatformRejected(
            f"{directory} has {len(found)} entries and {sum(sizes)} bytes; an archive may have "
            f"{max_files} and {max_bytes}. Leave out what need not be in it"
        )
    target_dir.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target_dir, prefix=".packing-")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as out:
            with (
                gzip.GzipFile(filename="", fileobj=out, mode="wb", compresslevel=6, mtime=0) as zipped,
                tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as tar,
            ):
                for path in found:
                    _add(tar, path, path.relative_to(directory).as_posix())
            out.flush()
            os.fsync(out.fileno())
        digest = digest_of_file(temporary)
        final = store_path(target_dir, digest)
        temporary.replace(final)
    finally:
        temporary.unlink(missing_ok=True)
    return Packed(digest=digest, path=final.resolve(), size=final.stat().st_size, files=files)


def unpack(
    path: Path, digest: str, into: Path, *, max_bytes: int = MAX_BYTES, max_files: int = MAX_FILES
) -> None:
    """Unpack an archive whose bytes have the digest into a directory that does not exist yet.

    All or nothing: ``into`` appears complete or not at all. The bytes that are checked are the bytes that
    are unpacked, even if the file changes meanwhile.

    Raises:
        PlatformRejected: The digest differs, or the archive is damaged, too large or hostile: a name that is
            absolute, leaves the directory or comes twice; a link, a device, a pipe.
    """
    data = _checked_bytes(path, digest, max_bytes)
    into.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=into.parent, prefix=".unpacking-"))
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as zipped:
            limited = _Limited(zipped, max_bytes, path)
            with tarfile.open(fileobj=limited, mode="r|") as tar:
                _extract(tar, temporary, path, max_bytes, max_files)
        if into.exists():
            raise PlatformRejected(f"{into} is there already; unpack {path.name} into a new directory")
        temporary.chmod(0o755)
        temporary.rename(into)
    except (tarfile.TarError, EOFError, OSError, ValueError, UnicodeError) as e:
        raise PlatformRejected(f"{path} cannot be unpacked: {e}. Build the artifact again") from e
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def store_path(store: Path, digest: str) -> Path:
    """Return where an artifact store keeps a digest; raise PlatformRejected if it is no SHA-256 digest."""
    if not _DIGEST.fullmatch(digest):
        raise PlatformRejected(f'"{digest}" is no digest; expected "sha256:" and 64 lower-case hex digits')
    return store / f"{digest.replace(':', '-')}.tar.gz"


def digest_of_file(path: Path) -> str:
    """Return ``sha256:<hex>`` of a file's bytes."""
    with path.open("rb") as f:
        return "sha256:" + hashlib.file_digest(f, "sha256").hexdigest()


def check(revision: Revision) -> None:
    """Raise PlatformRejected if the artifact is a file that is not there or has another digest.

    Of an artifact anywhere else its platform makes sure before it gets traffic.
    """
    address = urlsplit(revision.uri)
    if address.scheme != "file":
        return
    path = Path(unquote(address.path))
    if not path.is_file():
        raise PlatformRejected(f"the artifact of {revision.version} is gone: there is no file {path}")
    if (found := digest_of_file(path)) != revision.digest:
        raise PlatformRejected(
            f"the artifact of {revision.version} is not what was recorded: {path} has the digest {found}, "
            f"expected {revision.digest}"
        )


def entries(directory: Path, only: Sequence[str] = (".",)) -> list[Path]:
    """Return what `pack` would put into an archive, sorted; raises as it does."""
    found: set[Path] = set()
    for top in only:
        for folder, folders, files in os.walk(_inside(directory, top), onerror=_unreadable):
            folders[:] = [f for f in folders if f not in LEFT_OUT]
            found |= {Path(folder, f) for f in folders}
            found |= {Path(folder, f) for f in files if not f.endswith((".pyc", ".pyo")) and f != ".DS_Store"}
    for path in found:
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise PlatformRejected(f"{path} is neither a file nor a directory; an artifact holds only these")
    return sorted(found, key=lambda p: p.relative_to(directory).as_posix())


def _inside(directory: Path, top: str) -> Path:
    path = directory / top
    if path.resolve() != directory.resolve() / PurePosixPath(top):
        raise PlatformRejected(f'"{top}" is a link, or leaves {directory}; name a folder that lies in it')
    return path


def _unreadable(error: OSError) -> None:
    raise PlatformRejected(f"cannot read {error.filename}: {error.strerror}") from error


def _add(tar: tarfile.TarFile, path: Path, name: str) -> None:
    info = tarfile.TarInfo(name)
    if path.is_dir():
        info.type, info.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(info)
        return
    info.mode = 0o755 if os.access(path, os.X_OK) else 0o644
    with path.open("rb") as f:
        info.size = os.fstat(f.fileno()).st_size
        tar.addfile(info, f)


def _checked_bytes(path: Path, digest: str, max_bytes: int) -> bytes:
    store_path(path.parent, digest)
    try:
        if path.stat().st_size > max_bytes:
            raise PlatformRejected(f"{path} is larger than {max_bytes} bytes")
        data = path.read_bytes()
    except OSError as e:
        raise PlatformRejected(f"cannot read the artifact {path}: {e.strerror}") from e
    found = "sha256:" + hashlib.sha256(data).hexdigest()
    if found != digest:
        raise PlatformRejected(
            f"refused {path}: its digest is {found}, expected {digest}. "
            "What was recorded is not what is there; build a new release"
        )
    return data


def _extract(tar: tarfile.TarFile, root: Path, path: Path, max_bytes: int, max_files: int) -> None:
    total = 0
    seen: set[str] = set()
    for member in tar:
        name = _safe_name(member, path)
        total += member.size
        if name in seen:
            raise PlatformRejected(f'refused {path}: "{name}" comes twice')
        seen.add(name)
        if len(seen) > max_files or total > max_bytes:
            raise PlatformRejected(f"refused {path}: more than {max_files} entries or {max_bytes} bytes")
        target = root / name
        if member.isdir():
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        source = tar.extractfile(member)
        if source is None:
            raise PlatformRejected(f'refused {path}: "{name}" has no content')
        with target.open("xb") as out:
            shutil.copyfileobj(source, out)
        target.chmod(0o755 if member.mode & 0o100 else 0o644)


def _safe_name(member: tarfile.TarInfo, path: Path) -> str:
    if not (member.isreg() or member.isdir()) or member.issparse():
        raise PlatformRejected(f'refused {path}: "{member.name}" is neither a file nor a directory')
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts or "\\" in member.name or "\0" in member.name:
        raise PlatformRejected(f'refused {path}: the name "{member.name}" leaves the directory')
    if not name.parts:
        raise PlatformRejected(f"refused {path}: an entry without a name")
    return str(name)


class _Limited(io.RawIOBase):
    """Reads at most so many bytes: headers and padding of an archive can be a bomb as well as its files."""

    def __init__(self, source: IO[bytes] | gzip.GzipFile, limit: int, path: Path) -> None:
        # Headers and padding take room too: 1 KiB for each entry, and the end of the archive.
        self._source, self._left, self._path = source, limit + 1024 * MAX_FILES, path

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(size if size >= 0 else 1 << 20)
        self._left -= len(data)
        if self._left < 0:
            raise PlatformRejected(f"refused {self._path}: it unpacks to more than the limit")
        return data

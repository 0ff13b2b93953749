"""Where a train's version comes from, on the machine that runs the step."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from relman_plugins.domain.identity import is_version
from relman_plugins.domain.repository import is_address
from relman_plugins.domain.versions import newest
from relman_plugins.errors import ClientError, ClientRejected
from relman_plugins.steps.paths import spec_path

if TYPE_CHECKING:
    from relman_plugins.plan.train import Source

LIMIT = 1024
"""Bytes of a file with a version that are read."""
MOST_FILES = 100_000
ENDINGS = (".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst", ".tgz", ".tar", ".zip", ".jar", ".war")
"""What the names of artefacts end with after the version."""


def version_from(source: Source, dag_file: str) -> str:
    """Return the version that a source gives; empty when there is none in it.

    Raises:
        ClientError: it can't be read, or says what is no version.
    """
    if source.kind == "file":
        return _written(source.place, dag_file)
    names = _artefacts(source, dag_file) if source.kind == "directory" else _names(source, dag_file)
    versions = (name.removeprefix(source.prefix) for name in names if name.startswith(source.prefix))
    return newest(versions, source.range, prereleases=source.prereleases) or ""


def version_of(extras: Iterable[Mapping[str, Any]]) -> str:
    """Return the newest version in the extras of events, in their order; empty when there is none.

    Of versions that can't be compared it is the last.
    """
    said = (extra.get("version") for extra in extras)
    versions = [version for version in said if isinstance(version, str) and is_version(version)]
    return newest(versions, ">=0", prereleases=True) or next(reversed(versions), "")


def _written(place: str, dag_file: str) -> str:
    try:
        with spec_path(place, dag_file).open(encoding="utf-8") as text:
            version = text.read(LIMIT).strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ClientError(f"cannot read the version to release from {place}: {why}") from error
    if version and not is_version(version):
        raise ClientRejected(f"{place} must say a version in its only line, such as 1.4.0")
    return version


def _names(source: Source, dag_file: str) -> list[str]:
    """Return the tags or versions that a server or a repository on this machine lists."""
    if source.kind == "git" and not is_address(source.place):
        from relman_plugins.clients.git_tags import tags

        return tags(spec_path(source.place, dag_file))
    if source.kind == "git":
        from relman_plugins.clients.git_tags import remote_tags as listed
    elif source.kind == "registry":
        from relman_plugins.clients.registry import image_tags as listed
    else:
        from relman_plugins.clients.package_index import package_versions as listed
    if not source.connection:
        return listed(source.place)
    from relman_plugins.hooks.git import sign_in

    return listed(source.place, sign_in(source.connection, source.place))


def _artefacts(source: Source, dag_file: str) -> list[str]:
    names: list[str] = []
    try:
        with os.scandir(spec_path(source.place, dag_file)) as found:
            for entry in found:
                names.append(_without_ending(entry.name))
                if len(names) > MOST_FILES:
                    raise ClientRejected(f"{source.place} has more than {MOST_FILES:,} entries")
    except OSError as error:
        raise ClientError(f"cannot list {source.place}: {error.strerror}") from error
    return names


def _without_ending(name: str) -> str:
    return next((name.removesuffix(end) for end in ENDINGS if name.endswith(end)), name)

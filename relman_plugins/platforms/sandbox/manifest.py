"""`relman.json` of an artifact, and the verified copy the daemon keeps of it."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import Field, ValidationError

from relman_plugins.domain.base import Frozen
from relman_plugins.domain.state import Revision
from relman_plugins.errors import PlatformRejected
from relman_plugins.platforms import archive


class Manifest(Frozen):
    """How a replica is started and asked how it is."""

    command: list[str] = Field(min_length=1)
    """Argument list, run in the unpacked artifact; ``python`` as first word is the daemon's interpreter."""
    health: str = Field(default="/healthz", pattern=r"^/")
    """Path that answers 200 with JSON whose ``version`` and ``digest`` are the revision's."""


def read(app: Path) -> Manifest:
    """Read the manifest of an unpacked artifact; raise PlatformRejected if it is missing or wrong."""
    path = app / "relman.json"
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except OSError as e:
        raise PlatformRejected(
            'the artifact has no relman.json at its top; expected {"command": ["python", "-m", …]}'
        ) from e
    except ValidationError as e:
        raise PlatformRejected(f"the artifact's relman.json is not usable: {e}") from e


def fetch(revision: Revision, store: Path) -> Path:
    """Copy a revision's artifact into the store, checked: digest, harmless entries, usable manifest.

    Idempotent. Blocking.

    Raises:
        PlatformRejected: The address is no local file, or one of the checks fails.
    """
    kept = archive.store_path(store, revision.digest)
    if not kept.exists() or archive.digest_of_file(kept) != revision.digest:
        _copy(_local(revision), kept)
    with tempfile.TemporaryDirectory(dir=store, prefix=".checking-") as folder:
        try:
            archive.unpack(kept, revision.digest, Path(folder, "app"))
            read(Path(folder, "app"))
        except PlatformRejected as e:
            kept.unlink(missing_ok=True)
            raise PlatformRejected(f"version {revision.version} from {revision.uri}: {e}") from e
    return kept


def _local(revision: Revision) -> Path:
    parts = urlsplit(revision.uri)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost"):
        raise PlatformRejected(f"the sandbox takes artifacts from file:///… only, not from {revision.uri}")
    return Path(unquote(parts.path))


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".copying-") as folder:
        try:
            Path(shutil.copyfile(source, Path(folder, "copy"))).replace(target)
        except OSError as e:
            raise PlatformRejected(f"cannot read the artifact {source}: {e.strerror}") from e

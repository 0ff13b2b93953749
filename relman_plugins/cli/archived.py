"""Evidence of a release that is in the ledger no more: made from its archive, offline."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from relman_plugins import __version__
from relman_plugins.cli.exits import Exit, Stop
from relman_plugins.cli.record import user
from relman_plugins.cli.screen import shown
from relman_plugins.evidence.dsse import sealed
from relman_plugins.evidence.statement import PAYLOAD_TYPE, payload_of, statement_of
from relman_plugins.ledger.archive_file import check
from relman_plugins.ledger.dossier import dossier_in

_SHOWN = 5
"""Releases that an archive has and are named; the rest is counted."""


def envelope_of(archive: Path, release_id: str) -> dict[str, Any]:
    """Return the evidence of a release as the server would have made it, not signed: its key is there.

    The archive is checked first; the command ends when it does not hold, or has no such release.
    """
    try:
        contents = check(archive)
    except OSError as error:
        raise Stop(Exit.USAGE, f"--archive {archive} can't be read: {error.strerror or error}") from None
    if contents.problems:
        raise Stop(Exit.FINDINGS, f"--archive {archive} does not hold: {shown(contents.problems[0])}")
    dossier = dossier_in(archive, release_id)
    if dossier is None:
        known = sorted(contents.releases)
        more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
        has = shown(f"{', '.join(known[:_SHOWN])}{more}")
        raise Stop(Exit.USAGE, f"--archive {archive}: release {release_id!r} is not in it; it has {has}")
    statement = statement_of(
        dossier,
        at=datetime.now(UTC),
        by={"id": user(), "name": ""},
        versions={"relman": __version__, "archive": contents.digest},
    )
    return sealed(PAYLOAD_TYPE, payload_of(statement), None)

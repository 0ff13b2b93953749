"""``relman evidence export --archive``: evidence of a release that the ledger has no more."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from relman_plugins.domain.identity import Actor
from relman_plugins.evidence.dsse import opened
from tests.cli.command import relman
from tests.evidence.conftest import Book
from tests.evidence.make import Story, rejected


@pytest.fixture(scope="module")
def archived(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """An archive that has a release, and the statement that the server made of it before."""
    folder = tmp_path_factory.mktemp("archived")
    book = Book(f"sqlite:///{folder / 'ledger.db'}")
    story = rejected(book.ledger, book.clock)
    before = book.statement(story)
    with book.ledger._db.write() as conn:
        conn.exec_driver_sql("UPDATE outbox SET state = 'sent'")
    limit = book.clock.forward(3600)
    book.clock.forward(86_400 * 400)
    Story(book.ledger, book.clock, "now")  # the newest of a pipeline stays
    (done,) = book.ledger.archive(folder / "out", limit, Actor(kind="person", id="carol", via="cli"))
    assert book.ledger.dossier(story.id) is None
    book.ledger.close()
    return folder / "out" / done.file, before


def export(archive: Path, release: str, output: Path) -> Any:
    return relman("evidence", "export", release, "--archive", archive, "-o", output)


def test_the_archive_says_what_the_server_said_and_it_verifies(
    archived: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    archive, before = archived
    release, file = before["predicate"]["release"]["release_id"], tmp_path / "it.json"
    done = export(archive, release, file)
    assert done.returncode == 0, done.stderr
    assert "not signed: the server, which has the key, was not asked" in done.stdout
    statement = json.loads(opened(json.loads(file.read_text())).payload)
    for part in ("summary", "release", "events", "votes"):
        assert statement["predicate"][part] == before["predicate"][part], part
    assert statement["subject"] == before["subject"]
    assert statement["predicate"]["exported"]["with"]["archive"].startswith("sha256:")
    checked = relman("evidence", "verify", file, "--no-key", "--format", "json")
    assert checked.returncode == 0, checked.stdout
    states = {c["check"]: c["state"] for c in json.loads(checked.stdout)["checks"]}
    assert {name for name, state in states.items() if state == "open"} == {"signature", "ledger"}


def test_an_archive_without_it_or_that_does_not_hold_is_refused(
    archived: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    archive, before = archived
    release, file = before["predicate"]["release"]["release_id"], tmp_path / "it.json"
    other = export(archive, "checkout-9.9.9-1", file)
    assert (other.returncode, f"is not in it; it has {release}" in other.stderr) == (2, True)
    changed = tmp_path / "changed.gz"
    changed.write_bytes(gzip.compress(gzip.decompress(archive.read_bytes()).replace(b"Friday", b"Monday")))
    bad = export(changed, release, file)
    assert (bad.returncode, "does not hold" in bad.stderr) == (1, True)
    missing = export(tmp_path / "nowhere.gz", release, file)
    assert (missing.returncode, "can't be read" in missing.stderr) == (2, True)
    assert not file.exists()

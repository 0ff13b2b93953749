from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from relman_plugins.evidence.dsse import sealed
from relman_plugins.evidence.statement import PAYLOAD_TYPE, payload_of, statement_of
from relman_plugins.evidence.verify import Verified, verify
from relman_plugins.ledger.api import Ledger
from tests.evidence.make import Story, new_key
from tests.ledger.make import Clock

Telling = Callable[[Ledger, Clock], Story]


class Book:
    """A ledger, its clock, and the key that it and evidence of it are signed with."""

    def __init__(self, url: str, key: Any = None) -> None:
        self.clock = Clock()
        self.ledger = Ledger(url, clock=self.clock)
        self.ledger.migrate()
        self.key = key or new_key()

    def statement(self, told: Story) -> dict[str, Any]:
        dossier = self.ledger.dossier(told.id)
        assert dossier is not None
        at = datetime(2026, 4, 1, tzinfo=UTC)
        found = statement_of(dossier, at=at, by={"id": "vera", "name": "Vera"}, versions={"relman": "0"})
        return json.loads(payload_of(found))  # type: ignore[no-any-return]

    def file(self, statement: dict[str, Any], *, signed: bool = True) -> bytes:
        return json.dumps(sealed(PAYLOAD_TYPE, payload_of(statement), self.key if signed else None)).encode()

    def verify(self, statement: dict[str, Any]) -> Verified:
        return verify(self.file(statement), [self.key.public_key()])


@pytest.fixture
def book(empty_url: str) -> Iterator[Book]:
    """Have a ledger on SQLite and on PostgreSQL."""
    book = Book(empty_url)
    yield book
    book.ledger.close()


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Book, dict[str, Any]]]:
    from tests.evidence.make import succeeded

    book = Book(f"sqlite:///{tmp_path_factory.mktemp('good') / 'ledger.db'}")
    story = succeeded(book.ledger, book.clock)
    book.ledger.checkpoint(book.key)
    yield book, book.statement(story)
    book.ledger.close()

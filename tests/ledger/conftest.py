from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import NullPool, create_engine, text

from relman_plugins.domain.identity import Actor
from relman_plugins.ledger import tables
from relman_plugins.ledger.api import Ledger, ReleaseRecord
from relman_plugins.plan.model import Options, ReleasePlan, Shape
from tests.ledger.make import Clock, Open, make_shape

CAROL = Actor(kind="person", id="carol", via="airflow")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "ledger.db"
    ledger = Ledger(f"sqlite:///{path}")
    ledger.migrate()
    ledger.close()
    return path


@pytest.fixture(scope="session")
def postgres_shared(postgres: Any) -> Iterator[str]:
    """A migrated database that every test empties: making one for each takes a second on a busy machine."""
    with postgres.database() as url:
        ledger = Ledger(url)
        ledger.migrate()
        ledger.close()
        yield url


def emptied(url: str) -> str:
    with create_engine(url, poolclass=NullPool).begin() as conn:
        for name in tables.APPEND_ONLY:
            conn.execute(text(f'ALTER TABLE "{name}" DISABLE TRIGGER relman_append_only'))
        names = ", ".join(f'"{name}"' for name in tables.metadata.tables)
        conn.execute(text(f"TRUNCATE {names} RESTART IDENTITY"))
        for name in tables.APPEND_ONLY:
            conn.execute(text(f'ALTER TABLE "{name}" ENABLE ALWAYS TRIGGER relman_append_only'))
        conn.execute(text(f"UPDATE {tables.VERSION_TABLE} SET version_num = '{tables.SCHEMA}'"))
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a migrated database with nothing in it."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "ledger.db")
        return f"sqlite:///{tmp_path}/ledger.db"
    return emptied(request.getfixturevalue("postgres_shared"))


@pytest.fixture
def ledger(url: str, clock: Clock) -> Iterator[Ledger]:
    ledger = Ledger(url, clock=clock)
    yield ledger
    ledger.close()


@pytest.fixture
def open_release(ledger: Ledger) -> Open:
    def open_release(
        run_id: str = "run-1",
        version: str = "1.1.0",
        shape: Shape | None = None,
        started_by: Actor = CAROL,
        **options: Any,
    ) -> ReleaseRecord:
        shape = shape or make_shape()
        return ledger.open_release(
            plan=ReleasePlan(shape=shape, options=Options(version=version, **options)),
            dag_id=f"release__{shape.pipeline}",
            run_id=run_id,
            started_by=started_by,
            conf={"version": version},
        )

    return open_release


@pytest.fixture
def release(open_release: Open) -> ReleaseRecord:
    return open_release()

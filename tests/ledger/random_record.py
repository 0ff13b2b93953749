"""A small record, and one deed to one row of it, for property tests."""

from __future__ import annotations

import shutil
from pathlib import Path

from hypothesis import strategies as st
from sqlalchemy import Connection, text

from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.domain.identity import Actor
from relman_plugins.ledger import tables as t
from relman_plugins.ledger.api import Ledger
from relman_plugins.plan.model import Options, ReleasePlan
from tests.ledger.make import Clock, make_shape

SIZE = 11
COLUMNS = tuple(c.name for c in t.event.columns)


def filled(path: Path, template: Path) -> Ledger:
    """Return a ledger with ``SIZE`` events of two releases."""
    shutil.copy(template, path)
    ledger = Ledger(f"sqlite:///{path}", clock=Clock())
    plan = ReleasePlan(shape=make_shape(), options=Options(version="1"))
    ids = [
        ledger.open_release(plan=plan, dag_id="d", run_id=run, started_by=Actor(), conf={}).release_id
        for run in ("a", "b")
    ]
    for n in range(SIZE - 2):
        new = NewEvent(kind=Kind.STEP_STARTED, key=f"k{n}", step="build", environment="qa", data={"n": n})
        ledger.record(ids[n % 2], new)
    return ledger


def deed(conn: Connection, row: int, data: st.DataObject) -> list[int]:
    """Do something to a row; return the ids of which the first problem must name one."""
    what = data.draw(st.sampled_from(["change", "remove", "cut", "swap", "put in"]))
    if what == "change":
        column = data.draw(st.sampled_from([c for c in COLUMNS if c not in ("id", "schema_version")]))
        old = conn.execute(text(f"SELECT {column} FROM event WHERE id = {row}")).scalar_one()
        at = data.draw(st.integers(0, len(old) - 1)) if old else 0
        new = old[:at] + ("x" if old[at : at + 1] != "x" else "y") + old[at + 1 :] if old else "x"
        conn.execute(text(f"UPDATE event SET {column} = :new WHERE id = {row}"), {"new": new})
        return [row]
    if what == "remove":
        conn.execute(text(f"DELETE FROM event WHERE id = {row}"))
        return [row - 1, row + 1]
    if what == "cut":
        conn.execute(text(f"DELETE FROM event WHERE id >= {row}"))
        return [row - 1]
    if what == "swap":
        other = data.draw(st.integers(1, SIZE).filter(lambda n: n != row))
        for old, new in ((row, 900), (other, row), (900, other)):
            conn.execute(text(f"UPDATE event SET id = {new} WHERE id = {old}"))
        return [min(row, other)]
    columns = [c for c in COLUMNS if c not in ("id", "key")]
    conn.execute(
        text(
            f"INSERT INTO event (id, key, {', '.join(columns)}) "
            f"SELECT {SIZE + 1}, 'put in', {', '.join(columns)} FROM event WHERE id = {row}"
        )
    )
    return [SIZE + 1]

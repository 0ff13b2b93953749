"""Checkpoints: what is before a signature can't be written anew without its key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: TID253
from sqlalchemy import Connection, NullPool, create_engine, insert, text

from relman_plugins.domain.chain import chain_hash
from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.errors import LedgerError
from relman_plugins.ledger import chain
from relman_plugins.ledger import tables as t
from relman_plugins.ledger.api import Ledger, ReleaseRecord
from relman_plugins.ledger.checkpoints import judge
from tests.ledger.test_chain import unprotected

KEY, OTHER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()


@pytest.fixture
def url(empty_url: str) -> str:
    """A database of its own."""
    Ledger(empty_url).migrate()
    return empty_url


@pytest.fixture
def signed(ledger: Ledger, release: ReleaseRecord) -> Ledger:
    for n in range(3):
        record(ledger, release, n)
    assert ledger.checkpoint(KEY) == ledger.head()
    record(ledger, release, 3)
    return ledger


def record(ledger: Ledger, release: ReleaseRecord, n: int) -> None:
    ledger.record(release.release_id, NewEvent(kind=Kind.STEP_STARTED, key=f"k{n}", step="s", data={"n": n}))


def problems(ledger: Ledger, key: Ed25519PrivateKey = KEY) -> dict[str, tuple[str, ...]]:
    found = ledger.verify(signed=judge(key.public_key()))
    return {one.check: one.problems for one in found if one.problems}


def rewrite(url: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the record from event 3 on as its owner could: every hash anew, and the head."""
    with create_engine(url, poolclass=NullPool).connect() as conn:
        unprotected(conn)
        conn.commit()
        rows = [dict(zip(chain.COLUMNS, row, strict=True)) for row in conn.execute(chain.raw_events(conn))]
        last = prev = ""
        for row in rows:
            if row["id"] == 3:
                change(row)
            moments = [chain._moment(row[name]) for name in ("at", "recorded_at")]
            values = [row[name] for name in chain.COLUMNS[:-3]]
            values[4:6] = moments
            row["prev_release_hash"], row["prev_hash"] = last, prev
            row["hash"] = last = prev = chain_hash(*values, row["prev_release_hash"], row["prev_hash"])
            columns = ", ".join(f"{n} = :{n}" for n in ("kind", "prev_release_hash", "prev_hash", "hash"))
            known = {n: row[n] for n in ("id", "kind", "prev_release_hash", "prev_hash", "hash")}
            conn.execute(text(f"UPDATE event SET {columns} WHERE id = :id"), known)
        conn.execute(text("UPDATE head SET hash = :hash"), {"hash": prev})
        conn.commit()
        if conn.dialect.name == "postgresql":
            for table in t.metadata.tables:
                conn.execute(text(f'ALTER TABLE "{table}" ENABLE TRIGGER ALL'))
            conn.commit()


def fail_it(row: dict[str, Any]) -> None:
    row["kind"] = "step.failed"


def test_what_is_signed_holds_and_is_signed_once(signed: Ledger) -> None:
    assert problems(signed) == {}
    assert signed.checkpoint(KEY) == signed.head()
    assert signed.checkpoint(KEY) is None
    assert problems(signed) == {}


def test_a_record_that_was_written_anew_is_found_by_the_signature_alone(signed: Ledger, url: str) -> None:
    anchor = signed.head()
    rewrite(url, fail_it)
    found = problems(signed)
    assert "chain" not in found
    assert found["signatures"] == (
        "checkpoint at event 4: the record up to there is not the one that was signed",
    )
    (kept,) = [c for c in signed.verify(anchor=anchor) if c.check == "anchor"]
    assert kept.problems == ("event 5 has another hash now: it, or something before it, was changed",)


def test_a_key_of_before_is_given_beside_the_new_one(signed: Ledger) -> None:
    signed.checkpoint(OTHER)
    assert len(problems(signed)["signatures"]) == 1
    both = judge(KEY.public_key(), OTHER.public_key())
    (found,) = [c for c in signed.verify(signed=both) if c.check == "signatures"]
    assert (found.problems, found.looked_at, found.signed_up_to) == ((), 2, signed.head().id)


def test_another_key_and_a_broken_signature_are_told_apart(signed: Ledger, url: str) -> None:
    assert "another key" in problems(signed, OTHER)["signatures"][0]
    with create_engine(url, poolclass=NullPool).begin() as conn:
        conn.execute(text("UPDATE checkpoint SET at = '2020-01-01 00:00:00.000000'"))
    assert "does not hold" in problems(signed)["signatures"][0]


def test_a_record_that_does_not_hold_is_not_signed_any_further(signed: Ledger, url: str) -> None:
    rewrite(url, fail_it)
    with pytest.raises(LedgerError, match="does not hold at event 5"):
        signed.checkpoint(KEY)


def test_a_ledger_without_anything_has_nothing_to_sign(ledger: Ledger) -> None:
    assert ledger.checkpoint(KEY) is None


def test_a_key_at_hand_and_nothing_signed_is_told(ledger: Ledger, release: ReleaseRecord) -> None:
    assert "nothing of this record is signed" in problems(ledger)["signatures"][0]


def test_after_an_anchor_that_was_cut_off_the_check_says_so(signed: Ledger, url: str) -> None:
    anchor = signed.head()
    with create_engine(url, poolclass=NullPool).connect() as conn:
        unprotected(conn)
        conn.execute(text("DELETE FROM outbox"))
        conn.execute(text("DELETE FROM event WHERE id > 4"))
        hash_ = conn.execute(text("SELECT hash FROM event WHERE id = 4")).scalar_one()
        conn.execute(text("UPDATE head SET id = 4, length = 4, hash = :hash"), {"hash": hash_})
        conn.commit()
    assert "chain" not in {c.check for c in signed.verify() if c.problems}
    (kept,) = [c for c in signed.verify(anchor=anchor) if c.check == "anchor"]
    assert kept.problems == ("the record does not reach event 5: its end was cut",)


def _hide(conn: Connection) -> None:
    """Remove two events of the middle, and bridge the gap with what an archive would have left."""
    unprotected(conn)
    first, last = conn.execute(
        text("SELECT prev_hash, hash FROM event WHERE key IN ('k4', 'k5') ORDER BY id")
    ).all()
    ids = [row.id for row in conn.execute(text("SELECT id FROM event WHERE key IN ('k4', 'k5') ORDER BY id"))]
    conn.execute(
        insert(t.archived_run).values(
            first_id=ids[0], last_id=ids[1], length=2, prev_hash=first[0], hash=last[1], archive_id=0
        )
    )
    conn.execute(text("DELETE FROM event WHERE key IN ('k4', 'k5')"))


def test_nothing_is_signed_over_a_gap_that_no_archive_left(
    signed: Ledger, release: ReleaseRecord, url: str
) -> None:
    for n in range(4, 7):
        record(signed, release, n)
    with create_engine(url, poolclass=NullPool).connect() as conn:
        if conn.dialect.name == "postgresql":
            conn.execute(text("SET session_replication_role = replica"))
        _hide(conn)
        conn.commit()
    with pytest.raises(LedgerError, match="does not hold at"):
        signed.checkpoint(KEY)

"""Checkpoints: where the chain ends at a moment, signed with a key that the database's owner does not have.

One signature covers everything before it, so one each time that something was recorded is enough, and no task
needs the key. What was recorded after the last one is covered by the next.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select

from relman_plugins.domain.base import canonical_json
from relman_plugins.domain.chain import FIRST, Head, moment_text
from relman_plugins.errors import LedgerError
from relman_plugins.ledger import tables as t
from relman_plugins.ledger.archive import meddled
from relman_plugins.ledger.chain import computed, head, raw_events
from relman_plugins.ledger.database import Database, serialise
from relman_plugins.ledger.keys import key_id

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
    from sqlalchemy import Connection


def checkpoint(db: Database, key: Ed25519PrivateKey) -> Head | None:
    """Sign where the chain ends now; return it, or None when nothing came since the last checkpoint.

    Signs only what follows from the last checkpoint without a break.

    Raises:
        LedgerError: What was recorded since the last checkpoint does not hold; nothing is signed.
        LedgerUnavailable: The ledger does not answer.
    """
    with db.write() as conn:
        serialise(conn, "ids")
        end = head(conn)
        last = conn.execute(select(t.checkpoint).order_by(t.checkpoint.c.id.desc()).limit(1)).first()
        if end is None or not end.length or (last is not None and last.id >= end.id):
            return None
        _check_since(conn, last, end)
        row: dict[str, Any] = {
            "id": end.id,
            "hash": end.hash,
            "length": end.length,
            "at": db.now(),
            "key_id": key_id(key.public_key()),
        }
        signature = base64.b64encode(key.sign(signed_bytes(row))).decode()
        conn.execute(insert(t.checkpoint).values(row | {"signature": signature}))
        return end


def _check_since(conn: Connection, last: Any, end: Head) -> None:
    """Raise LedgerError unless the events since the last checkpoint go from there to the end."""
    at, prev = (last.id, last.hash) if last is not None else (0, FIRST)
    notes = list(conn.execute(select(t.archive).where(t.archive.c.id > at)))
    runs = list(conn.execute(select(t.archived_run).where(t.archived_run.c.first_id > at)))
    whole = {r.id for r in notes if not any(meddled(conn, r))}
    links = [(r.id, r.prev_hash, r.hash if r.id in whole else "") for r in notes]
    # What is archived since the checkpoint is noted since, too: a stretch without its note was put in.
    links += [(r.first_id, r.prev_hash, r.hash if r.archive_id in whole else "") for r in runs]
    for row in conn.execute(raw_events(conn, after=at), execution_options={"yield_per": 1000}):
        links.append((row.id, row.prev_hash, row.hash if computed(row) == row.hash else ""))
    for id_, before, hash_ in sorted(links):
        if before != prev or not hash_:
            raise LedgerError(
                f"the record does not hold at event {id_}, so it is not signed any further; "
                "`relman ledger verify` says what was done to it"
            )
        prev = hash_
    if prev != end.hash:
        raise LedgerError(
            "the record does not end where its head says, so it is not signed any further; "
            "`relman ledger verify` says what was done to it"
        )


def signed_bytes(row: Any) -> bytes:
    """Return what a checkpoint's signature is over, from its columns."""
    return canonical_json(
        {
            "type": "relman/checkpoint/1",
            "id": row["id"],
            "hash": row["hash"],
            "length": row["length"],
            "at": moment_text(row["at"]),
            "key_id": row["key_id"],
        }
    ).encode()


def judge(*keys: Ed25519PublicKey) -> Callable[[Any], str]:
    """Return what says of a checkpoint's row what is wrong with its signature: empty when it holds.

    Of one key after another, each holds for what was signed with it.
    """
    from cryptography.exceptions import InvalidSignature

    known = {key_id(key): key for key in keys}

    def wrong(row: Any) -> str:
        values = dict(row._mapping)
        if (key := known.get(values["key_id"])) is None:
            return f"it is signed with another key ({values['key_id']}), not with {' or '.join(known)}"
        try:
            key.verify(base64.b64decode(values["signature"], validate=True), signed_bytes(values))
        except (InvalidSignature, binascii.Error):
            return "its signature does not hold"
        return ""

    return wrong

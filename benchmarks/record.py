"""What the hash chain costs: recording an event, verifying many. ``python -m benchmarks.record [EVENTS]``."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from sqlalchemy import insert, text

from relman_plugins.domain.base import canonical_json
from relman_plugins.domain.chain import FIRST, chain_hash, moment_text
from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.domain.identity import Actor
from relman_plugins.ledger import tables as t
from relman_plugins.ledger.api import Ledger
from relman_plugins.plan.model import Options, ReleasePlan
from tests.ledger.make import make_shape

EACH = 50
"""Events of one release."""

DATA = {
    "desired": {"stable": {"version": "1.1.0", "digest": "sha256:" + "a" * 64}, "candidate_weight": 10},
    "message": "canary_10: 10 % of the traffic goes to 1.1.0, 2 of 2 replicas are ready",
}


def recorded(ledger: Ledger, release_id: str, count: int) -> float:
    """Record events one by one; return the milliseconds of one."""
    began = time.perf_counter()
    for n in range(count):
        ledger.record(release_id, NewEvent(kind=Kind.STEP_STARTED, key=f"bench:{n}", step="build", data=DATA))
    return (time.perf_counter() - began) / count * 1000


def fill(ledger: Ledger, releases: int) -> None:
    """Write the events of as many releases as relman would, taking turns by fifties, without its checks."""
    plan = ReleasePlan(shape=make_shape(), options=Options(version="1"))
    ids = [
        ledger.open_release(plan=plan, dag_id="d", run_id=f"{n}", started_by=Actor(), conf={}).release_id
        for n in range(releases)
    ]
    actor, data, now = canonical_json(Actor().model_dump(mode="json")), canonical_json(DATA), ledger.now()
    head = ledger.head()
    prev, id_, last = head.hash, head.id, dict.fromkeys(ids, FIRST)
    with ledger._db.write() as conn:
        for row in conn.execute(text("SELECT release_id, hash FROM event")):
            last[row.release_id] = row.hash
        for start in range(0, releases, EACH):
            rows: list[dict[str, Any]] = []
            for n in range(EACH - 1):
                for release_id in ids[start : start + EACH]:
                    id_ += 1
                    key, at = f"{release_id}:{n}", moment_text(now)
                    hash_ = chain_hash(
                        id_, release_id, "step.started", key, at, at, "build", None, actor, data, 1,
                        last[release_id], prev,
                    )  # fmt: skip
                    rows.append(
                        {
                            "id": id_, "release_id": release_id, "kind": "step.started", "key": key,
                            "at": now, "recorded_at": now, "step": "build", "environment": None,
                            "actor": Actor().model_dump(mode="json"), "data": DATA, "schema_version": 1,
                            "prev_release_hash": last[release_id], "prev_hash": prev, "hash": hash_,
                        }
                    )  # fmt: skip
                    last[release_id] = prev = hash_
            conn.execute(insert(t.event), rows)
        conn.execute(text("UPDATE head SET id = :id, hash = :hash, length = :id"), {"id": id_, "hash": prev})


def main() -> None:
    """Measure on a SQLite file of its own, and print."""
    events = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory(prefix="relman-bench-") as folder:
        ledger = Ledger(f"sqlite:///{Path(folder) / 'ledger.db'}")
        ledger.migrate()
        began = time.perf_counter()
        fill(ledger, events // EACH)
        print(f"{events} events of {events // EACH} releases written in {time.perf_counter() - began:.0f} s")
        began, cpu = time.perf_counter(), time.process_time()
        checks = ledger.verify()
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
        assert not [p for c in checks for p in c.problems], checks
        print(f"verified in {took:.1f} s ({cpu:.1f} s of one core): {cpu / events * 1e6:.0f} µs an event")
        release = ledger.releases(limit=1)[0].release_id
        print(f"one event recorded in {recorded(ledger, release, 500):.2f} ms")


if __name__ == "__main__":
    main()

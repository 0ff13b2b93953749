"""Several processes and threads at once, as Airflow's workers are."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.domain.identity import Person
from relman_plugins.domain.status import Decision
from relman_plugins.ledger.api import Ledger, Lock, ReleaseRecord
from tests.ledger.make import GATE, Open, make_shape, open_gate


def in_processes(count: int, work: Callable[[int], Any]) -> list[Any]:
    """Run ``work`` in forked children that start together; return what each returned or raised."""
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    start = context.Barrier(count)

    def child(i: int) -> None:
        start.wait(30)
        try:
            results.put(work(i))
        except Exception as error:
            results.put(error)

    children = [context.Process(target=child, args=(i,)) for i in range(count)]
    for process in children:
        process.start()
    found = [results.get() for _ in children]
    for process in children:
        process.join(30)
    assert [p.exitcode for p in children] == [0] * count
    return found


def in_threads(count: int, work: Callable[[int], Any]) -> list[Any]:
    start = threading.Barrier(count)

    def task(i: int) -> Any:
        start.wait(30)
        return work(i)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(task, range(count)))


def test_one_key_from_eight_processes_is_one_row(ledger: Ledger, release: ReleaseRecord) -> None:
    new = NewEvent(kind=Kind.STEP_FAILED, key="same", step="build")
    found = in_processes(8, lambda _: ledger.record(release.release_id, new))
    assert sum(r is not None for r in found) == 1, found
    assert not [r for r in found if isinstance(r, Exception)]
    assert len(ledger.events(release.release_id, kinds=[Kind.STEP_FAILED])) == 1
    assert ledger.outbox.pending() == 2


def test_one_key_of_two_releases_is_one_row(ledger: Ledger, open_release: Open) -> None:
    ids = [open_release(f"run-{i}").release_id for i in range(8)]
    found = in_threads(8, lambda i: ledger.record(ids[i], NewEvent(kind=Kind.STEP_FAILED, key="same")))
    assert sum(r is not None for r in found) == 1


def test_many_writers_lose_nothing(ledger: Ledger, release: ReleaseRecord) -> None:
    def write(i: int) -> list[Any]:
        return [
            ledger.record(release.release_id, NewEvent(kind=Kind.STEP_FAILED, key=f"{i}:{j}"))
            for j in range(20)
        ]

    found = in_processes(8, write)
    assert not [r for r in found if isinstance(r, Exception)]
    keys = {e.key for e in ledger.events(release.release_id, kinds=[Kind.STEP_FAILED])}
    assert keys == {f"{i}:{j}" for i in range(8) for j in range(20)}
    assert ledger.outbox.pending() == 161


def test_a_reader_that_reads_on_misses_nothing(ledger: Ledger, open_release: Open) -> None:
    ids = [open_release(f"run-{i}").release_id for i in range(4)]
    start = ledger.last_event_id()
    seen: list[int] = []
    done = threading.Event()

    def read_on() -> None:
        last = start
        while True:
            finished = done.is_set()
            newest = ledger.last_event_id()
            seen.extend(e.id for r in ids for e in ledger.events(r, after=last) if e.id <= newest)
            last = newest
            if finished:
                return

    reader = threading.Thread(target=read_on)
    reader.start()
    try:
        in_threads(
            4,
            lambda i: [
                ledger.record(ids[i], NewEvent(kind=Kind.STEP_STARTED, key=f"{i}:{j}", step="s"))
                for j in range(25)
            ],
        )
    finally:
        done.set()
        reader.join(30)
    assert len(seen) == len(set(seen)) == 100


def test_one_run_opened_by_eight_processes_is_one_release(ledger: Ledger, open_release: Open) -> None:
    found = in_processes(8, lambda _: open_release("run-x").release_id)
    assert set(found) == {"checkout-1.1.0-1"}
    assert len(ledger.releases()) == 1


def test_eight_runs_at_once_get_eight_numbers(open_release: Open) -> None:
    found = in_processes(8, lambda i: open_release(f"run-{i}").n)
    assert sorted(found) == list(range(1, 9))


CROWD = tuple(Person(id=f"p{i}", airflow=f"user{i}", name=f"P{i}") for i in range(50))


def test_fifty_people_at_once_lose_no_vote_and_decide_once(ledger: Ledger, open_release: Open) -> None:
    release = open_release(shape=make_shape(people=CROWD, quorum=50))
    open_gate(ledger, release, people=CROWD, quorum=50)

    def vote(i: int) -> Any:
        return ledger.votes.cast(
            release.release_id, GATE, airflow_user=f"user{i}", decision=Decision.APPROVE, via="api"
        )

    found = in_threads(50, vote)
    assert [r for r in found if not r.accepted] == []
    gate = ledger.votes.gate(release.release_id, GATE)
    assert gate is not None
    assert gate.state == "approved"
    assert {v.person for v in gate.votes} == {p.id for p in CROWD}
    assert len(ledger.events(release.release_id, kinds=[Kind.GATE_VOTED])) == 50
    assert len(ledger.events(release.release_id, kinds=[Kind.GATE_DECIDED])) == 1
    assert sorted(r.gate.missing for r in found) == list(range(50))


def test_approve_against_reject_is_one_decision_by_the_first(ledger: Ledger, open_release: Open) -> None:
    for n in range(12):
        release = open_release(f"run-{n}")
        open_gate(ledger, release)

        def vote(i: int, release_id: str = release.release_id) -> Any:
            user, decision = [("a.alice", Decision.APPROVE), ("a.bob", Decision.REJECT)][i]
            return ledger.votes.cast(release_id, GATE, airflow_user=user, decision=decision, via="api")

        found = (in_threads if n % 2 else in_processes)(2, vote)
        gate = ledger.votes.gate(release.release_id, GATE)
        assert gate is not None
        (decided,) = ledger.events(release.release_id, kinds=[Kind.GATE_DECIDED])
        (voted,) = ledger.events(release.release_id, kinds=[Kind.GATE_VOTED])
        assert [r.code for r in found if not r.accepted] == ["decided"]
        assert gate.state == {"alice": "approved", "bob": "rejected"}[voted.data["person"]]
        assert (decided.data["by"], gate.decided_by) == (voted.data["person"],) * 2
        assert decided.id > voted.id


def test_one_person_voting_ten_times_at_once_counts_once(ledger: Ledger, open_release: Open) -> None:
    release = open_release(shape=make_shape(quorum=2))
    open_gate(ledger, release, quorum=2)

    def vote(_: int) -> Any:
        return ledger.votes.cast(
            release.release_id, GATE, airflow_user="a.alice", decision=Decision.APPROVE, via="api"
        )

    found = in_threads(10, vote)
    assert sorted(r.code for r in found) == ["accepted", *["voted_already"] * 9]
    assert found[0].gate.state == "open"


def test_one_of_many_gets_the_lock(ledger: Ledger, open_release: Open) -> None:
    ids = [open_release(f"run-{i}").release_id for i in range(8)]
    found = in_processes(8, lambda i: ledger.locks.acquire("production", "checkout", ids[i], 60))
    assert sum(isinstance(r, Lock) for r in found) == 1
    assert not [r for r in found if isinstance(r, Exception)]


def test_expired_locks_that_cross_over_never_block_each_other(ledger: Ledger, open_release: Open) -> None:
    # Each takes over what the other held: the two releases' events are written in both directions at once.
    a, b = open_release("a").release_id, open_release("b").release_id
    for _ in range(10):
        for environment, holder in (("one", a), ("two", b)):
            ledger.locks.acquire(environment, "checkout", holder, -1)
        found = in_threads(2, lambda i: ledger.locks.acquire(("one", "two")[i], "checkout", (b, a)[i], -1))
        assert all(isinstance(r, Lock) for r in found)


def test_a_forked_child_leaves_its_parents_connections_alone(ledger: Ledger, release: ReleaseRecord) -> None:
    ledger.events(release.release_id)
    for n in range(3):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                ledger.record(release.release_id, NewEvent(kind=Kind.STEP_FAILED, key=f"child-{n}"))
                code = 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        ledger.record(release.release_id, NewEvent(kind=Kind.STEP_FAILED, key=f"parent-{n}"))
    assert len(ledger.events(release.release_id, kinds=[Kind.STEP_FAILED])) == 6

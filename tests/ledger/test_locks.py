from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from relman_plugins.domain.event import Kind
from relman_plugins.domain.identity import Actor
from relman_plugins.errors import LedgerConflict, LedgerError, Refused
from relman_plugins.ledger.api import Busy, Ledger, Lock, ReleaseRecord
from relman_plugins.plan.model import Options, ReleasePlan
from tests.ledger.make import Clock, Open, make_shape

HERE = ("production", "checkout")
DANA = Actor(kind="person", id="dana", name="Dana")


def take(ledger: Ledger, release: ReleaseRecord, ttl_s: float = 60) -> Lock:
    lock = ledger.locks.acquire(*HERE, release.release_id, ttl_s)
    assert isinstance(lock, Lock)
    return lock


def kinds(ledger: Ledger, release: ReleaseRecord) -> list[str]:
    return [e.kind.value for e in ledger.events(release.release_id) if e.kind.value.startswith("lock.")]


@pytest.fixture
def other(open_release: Open, release: ReleaseRecord) -> ReleaseRecord:
    return open_release("run-2")


def test_one_release_at_a_time(
    ledger: Ledger, release: ReleaseRecord, other: ReleaseRecord, clock: Clock
) -> None:
    lock = take(ledger, release)
    clock.forward(10)
    busy = ledger.locks.acquire(*HERE, other.release_id, 60)
    assert isinstance(busy, Busy)
    assert (busy.holder, busy.since, busy.expires_at) == (
        release.release_id,
        lock.acquired_at,
        lock.expires_at,
    )
    assert isinstance(ledger.locks.acquire("staging", "checkout", other.release_id, 60), Lock)
    assert isinstance(ledger.locks.acquire("production", "search", other.release_id, 60), Lock)
    assert ledger.locks.held(release.release_id) == [lock]
    assert len(ledger.locks.held()) == 3


def test_the_holder_keeps_its_token(ledger: Ledger, release: ReleaseRecord, clock: Clock) -> None:
    first = take(ledger, release)
    clock.forward(30)
    again = take(ledger, release)
    assert again.token == first.token
    assert (again.expires_at - first.expires_at).total_seconds() == 30
    assert take(ledger, release, ttl_s=1).expires_at == again.expires_at
    assert kinds(ledger, release) == ["lock.acquired"]


def test_an_expired_lock_is_taken_over_with_a_higher_token(
    ledger: Ledger, release: ReleaseRecord, other: ReleaseRecord, clock: Clock
) -> None:
    old = take(ledger, release)
    clock.forward(60)
    new = take(ledger, other)
    assert new.token > old.token
    assert kinds(ledger, release) == ["lock.acquired", "lock.expired"]
    with pytest.raises(LedgerConflict, match=f"lost token 1, now {other.release_id} holds it"):
        ledger.locks.renew(old, 60)
    assert ledger.locks.release(*HERE, release.release_id) is False
    assert ledger.locks.held() == [new]


def test_a_holder_advances_its_token_and_nobody_else_does(ledger: Ledger, release: ReleaseRecord) -> None:
    assert ledger.locks.advance("production", "checkout", release.release_id) is None
    lock = ledger.locks.acquire("production", "checkout", release.release_id, 60)
    assert isinstance(lock, Lock)
    advanced = ledger.locks.advance("production", "checkout", release.release_id)
    assert advanced is not None
    assert advanced.token > lock.token
    assert ledger.locks.held() == [advanced]
    with pytest.raises(LedgerConflict):
        ledger.locks.renew(lock, 60)


def test_a_lock_is_given_back_once(ledger: Ledger, release: ReleaseRecord) -> None:
    lock = take(ledger, release)
    assert ledger.locks.release(*HERE, release.release_id) is True
    assert ledger.locks.release(*HERE, release.release_id) is False
    assert kinds(ledger, release) == ["lock.acquired", "lock.released"]
    with pytest.raises(LedgerConflict, match="nobody holds it"):
        ledger.locks.renew(lock, 60)
    assert take(ledger, release).token > lock.token


def test_renewing_extends(ledger: Ledger, release: ReleaseRecord, clock: Clock) -> None:
    lock = take(ledger, release)
    clock.forward(50)
    renewed = ledger.locks.renew(lock, 60)
    assert (renewed.expires_at - lock.expires_at).total_seconds() == 50
    assert renewed.token == lock.token


def test_only_a_person_with_a_reason_breaks_a_lock(
    ledger: Ledger, release: ReleaseRecord, other: ReleaseRecord
) -> None:
    assert ledger.locks.break_lock(*HERE, actor=DANA, reason="stuck") is None
    lock = take(ledger, release)
    for actor, reason in ((Actor(), "stuck"), (DANA, "  ")):
        with pytest.raises(Refused, match="only by a named person who gives a reason"):
            ledger.locks.break_lock(*HERE, actor=actor, reason=reason)
    assert ledger.locks.break_lock(*HERE, actor=DANA, reason="stuck") == lock
    (broken,) = ledger.events(release.release_id, kinds=[Kind.LOCK_BROKEN])
    assert broken.actor == DANA
    assert broken.environment == "production"
    assert broken.data == {"service": "checkout", "token": 1, "holder": release.release_id, "reason": "stuck"}
    assert take(ledger, other).token > lock.token


def test_a_lock_that_changed_hands_since_somebody_looked_is_not_broken(
    ledger: Ledger, release: ReleaseRecord, other: ReleaseRecord, clock: Clock
) -> None:
    seen = take(ledger, release)
    clock.forward(60)
    new = take(ledger, other)
    with pytest.raises(Refused, match=f"changed hands: {other.release_id} holds it"):
        ledger.locks.break_lock(*HERE, actor=DANA, reason="stuck", token=seen.token)
    assert ledger.locks.held() == [new]
    assert ledger.locks.break_lock(*HERE, actor=DANA, reason="stuck", token=new.token) == new


def test_a_lock_that_is_renewed_while_expired_ones_are_swept_stays(
    ledger: Ledger, release: ReleaseRecord, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = take(ledger, release)
    clock.forward(60)
    listed = ledger.locks.held

    def listed_then_renewed() -> list[Lock]:
        found = listed()
        ledger.locks.renew(lock, 60)
        return found

    with monkeypatch.context() as patched:
        patched.setattr(ledger.locks, "held", listed_then_renewed)
        assert ledger.locks.expire() == []
    assert [held.token for held in ledger.locks.held()] == [lock.token]


def test_expired_locks_are_swept(
    ledger: Ledger, release: ReleaseRecord, other: ReleaseRecord, clock: Clock
) -> None:
    lock = take(ledger, release)
    ledger.locks.acquire("staging", "checkout", other.release_id, 600)
    assert ledger.locks.expire() == []
    clock.forward(60)
    assert ledger.locks.expire() == [lock]
    assert ledger.locks.expire() == []
    assert [held.environment for held in ledger.locks.held()] == ["staging"]
    assert kinds(ledger, release) == ["lock.acquired", "lock.expired"]


def test_a_lock_of_no_release_is_an_error(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="no release 'ghost'"):
        ledger.locks.acquire(*HERE, "ghost", 60)
    assert ledger.locks.held() == []


class LockMachine(RuleBasedStateMachine):
    """Any order of calls: one unexpired holder at a time, tokens strictly grow, events tell the story."""

    template: Path

    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        shutil.copy(self.template, self.folder / "ledger.db")
        self.clock = Clock()
        self.ledger = Ledger(f"sqlite:///{self.folder}/ledger.db", clock=self.clock)
        self.ids = [
            self.ledger.open_release(
                plan=ReleasePlan(shape=make_shape(), options=Options(version="1")),
                dag_id="d",
                run_id=str(i),
                started_by=Actor(),
                conf={},
            ).release_id
            for i in range(3)
        ]
        self.model: tuple[int, float] | None = None
        self.token = 0
        self.lock: Lock | None = None

    def alive(self) -> bool:
        return self.model is not None and self.model[1] > self.clock.now.timestamp()

    @rule(who=st.integers(0, 2), ttl_s=st.integers(1, 5))
    def acquire(self, who: int, ttl_s: int) -> None:
        result = self.ledger.locks.acquire(*HERE, self.ids[who], ttl_s)
        if self.alive() and self.model is not None and self.model[0] != who:
            assert isinstance(result, Busy)
            assert result.holder == self.ids[self.model[0]]
            return
        assert isinstance(result, Lock)
        mine = self.model is not None and self.model[0] == who
        assert result.token == self.token if mine else result.token > self.token
        assert result.expires_at >= self.clock.forward(0)
        self.token, self.lock = result.token, result
        self.model = (who, result.expires_at.timestamp())

    @rule(who=st.integers(0, 2))
    def release(self, who: int) -> None:
        mine = self.model is not None and self.model[0] == who
        assert self.ledger.locks.release(*HERE, self.ids[who]) is mine
        self.model = None if mine else self.model

    @rule()
    def break_it(self) -> None:
        broken = self.ledger.locks.break_lock(*HERE, actor=DANA, reason="why not")
        assert (broken is not None) == (self.model is not None)
        self.model = None

    @rule()
    def sweep(self) -> None:
        over = self.model is not None and not self.alive()
        assert len(self.ledger.locks.expire()) == over
        self.model = None if over else self.model

    @rule(seconds=st.integers(1, 4))
    def wait(self, seconds: int) -> None:
        self.clock.forward(seconds)

    @rule()
    def renew_the_last_one_seen(self) -> None:
        if self.lock is None:
            return
        if self.model is None or self.lock.token != self.token:
            with pytest.raises(LedgerConflict):
                self.ledger.locks.renew(self.lock, 3)
        else:
            self.model = (self.model[0], self.ledger.locks.renew(self.lock, 3).expires_at.timestamp())

    def teardown(self) -> None:
        if hasattr(self, "ledger"):
            events = [e for r in self.ids for e in self.ledger.events(r)]
            taken = [e.data["token"] for e in events if e.kind is Kind.LOCK_ACQUIRED]
            left = [
                e.data["token"]
                for e in events
                if e.kind in (Kind.LOCK_RELEASED, Kind.LOCK_BROKEN, Kind.LOCK_EXPIRED)
            ]
            assert sorted(taken) == list(range(1, self.token + 1))
            assert sorted(left) == sorted(taken)[: len(taken) - (self.model is not None)]
            self.ledger.close()
            shutil.rmtree(self.folder)


def test_locks_in_any_order(sqlite_template: Path) -> None:
    machine = type("Machine", (LockMachine,), {"template": sqlite_template})
    run_state_machine_as_test(
        machine, settings=settings(max_examples=25, stateful_step_count=25, deadline=None)
    )

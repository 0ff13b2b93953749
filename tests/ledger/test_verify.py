"""What ``relman ledger verify`` finds in a database that somebody meddled with."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import NullPool, create_engine, text

from relman_plugins.domain.status import Decision
from relman_plugins.errors import LedgerUnavailable
from relman_plugins.ledger import tables as t
from relman_plugins.ledger.api import Ledger
from tests.ledger.make import GATE, Open, open_gate

Meddle = Callable[..., dict[str, tuple[str, ...]]]


@pytest.fixture
def url(empty_url: str) -> str:
    """A database of its own: what is taken from it is not put back."""
    Ledger(empty_url).migrate()
    return empty_url


@pytest.fixture
def meddle(ledger: Ledger, open_release: Open, url: str) -> Meddle:
    """Fill the ledger, run statements on its database, and return what is wrong with it then, by check."""
    release = open_release()
    open_gate(ledger, release)
    ledger.votes.cast(release.release_id, GATE, airflow_user="a.alice", decision=Decision.APPROVE, via="api")
    ledger.locks.acquire("production", "checkout", release.release_id, 60)

    def meddle(*statements: str, unprotected: bool = True) -> dict[str, tuple[str, ...]]:
        with create_engine(url, poolclass=NullPool).begin() as conn:
            for table in t.APPEND_ONLY if unprotected else ():
                if url.startswith("sqlite"):
                    for verb in ("update", "delete", "replace"):
                        conn.execute(text(f"DROP TRIGGER relman_{table}_{verb}"))
                else:
                    conn.execute(text(f'ALTER TABLE "{table}" DISABLE TRIGGER relman_append_only'))
            for statement in statements:
                conn.execute(text(statement))
        return {check.check: check.problems for check in ledger.verify() if check.problems}

    return meddle


def test_what_relman_wrote_is_right(ledger: Ledger, meddle: Meddle) -> None:
    assert meddle(unprotected=False) == {}
    looked_at = {check.check: check.looked_at for check in ledger.verify()}
    assert (looked_at["releases"], looked_at["votes"], looked_at["locks"]) == (1, 1, 1)
    assert looked_at["events"] == 5


def test_a_record_without_protection_is_found(meddle: Meddle) -> None:
    found = meddle()
    assert set(found) == {"append-only"}
    assert "restore" in found["append-only"][0]


PAINTED = {
    "sqlite": (
        "DROP TRIGGER relman_vote_delete",
        "CREATE TRIGGER relman_vote_delete BEFORE DELETE ON \"vote\" BEGIN SELECT 'append-only'; END",
        "DROP TRIGGER relman_event_update",
        'CREATE TRIGGER relman_event_update BEFORE UPDATE OF kind ON "event" '
        "BEGIN SELECT RAISE(ABORT, 'append-only'); END",
    ),
    "postgresql": (
        "DROP TRIGGER relman_append_only ON vote",
        "CREATE TRIGGER relman_append_only BEFORE UPDATE OR TRUNCATE ON vote "
        "FOR EACH STATEMENT EXECUTE FUNCTION relman_append_only()",
        "ALTER TABLE vote ENABLE ALWAYS TRIGGER relman_append_only",
        "ALTER TABLE event ENABLE TRIGGER relman_append_only",
    ),
}


def test_a_protection_that_only_looks_like_it_is_found(meddle: Meddle, url: str) -> None:
    found = meddle(*PAINTED[url.partition(":")[0].partition("+")[0]], unprotected=False)
    assert set(found) == {"append-only"}
    assert {line.split()[1] for line in found["append-only"]} == {"vote", "event"}


@pytest.mark.parametrize("empty_url", ["postgresql"], indirect=True)
def test_a_function_that_refuses_nothing_any_more_is_found(meddle: Meddle) -> None:
    nothing = (
        "CREATE OR REPLACE FUNCTION relman_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RETURN NULL; END $$"
    )
    assert len(meddle(nothing, unprotected=False)["append-only"]) == len(t.APPEND_ONLY)


@pytest.mark.parametrize("empty_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("ALTER TABLE vote DROP CONSTRAINT uq_vote_release_id_gate_round_person", "vote has lost its constr"),
        ("ALTER TABLE event DROP CONSTRAINT fk_event_release_id", "event has lost its constraint on release"),
        ("ALTER TABLE token DROP CONSTRAINT pk_token", "token has lost its primary key"),
        ("ALTER TABLE outbox DISABLE TRIGGER ALL", "the references of table outbox are switched off"),
        (
            "ALTER TABLE lease ADD CONSTRAINT named CHECK (name <> '') NOT VALID",
            "constraint named was never checked",
        ),
    ],
)
def test_keys_that_postgresql_does_not_keep_any_more_are_told(
    meddle: Meddle, statement: str, said: str
) -> None:
    found = meddle(statement, unprotected=False)
    assert set(found) == {"database"}
    assert said in " ".join(found["database"])


@pytest.mark.parametrize(
    ("statement", "check", "said"),
    [
        ("UPDATE event SET kind = 'gate.painted' WHERE kind = 'gate.opened'", "events", "gate.painted"),
        ("UPDATE release SET plan_hash = 'sha256:0'", "releases", "not the one that it was opened with"),
        ("UPDATE event SET kind = 'step.started' WHERE kind = 'release.opened'", "endings", "not begin with"),
        (
            "UPDATE event SET kind = 'release.closed' WHERE kind LIKE 'gate.%'",
            "endings",
            "was closed 3 times",
        ),
        (
            "UPDATE event SET kind = 'release.closed' WHERE kind IN ('gate.opened', 'gate.voted')",
            "endings",
            "was closed 2 times",
        ),
        ("UPDATE vote SET decision = 'reject'", "votes", "vote and event of alice differ"),
        ("DELETE FROM vote", "votes", "an event without its vote"),
        ("UPDATE token SET last = 0", "locks", "token 1 was given, but the counter is at 0"),
        ("DELETE FROM token", "locks", "token 1 was given"),
    ],
)
def test_what_does_not_fit_is_told(meddle: Meddle, statement: str, check: str, said: str) -> None:
    found = meddle(statement)
    assert said in " ".join(found[check])


def test_many_problems_are_counted(meddle: Meddle) -> None:
    copies = (
        "INSERT INTO event (id, release_id, kind, key, at, recorded_at, actor, data, schema_version, hash) "
        f"SELECT {n} + 50, release_id, 'odd', 'k{n}', at, recorded_at, actor, data, schema_version, 'h' "
        "FROM event LIMIT 1"
        for n in range(30)
    )
    assert meddle(*copies)["events"][-1] == "and 10 more"


def test_another_schema_is_said_first(empty_url: str) -> None:
    with pytest.raises(LedgerUnavailable, match="relman ledger migrate"):
        Ledger(empty_url).verify()

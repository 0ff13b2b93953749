"""The ledger: every event of every release, append-only, in its own database."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from relman_plugins.domain.chain import FIRST, ChainedEvent, Head
from relman_plugins.domain.event import Event, Kind, NewEvent
from relman_plugins.domain.identity import Actor
from relman_plugins.domain.state import Revision
from relman_plugins.errors import LedgerError
from relman_plugins.ledger import chain, ephemerals, follow_ups, history, leases, migrate, releases, rollbacks
from relman_plugins.ledger import tables as t
from relman_plugins.ledger.database import Database
from relman_plugins.ledger.ephemerals import Ephemeral
from relman_plugins.ledger.freezes import Freezes
from relman_plugins.ledger.last_suite import LastSuite, last_suite
from relman_plugins.ledger.live import brought, live
from relman_plugins.ledger.locks import Locks
from relman_plugins.ledger.outbox import Outbox
from relman_plugins.ledger.projections import Status, stable_of, status_of
from relman_plugins.ledger.record import check_recordable, event_of, insert_event, release_name, select_events
from relman_plugins.ledger.releases import ReleaseRecord, where
from relman_plugins.ledger.rollbacks import Asked
from relman_plugins.ledger.trains import Trains
from relman_plugins.ledger.votes import Votes
from relman_plugins.plan.model import ReleasePlan

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from relman_plugins.ledger.archive import Archived, Choice
    from relman_plugins.ledger.dossier import Dossier
    from relman_plugins.ledger.verify import Verified


class Ledger:
    """The ledger at a database URL (``sqlite:////path`` or ``postgresql+psycopg://…``).

    Cheap to make: it connects at the first call. Safe to share between threads and to use after ``fork``.
    Calls block; each is one transaction. Times given must be aware, times returned are UTC. The present is
    what ``clock`` says, by default the database's own: hosts may differ, and that one clock tells whether a
    vote is in time or an approval has run out. Order comes from event ids and fencing tokens.

    Every call raises LedgerUnavailable when the database doesn't answer or is not migrated, and never an
    error of the database library.
    """

    def __init__(self, url: str, *, clock: Callable[[], datetime] | None = None) -> None:
        self._db = Database(url, clock)
        self.votes = Votes(self._db)
        """Gates and votes."""
        self.locks = Locks(self._db)
        """The locks of environments."""
        self.freezes = Freezes(self._db)
        """What people have frozen."""
        self.trains = Trains(self._db)
        """What became of trains."""
        self.outbox = Outbox(self._db)
        """What is still to be told."""

    def __repr__(self) -> str:
        return f"Ledger({self._db.label!r})"

    def migrate(self) -> None:
        """Create or upgrade the schema. Idempotent, and safe when several processes do it at once."""
        migrate.migrate(self._db)

    def check(self) -> None:
        """Raise LedgerUnavailable, with what to do, unless the database answers and has the right schema."""
        migrate.check(self._db)

    def verify(
        self, *, anchor: Head | None = None, signed: Callable[[Any], str] | None = None
    ) -> list[Verified]:
        """Check the whole ledger, and return what was checked and what is wrong: see ``verify.verify``.

        Reads every row. Raises LedgerUnavailable as ``check``.
        """
        from relman_plugins.ledger.verify import verify

        return verify(self._db, anchor=anchor, signed=signed)

    def checkpoint(self, key: Ed25519PrivateKey) -> Head | None:
        """Sign where the record ends, if anything came since the last time: see ``checkpoints``."""
        from relman_plugins.ledger.checkpoints import checkpoint

        return checkpoint(self._db, key)

    def archivable(self, before: datetime) -> Choice:
        """Return which releases that closed before then (aware) would be archived, and which stay and why."""
        from relman_plugins.ledger.archive import choose

        return choose(self._db, before)

    def archives(self) -> dict[str, str]:
        """Return the files that releases went to, by name in the order of time, and the digest of each."""
        with self._db.read() as conn:
            rows = conn.execute(select(t.archive.c.file, t.archive.c.digest).order_by(t.archive.c.id))
            return {row.file: row.digest for row in rows}

    def went(self, release_id: str) -> tuple[str, str] | None:
        """Return the DAG of an archived release and in words where that is; None when it is not archived."""
        query = select(t.archived_release.c.dag_id).where(t.archived_release.c.release_id == release_id)
        with self._db.read() as conn:
            dag_id = conn.execute(query).scalar()
            return (dag_id, where(conn, release_id)) if dag_id else None

    def archive(self, folder: Path, before: datetime, actor: Actor) -> Iterator[Archived]:
        """Move the releases that closed before then (aware) to files: see ``archive.archive``."""
        from relman_plugins.ledger.archive import archive

        return archive(self._db, folder, before, actor)

    def close(self) -> None:
        """Close this process's idle connections; the next call connects again."""
        self._db.close()

    def open_release(
        self,
        *,
        plan: ReleasePlan,
        dag_id: str,
        run_id: str,
        started_by: Actor,
        conf: dict[str, Any],
        trace_id: str = "",
        made_with: dict[str, Any] | None = None,
        spec: dict[str, Any] | None = None,
        once: bool = False,
    ) -> ReleaseRecord:
        """Store the plan of a run's release, number it, and record ``release.opened``.

        ``trace_id`` names the release's OpenTelemetry trace; empty when it is not traced. ``made_with`` says
        what runs it: versions of relman and Airflow, the bundle. ``spec`` is what ``spec_digest`` is of.

        Idempotent by run: called again, it returns what was stored first, whatever the arguments say.

        Raises:
            Refused: with ``once``, when the pipeline ever had a release of this version, however
                written, that was no dry run.
        """
        return releases.open_release(
            self._db,
            plan=plan,
            dag_id=dag_id,
            run_id=run_id,
            started_by=started_by,
            conf=conf,
            trace_id=trace_id,
            made_with=made_with,
            spec=spec,
            once=once,
        )

    def release(self, release_id: str) -> ReleaseRecord | None:
        """Return a release by id."""
        with self._db.read() as conn:
            return releases.find_release(conn, release_id)

    def release_of_run(self, dag_id: str, run_id: str) -> ReleaseRecord | None:
        """Return the release that a DAG run is."""
        with self._db.read() as conn:
            return releases.find_run(conn, dag_id, run_id)

    def releases(
        self,
        pipeline: str | None = None,
        limit: int = 50,
        active: bool | None = None,
        dags: Collection[str] | None = None,
    ) -> list[ReleaseRecord]:
        """Return releases, newest first.

        ``active``: only those without (True) or with (False) an outcome; ``dags``: only those of these DAGs.
        """
        with self._db.read() as conn:
            return releases.list_releases(conn, pipeline, limit, active, dags)

    def in_flight(self, most: int) -> list[ReleaseRecord]:
        """Return releases without an outcome, at most so many, oldest first: in each minute the next ones.

        Whoever asks once a minute has seen all of them in the end, however many there are.
        """
        turn = int(self.now().timestamp() // 60)
        with self._db.read() as conn:
            return releases.in_flight(conn, most, turn)

    def pipelines_in_flight(self) -> set[str]:
        """Return the pipelines that have a release without an outcome."""
        with self._db.read() as conn:
            return releases.pipelines_in_flight(conn)

    def dags(self) -> list[str]:
        """Return the ids of all DAGs that ever had a release, sorted."""
        with self._db.read() as conn:
            found = conn.execute(select(t.release.c.dag_id).distinct().order_by(t.release.c.dag_id))
            return list(found.scalars())

    def succeeded_before(self, pipeline: str, before: datetime, limit: int) -> list[ReleaseRecord]:
        """Return the releases of a pipeline that had succeeded by ``before`` (aware), the latest end first.

        Dry runs are left out.
        """
        with self._db.read() as conn:
            return releases.succeeded_before(conn, pipeline, before, limit)

    def versions(self, pipeline: str) -> list[str]:
        """Return the versions of which a pipeline ever had a release that was no dry run, sorted as text."""
        with self._db.read() as conn:
            return releases.versions(conn, pipeline)

    def newest(self) -> list[ReleaseRecord]:
        """Return the newest release of each pipeline, by name of the pipeline."""
        with self._db.read() as conn:
            return history.newest(conn)

    def moments(
        self, environment: str, pipelines: Collection[str], since: datetime, until: datetime
    ) -> dict[str, list[history.Moment]]:
        """Return what the releases of pipelines did in an environment: see ``history.moments``."""
        with self._db.read() as conn:
            return history.moments(conn, environment, pipelines, since, until)

    def record(self, release_id: str, event: NewEvent) -> Event | None:
        """Record an event, and put it in the outbox for whoever is to be told, in one transaction.

        Idempotent by ``event.key``: None when the key is known, and then nothing was written. A release
        closes once: a second ``release.closed`` is dropped too, whatever its key. Raises LedgerError for an
        unknown release and for the kinds that only the ledger's own calls write (gates, locks,
        ``release.opened``).
        """
        check_recordable(event)
        with self._db.write(release_name(release_id)) as conn:
            return insert_event(conn, release_id, event, self._db.now())

    def give_follow_ups(
        self,
        release_id: str,
        *,
        airflow_user: str,
        name: str = "",
        option: str,
        form: Mapping[str, Any],
        via: str,
    ) -> follow_ups.Given:
        """Check and record what one of those asked wants done after a release; it is asked for once.

        ``option`` and ``form`` are the Required Action's, see :mod:`relman_plugins.domain.follow_up`. Refused
        when nobody is asked, for anybody else, when somebody has answered, when the time is over, and for
        what can't be read. A refused answer leaves no trace.
        """
        return follow_ups.give(
            self._db,
            release_id,
            airflow_user=airflow_user,
            name=name,
            option=option,
            form=form,
            via=via,
        )

    def events(
        self, release_id: str, *, kinds: Collection[Kind] | None = None, after: int = 0
    ) -> list[Event]:
        """Return a release's events with an id above ``after``, oldest first.

        Ids become visible in their order: reading on after the last one seen misses nothing.
        """
        with self._db.read() as conn:
            return select_events(conn, release_id, kinds=kinds, after=after)

    def chain(self, release_id: str) -> list[ChainedEvent]:
        """Return the events of a release with all that their hashes cover, oldest first: for a file.

        :func:`relman_plugins.domain.chain.first_break` checks them anywhere, without the ledger.
        """
        with self._db.read() as conn:
            return list(chain.chained(conn, release_id))

    def dossier(self, release_id: str) -> Dossier | None:
        """Return everything that is recorded of a release, as evidence has it; None when there is none."""
        from relman_plugins.ledger.dossier import dossier_of

        with self._db.read() as conn:
            return dossier_of(conn, release_id)

    def head(self) -> Head:
        """Return where the record ends: kept elsewhere, it tells later whether what is before was touched."""
        with self._db.read() as conn:
            return chain.head(conn) or Head(id=0, hash=FIRST, length=0)

    def last_event_id(self) -> int:
        """Return the id of the newest event of any release, 0 in an empty ledger.

        One cheap question for pollers: while it stays the same, nothing was recorded.
        """
        with self._db.read() as conn:
            return int(conn.execute(select(func.max(t.event.c.id))).scalar() or 0)

    def recorded_since(self, after: int) -> set[str]:
        """Return the releases with an event beyond an id that ``last_event_id`` gave."""
        with self._db.read() as conn:
            found = select(t.event.c.release_id).where(t.event.c.id > after).distinct()
            return set(conn.execute(found).scalars())

    def status(self, release_id: str) -> Status:
        """Return where a release is; raise LedgerError when there is no such release."""
        with self._db.read() as conn:
            record = releases.find_release(conn, release_id)
            if record is None:
                raise LedgerError(
                    f"there is no release {release_id!r} in the ledger{where(conn, release_id)}"
                )
            return status_of(record, select_events(conn, release_id))

    def stable(self, environment: str, service: str) -> Revision | None:
        """Return the stable revision that the last recorded change left in an environment.

        None when nothing was ever promoted there, or the environment was removed since.
        """
        query = (
            select(t.event)
            .join(t.release, t.release.c.release_id == t.event.c.release_id)
            .where(
                t.event.c.environment == environment,
                t.event.c.kind.in_([Kind.CHANGE_FINISHED.value, Kind.ENVIRONMENT_REMOVED.value]),
                t.release.c.service == service,
            )
            .order_by(t.event.c.id.desc())
            .limit(1)
        )
        with self._db.read() as conn:
            return stable_of(event_of(row) for row in conn.execute(query).mappings())

    def last_suite(self, release: ReleaseRecord, suite: str) -> LastSuite | None:
        """Return what the latest succeeded release of the same pipeline recorded of a suite that it ran."""
        return last_suite(self._db, release, suite)

    def live(self, environment: str) -> dict[str, Revision]:
        """Return the stable revision of every service in an environment, as the last changes left it."""
        return live(self._db, environment)

    def brought(self, environment: str, service: str, revision: Revision) -> ReleaseRecord | None:
        """Return the latest release that built a revision and made it an environment's stable one, if any."""
        return brought(self._db, environment, service, revision)

    def last_change(
        self, environment: str, service: str, *, before: int | None = None, finished: bool = False
    ) -> Event | None:
        """Return the latest change or removal of an environment, of any release; None when there was none.

        ``before``: only events with a lower id. ``finished``: only changes that have ended.
        """
        return rollbacks.last_change(self._db, environment, service, before=before, finished=finished)

    def built(self, service: str, version: str) -> list[Revision]:
        """Return every artifact that is on record for a version of a service, oldest first."""
        return rollbacks.built(self._db, service, version)

    def rollbacks_asked(self, since: datetime) -> list[Asked]:
        """Return the rollbacks of ended releases asked for since then (aware) that have no end yet."""
        return rollbacks.asked_since(self._db, since)

    def now(self) -> datetime:
        """Return the present by the ledger's clock, in UTC."""
        return self._db.now()

    def lease(self, name: str, holder: str, ttl_s: float) -> bool:
        """Take or extend a lease for ``ttl_s`` seconds; False while another holder's has not ended."""
        return leases.take(self._db, name, holder, ttl_s)

    def is_first(self, name: str, ttl_s: float) -> bool:
        """Say whether this is the first call with ``name`` (``<what>:<which>``) within ``ttl_s`` seconds."""
        return leases.first(self._db, name, ttl_s)

    def end_lease(self, name: str, holder: str) -> None:
        """Give a lease back; nothing happens when somebody else holds it."""
        leases.end(self._db, name, holder)

    def expired_environments(self, now: datetime | None = None) -> list[Ephemeral]:
        """Return the ephemeral environments that outlived their time at ``now``, longest overdue first."""
        return ephemerals.expired(self._db, now)

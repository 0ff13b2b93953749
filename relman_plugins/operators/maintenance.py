"""The one task of ``relman_maintenance``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from relman_plugins import settings, telemetry
from relman_plugins.errors import ClientUnavailable, LedgerError
from relman_plugins.steps.housekeeping import Housekeeper
from relman_plugins.triggers.base import deferral
from relman_plugins.triggers.deliver import DeliverTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

    from relman_plugins.ledger.api import Ledger

LEASE = "maintenance"
LEASE_S = 90.0


class MaintenanceOperator(BaseOperator):
    """Keep house for every release, then deliver messages in the triggerer until the next run is due.

    One at a time by a lease in the ledger, also with several schedulers.

    :param specs: the folder of the specs.
    """

    def __init__(self, *, specs: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.specs = specs

    def execute(self, context: Context) -> None:
        """Replay the spool, expire what is over, end what is orphaned; then deliver."""
        from relman_plugins.hooks.ledger import ledger
        from relman_plugins.ledger import spool

        book = ledger()
        holder = f"{os.uname().nodename}:{os.getpid()}"
        if not book.lease(LEASE, holder, LEASE_S):
            self.log.info("another process is keeping house")
            return
        try:
            replayed = spool.replay(settings.spool_folder(), book)
            if replayed:
                self.log.info("%d events from the spool are in the ledger now", replayed)
            for line in Housekeeper(book, _AirflowRuns(context["ti"]), Path(self.specs)).round():
                self.log.info("%s", line)
            self._sign(book)
        finally:
            book.end_lease(LEASE, holder)
        self.defer(trigger=DeliverTrigger(**deferral(settings.minimum_deferral())), method_name="delivered")

    def _sign(self, book: Ledger) -> None:
        """Sign what was recorded since the last round, where there is a key to sign with.

        Without the key releases go on: nothing becomes allowed by it, and the next signature covers what has
        none yet. What is not signed is said here each round, and by `relman ledger verify --key`.
        """
        from relman_plugins.hooks.signing import signing_key

        try:
            key = signing_key()
            if key is not None and (head := book.checkpoint(key)) is not None:
                self.log.info("the record is signed up to event %d", head.id)
        except (ClientUnavailable, LedgerError) as error:
            self.log.error("the record is not signed: %s", error)

    def delivered(self, context: Context, event: dict[str, Any]) -> None:
        """Say what was delivered."""
        self.log.info("%(sent)s messages delivered, %(failed)s tries failed, %(pending)s wait", event)
        telemetry.count("outbox.sent", event["sent"])
        telemetry.count("outbox.failed", event["failed"])
        telemetry.level("outbox.pending", event["pending"])


_AT_WORK = frozenset({"running", "restarting", "deferred", "up_for_retry", "up_for_reschedule"})


class _AirflowRuns:
    """Asks Airflow through the task's own connection to it."""

    def __init__(self, ti: Any) -> None:
        self._ti = ti

    def exists(self, dag_id: str, run_id: str) -> bool:
        return bool(self._ti.get_dr_count(dag_id, run_ids=[run_id]))

    def ended(self, dag_id: str, run_id: str) -> bool:
        return bool(self._ti.get_dr_count(dag_id, run_ids=[run_id], states=["success", "failed"]))

    def working(self, dag_id: str, run_id: str) -> bool:
        states = self._ti.get_task_states(dag_id, run_ids=[run_id]).get(run_id, {})
        return not _AT_WORK.isdisjoint(map(str, states.values()))

    def succeeded(self, dag_id: str, run_id: str, task_ids: list[str]) -> set[str]:
        states = self._ti.get_task_states(dag_id, task_ids=task_ids, run_ids=[run_id]).get(run_id, {})
        return {task for task, state in states.items() if state == "success"}

"""The one task of ``relman_rollback``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from relman_plugins import settings, telemetry
from relman_plugins.errors import Refused, recordable
from relman_plugins.hooks.recorder import Recorder
from relman_plugins.steps.returning import broke, go_back

if TYPE_CHECKING:
    from airflow.sdk import Context

    from relman_plugins.ledger.api import Asked, Ledger


class RequestedRollbackOperator(BaseOperator):
    """Roll back a release that has ended, because a person asked for it.

    Only the request in the ledger is believed: the run's configuration says which one it is about, and
    nothing else. Idempotent: a request that has an end is not carried out again.
    """

    ui_color = "#f5c6c6"

    def execute(self, context: Context) -> str:
        """Carry out the request; return what was done."""
        from relman_plugins.hooks.ledger import ledger
        from relman_plugins.ledger import spool

        book = ledger()
        spool.replay(settings.spool_folder(), book)
        asked = _request(book, context["dag_run"].conf or {})
        release = book.release(asked.release_id) if asked else None
        if asked is None or release is None:
            raise AirflowFailException(
                "nobody asked for this rollback, so nothing was done: who triggers this DAG proves no right. "
                "`relman rollback RELEASE --reason …` checks it, records who asks and why, and starts this"
            )
        with telemetry.span("rollback", release_id=asked.release_id, environment=asked.environment):
            if asked.state == "finished":
                self.log.info("done before: %s", asked.message)
                return asked.message
            if asked.ended:
                raise AirflowFailException(f"{asked.state} before: {asked.message}")
            recorder = Recorder(
                release.release_id,
                ledger,
                spool=settings.spool_folder(),
                warn=lambda text: self.log.warning("%s", text),
            )
            try:
                message = go_back(book, release, asked, recorder)
            except Refused as error:
                raise AirflowFailException(str(error)) from error
            except Exception as error:
                ti = context["ti"]
                said = recordable(error)
                last = ti.try_number > ti.max_tries
                broke(book, release, asked, recorder, said, final=last)
                raise
            self.log.info("%s", message)
            telemetry.note(result=message)
            return message


def _request(book: Ledger, conf: dict[str, Any]) -> Asked | None:
    """Return the request that a person made, if it is on record."""
    from relman_plugins.ledger.api import asked_of

    release, key = conf.get("release"), conf.get("request")
    if not isinstance(release, str) or not isinstance(key, str):
        return None
    return next((a for a in asked_of(book.events(release)) if a.key == key), None)

"""What the demo says to the running Airflow: only what any user could, over HTTP, logged in."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from relman_plugins.clients.http import client, request
from relman_plugins.domain.identity import dag_id_of
from relman_plugins.errors import ClientError, ClientUnavailable
from relman_plugins.reports.picture import Picture
from relman_plugins.testing.stack_config import SQLITE_S

TRIES = 5

ANSWER_S = SQLITE_S + 30
"""How long an answer is waited for: longer than Airflow itself waits for its database, so that it says so."""


class AirflowUser:
    """One person, logged in: Airflow's public API and relman's."""

    def __init__(self, base_url: str, user: str, password: str) -> None:
        self.base_url = base_url
        self.user = user
        with client(base_url, timeout=ANSWER_S) as http:
            answer = request(http, "POST", "/auth/token", json={"username": user, "password": password})
        token = answer.json()["access_token"]
        self._http = client(base_url, timeout=ANSWER_S, headers={"Authorization": f"Bearer {token}"})

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def has_dag(self, dag_id: str) -> bool:
        """Say whether Airflow knows a DAG and may run it."""
        try:
            return not self._get(f"/api/v2/dags/{dag_id}")["is_paused"]
        except ClientError:
            return False

    def import_errors(self) -> str:
        """Return what Airflow could not import, as text; empty when all is well."""
        errors = self._get("/api/v2/importErrors")["import_errors"]
        return "\n".join(f"{e['filename']}:\n{e['stack_trace']}" for e in errors)

    def trigger(self, dag_id: str, conf: dict[str, Any]) -> str:
        """Start a run and return its id.

        Tried again under the same id when Airflow does not answer: on SQLite it can be busy writing.
        """
        now = datetime.now(UTC).isoformat()
        run_id = f"manual__{now}"
        body = {"conf": conf, "logical_date": now, "dag_run_id": run_id}
        for attempt in range(1, TRIES + 1):
            try:
                self._send("POST", f"/api/v2/dags/{dag_id}/dagRuns", body)
            except ClientUnavailable:
                if attempt == TRIES:
                    raise
                time.sleep(attempt)
            except ClientError:
                # Refused because it is there: the answer to an earlier try was lost. Or it is not, as its DAG
                # was not for a moment: a DAG processor that has waited for the database counts as gone.
                if attempt == 1:
                    raise
                if self._is_there(dag_id, run_id):
                    return run_id
                if attempt == TRIES:
                    raise
                time.sleep(attempt)
            else:
                return run_id
        return run_id

    def _is_there(self, dag_id: str, run_id: str) -> bool:
        try:
            return bool(self.run_state(dag_id, run_id))
        except ClientError:
            return False

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Return the state of a run: ``queued``, ``running``, ``success`` or ``failed``."""
        return str(self._get(f"/api/v2/dags/{dag_id}/dagRuns/{_q(run_id)}")["state"])

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the task instances of a run."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{_q(run_id)}/taskInstances?limit=100"
        return list(self._get(path)["task_instances"])

    def task_log(self, dag_id: str, run_id: str, task_id: str, attempt: int) -> list[str]:
        """Return the lines of a task's log that were warnings or worse, or all of them if there are none."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{_q(run_id)}/taskInstances/{task_id}/logs/{attempt}"
        content = self._get(f"{path}?full_content=true").get("content") or []
        entries = [entry if isinstance(entry, dict) else {"event": str(entry)} for entry in content]
        bad = [e for e in entries if str(e.get("level", "")).lower() in {"warning", "error", "critical"}]
        return [_log_line(entry) for entry in bad or entries]

    def answer(self, dag_id: str, run_id: str, gate: str, option: str) -> dict[str, Any]:
        """Answer a Required Action, as its page does."""
        task = f"/api/v2/dags/{dag_id}/dagRuns/{_q(run_id)}/taskInstances/{_q(gate)}/-1/hitlDetails"
        return self._send("PATCH", task, {"chosen_options": [option], "params_input": {}})

    def required_action(self, dag_id: str, run_id: str, gate: str) -> dict[str, Any] | None:
        """Return what a Required Action says, or None while it is not there."""
        try:
            return self._get(
                f"/api/v2/dags/{dag_id}/dagRuns/{_q(run_id)}/taskInstances/{_q(gate)}/-1/hitlDetails"
            )
        except ClientError:
            return None

    def release_of_run(self, pipeline: str, run_id: str) -> dict[str, Any] | None:
        """Return the release that a run opened, or None while it has not."""
        found = self._get(f"/relman/api/v1/releases?pipeline={pipeline}&run_id={_q(run_id)}")["releases"]
        return found[0] if found else None

    def release(self, release_id: str) -> dict[str, Any]:
        """Return a release, its status and its gates."""
        return self._get(f"/relman/api/v1/releases/{release_id}")

    def releases(self) -> list[dict[str, Any]]:
        """Return all releases, oldest first."""
        return list(reversed(self._get("/relman/api/v1/releases?limit=100")["releases"]))

    def pictures(self, release_id: str) -> list[Picture]:
        """Return the pictures of a release's analyses."""
        found = self._get(f"/relman/api/v1/releases/{release_id}/pictures")["pictures"]
        return [Picture.model_validate(one) for one in found]

    def events(self, release_id: str, after: int) -> list[dict[str, Any]]:
        """Return the events of a release after an id."""
        return list(self._get(f"/relman/api/v1/releases/{release_id}/events?after={after}")["events"])

    def plan(self, release_id: str) -> dict[str, Any]:
        """Return the stored plan of a release."""
        return self._get(f"/relman/api/v1/releases/{release_id}/plan")

    def health(self) -> dict[str, Any]:
        """Return what ``relman doctor`` asks."""
        return self._get("/relman/api/v1/health")

    def required_actions_url(self, run_id: str, pipeline: str) -> str:
        """Return the page on which the gate of a run is answered in a browser."""
        return f"{self.base_url}/dags/{dag_id_of(pipeline)}/runs/{_q(run_id)}/required_actions"

    def _get(self, path: str) -> dict[str, Any]:
        """Ask; again when nothing came back, since asking changes nothing."""
        for attempt in range(1, TRIES):
            try:
                return dict(request(self._http, "GET", path).json())
            except ClientUnavailable:
                # Airflow's API drops a connection now and then while SQLite is busy writing.
                time.sleep(attempt)
        return dict(request(self._http, "GET", path).json())

    def _send(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return dict(request(self._http, method, path, json=body).json())


def _q(text: str) -> str:
    return quote(text, safe="")


def _log_line(entry: dict[str, Any]) -> str:
    errors = entry.get("error_detail") or []
    said = [str(entry.get("event", "")), *(f"{e.get('exc_type')}: {e.get('exc_value')}" for e in errors)]
    return " | ".join(filter(None, said))

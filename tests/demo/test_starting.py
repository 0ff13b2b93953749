"""Starting a run at an Airflow that is too busy to answer: once, whatever became of the first try."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from relman_plugins.errors import ClientRejected
from relman_plugins.testing.demo_api import AirflowUser


class Airflow:
    """Answers to starts with the given statuses, one after the other, and knows of a run or not."""

    def __init__(self, answers: list[int], there: bool) -> None:
        self.started: list[str] = []
        left, started = iter(answers), self.started

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self.path == "/auth/token":
                    self._answer(201, {"access_token": "t"})
                else:
                    started.append(body["dag_run_id"])
                    self._answer(next(left), {})

            def do_GET(self) -> None:
                self._answer(200 if there else 404, {"state": "queued"})

            def _answer(self, status: int, said: dict[str, str]) -> None:
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(said).encode())

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()


@pytest.fixture
def airflow(request: pytest.FixtureRequest) -> Iterator[Airflow]:
    found = Airflow(*request.param)
    yield found
    found.http.shutdown()
    found.http.server_close()


def start(airflow: Airflow) -> str:
    user = AirflowUser(f"http://127.0.0.1:{airflow.http.server_port}", "alice", "alice")
    try:
        return user.trigger("release__checkout", {"version": "1.1.0"})
    finally:
        user.close()


@pytest.mark.parametrize("airflow", [([500, 409], True)], indirect=True)
def test_a_run_that_the_lost_answer_has_started_is_not_started_again(airflow: Airflow) -> None:
    assert [start(airflow)] * 2 == airflow.started


@pytest.mark.parametrize("airflow", [([500, 404, 200], False)], indirect=True)
def test_a_run_whose_dag_was_gone_for_a_moment_is_started(airflow: Airflow) -> None:
    assert [start(airflow)] * 3 == airflow.started


@pytest.mark.parametrize("airflow", [([404], False)], indirect=True)
def test_what_is_refused_at_once_is_refused(airflow: Airflow) -> None:
    with pytest.raises(ClientRejected):
        start(airflow)

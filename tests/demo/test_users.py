"""Users of what is live: a real sandbox, real processes that send, and no Airflow."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from relman_plugins.domain.state import DesiredState, Revision
from relman_plugins.platforms.registry import platform
from relman_plugins.testing.stack_process import Managed, Processes, StackError
from relman_plugins.testing.users import RESTARTS, Place, Users, live
from tests.platforms.living import Daemon
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
SHOP, DESK = ("production", "shop"), ("staging", "desk")


class Services:
    """Answers whatever is asked, and remembers of which place."""

    def __init__(self) -> None:
        self.asked: set[Place] = set()
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                _, environment, service, _ = self.path.split("/", 3)
                asked.add((environment, service))
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"


@pytest.fixture
def services() -> Iterator[Services]:
    found = Services()
    Thread(target=found.http.serve_forever, args=(0.02,), daemon=True).start()
    yield found
    found.http.shutdown()
    found.http.server_close()


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    found = Processes(tmp_path / "logs")
    yield found
    assert found.stop() == []


def test_whatever_becomes_live_gets_users_and_keeps_them(services: Services, processes: Processes) -> None:
    there = [SHOP]

    def begin(place: Place) -> Managed:
        url = f"{services.url}/{place[0]}/{place[1]}/"
        command = (sys.executable, "-m", "relman_plugins.testing.traffic", "--url", url, "--rate", "50")
        return processes.start(f"traffic-{place[1]}", command, {}, ROOT)

    users = Users(lambda: there, begin, processes.running.remove)
    assert users.look() == [SHOP]
    eventually(lambda: services.asked == {SHOP}, "the shop is asked")
    there.append(DESK)
    assert users.look() == [DESK]
    assert users.look() == []
    eventually(lambda: services.asked == {SHOP, DESK}, "the desk is asked, too")
    users.running[SHOP].popen.kill()
    users.running[SHOP].popen.wait()
    services.asked.clear()
    users.tend()
    assert processes.ended() == []
    eventually(lambda: services.asked == {SHOP, DESK}, "the shop is asked again")


def test_what_runs_in_an_environment_that_stays_is_live(
    tmp_path: Path, sandbox: Daemon, revisions: dict[str, Revision]
) -> None:
    specs = Path(shutil.copytree(ROOT / "release_specs", tmp_path / "release_specs"))
    assert live(specs, sandbox.driver) == []
    there = DesiredState(stable=revisions["1.0.0"], stable_replicas=1)
    for environment, service in (("staging", "hello"), ("qa", "checkout"), ("production", "checkout")):
        sandbox.driver.converge(environment, service, there, token=1)
    assert live(specs, sandbox.driver) == [("production", "checkout"), ("staging", "hello")]
    (specs / "hello.yaml").write_text("stages: [")
    assert live(specs, sandbox.driver) == [("production", "checkout")]
    for environment, service in (("staging", "hello"), ("qa", "checkout"), ("production", "checkout")):
        sandbox.driver.converge(environment, service, DesiredState(), token=1)


def test_nobody_uses_a_sandbox_that_does_not_answer() -> None:
    assert live(ROOT / "release_specs", platform("sandbox", host="127.0.0.1", port=9)) == []


def test_users_who_break_again_and_again_are_given_up(processes: Processes) -> None:
    users = Users(
        lambda: [SHOP],
        lambda place: processes.start("traffic", (sys.executable, "-c", "raise SystemExit('no')"), {}, ROOT),
        processes.running.remove,
    )
    users.look()
    for _ in range(RESTARTS):
        users.running[SHOP].popen.wait()
        users.tend()
    users.running[SHOP].popen.wait()
    with pytest.raises(StackError, match=rf"(?s)traffic broke {RESTARTS + 1} times.*no"):
        users.tend()

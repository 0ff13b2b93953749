"""What users of a service see while a strategy is at work: everybody is answered, and enough serve."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from relman_plugins.domain.bounds import rolling_bounds
from relman_plugins.domain.state import DesiredState, ObservedRevision, ObservedState
from relman_plugins.strategies import abort, blue_green, canary, promoted, rolling
from tests.platforms.living import Daemon, call, made

REPLICAS, USERS = 3, 4
BOUNDS = [(1, 0), (0, 1), ("100%", 0), ("34%", "34%")]
SLOW_S = 6
"""How slow the service is: longer than any process gets to end, shorter than the front door waits."""
SLOW = f"""
import http.server, json, os, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/slow":
            time.sleep({SLOW_S})
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(
            {{"version": os.environ["RELMAN_VERSION"], "digest": os.environ["RELMAN_DIGEST"]}}).encode())
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["RELMAN_PORT"])), Handler).serve_forever()
"""


@contextmanager
def watched(work: Callable[[], None]) -> Iterator[None]:
    """Do something over and over in a thread, until the block ends; what it raises is raised here."""
    over, failed = threading.Event(), []

    def go_on() -> None:
        while not over.is_set():
            try:
                work()
            except Exception as error:
                failed.append(error)
                return

    threads = [threading.Thread(target=go_on) for _ in range(USERS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert not failed, failed


class Watched:
    """An environment with users, and somebody who looks at its replicas all the time."""

    def __init__(self, daemon: Daemon, environment: str, start: DesiredState) -> None:
        self.daemon, self.environment = daemon, environment
        self.answers: Counter[tuple[int, str]] = Counter()
        self.serving: set[int] = set()
        self.running: set[int] = set()
        self.looks = threading.Semaphore(0)
        self.url = str(self.ask(start).url)

    def ask(self, desired: DesiredState) -> ObservedState:
        return self.daemon.driver.converge(self.environment, "checkout", desired, token=1, timeout_s=60)

    def walk(self, states: list[DesiredState]) -> None:
        with watched(self._look):
            for desired in states:
                assert self.ask(desired).matches(desired)
                # On a busy machine the next state could come too soon: one look that began now ends first.
                self.looks = threading.Semaphore(0)
                assert all(self.looks.acquire(timeout=60) for _ in range(USERS + 1))

    def _look(self) -> None:
        status, _, headers = call(f"{self.url}/healthz")
        self.answers[status, headers.get("X-Relman-Version", "nobody")] += 1
        seen = self.daemon.observe(self.environment)
        sides: list[ObservedRevision] = [s for s in (seen.stable, seen.candidate) if s]
        self.serving.add(sum(s.ready for s in sides if s.weight))
        self.running.add(sum(s.ready for s in sides))
        self.looks.release()


@pytest.mark.parametrize(("surge", "unavailable"), BOUNDS)
def test_rolling_keeps_its_bounds_at_every_moment_and_loses_no_request(shared, revisions, surge, unavailable):
    old, new = revisions["1.0.0"], revisions["1.1.0"]
    more, fewer = rolling_bounds(surge, unavailable, REPLICAS)
    start = promoted(old, REPLICAS)
    seen = Watched(shared, f"roll-{BOUNDS.index((surge, unavailable))}", start)
    seen.walk(rolling.desired_states(start, new, REPLICAS, surge, unavailable))
    assert set(seen.answers) == {(200, "1.0.0"), (200, "1.1.0")}
    assert min(seen.serving) >= REPLICAS - fewer
    assert max(seen.running) <= REPLICAS + more


@pytest.mark.parametrize("wave", range(4))
def test_a_rolling_change_given_up_at_any_wave_goes_back_without_losing_a_request(shared, revisions, wave):
    start = promoted(revisions["1.0.0"], 2)
    states = rolling.desired_states(start, revisions["1.1.0"], 2)
    seen = Watched(shared, f"back-{wave}", start)
    seen.walk([*states[: wave + 1], abort(start, states, wave)])
    # The bounds are for bringing a version in. Away from a bad one the traffic moves first, to what is there.
    assert {status for status, _ in seen.answers} == {200}


@pytest.mark.parametrize("preview", [True, False])
@pytest.mark.parametrize("back", [True, False])
def test_a_switch_and_the_way_back_lose_no_request(shared, revisions, preview, back):
    start = promoted(revisions["1.0.0"], REPLICAS)
    states = blue_green.desired_states(start, revisions["1.1.0"], REPLICAS, preview)
    seen = Watched(shared, f"switch-{preview:d}{back:d}", start)
    seen.walk([*states[:-1], start] if back else states)
    assert set(seen.answers) == {(200, "1.0.0"), (200, "1.1.0")}
    assert min(seen.serving) >= REPLICAS


def test_a_canary_and_the_way_back_lose_no_request(shared, revisions):
    start = promoted(revisions["1.0.0"], 2)
    states = canary.desired_states(start, revisions["1.1.0"], 2, [10, 50, 100])
    seen = Watched(shared, "shift", start)
    seen.walk([*states[:-1], start, *states])
    assert set(seen.answers) == {(200, "1.0.0"), (200, "1.1.0")}
    assert min(seen.serving) >= 2


def test_a_request_under_way_is_answered_by_whom_it_was_sent_to(shared, tmp_path):
    old, new = (made(tmp_path, version, SLOW) for version in ("1.0.0", "2.0.0"))
    seen = Watched(shared, "slow", promoted(old, 1))
    got: list[tuple[int, str | None]] = []

    def ask() -> None:
        status, _, headers = call(f"{seen.url}/slow")
        got.append((status, headers.get("X-Relman-Version")))

    user = threading.Thread(target=ask)
    user.start()
    seen.ask(promoted(new, 1))
    user.join()
    assert got == [(200, "1.0.0")]

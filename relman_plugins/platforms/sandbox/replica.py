"""One replica: keeps one process of a revision running until it is retired."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from relman_plugins.domain.state import Revision
from relman_plugins.errors import PlatformRejected
from relman_plugins.platforms import archive
from relman_plugins.platforms.sandbox import manifest, process
from relman_plugins.platforms.sandbox.home import Home
from relman_plugins.platforms.sandbox.state import ReplicaRecord

START_S = 20.0
"""A process that has not proven itself after this long is ended and started again."""
PROBE_STARTING_S = 0.02
PROBE_READY_S = 1.0
PROBE_TIMEOUT_S = 2.0
UNHEALTHY_AFTER = 3
"""Failed probes in a row that take a replica out of rotation; three times as many restart it."""
BACKOFF_S = (0.1, 0.3, 1.0, 3.0, 10.0)
STEADY_S = 10.0
"""A process that ran this long starts the back-off anew."""
ANSWER_S = 30.0
"""How long a replica may take for one answer; the front door waits no longer."""
DRAIN_S = ANSWER_S
"""How long requests under way may take once a replica is retired: nobody who was let in is cut off."""
TERM_S = 2.0
"""How long a process has between SIGTERM and SIGKILL."""


@dataclass(frozen=True)
class Wrong:
    """Why a replica is not ready."""

    text: str
    final: bool = False
    """Whether waiting cannot help."""


@dataclass(frozen=True)
class Assignment:
    """What a replica runs, and where."""

    home: Home
    environment: str
    service: str
    revision: Revision
    config: dict[str, str]
    track: str = ""


class Replica:
    """A place that always has one process; `run` is its whole life."""

    def __init__(
        self,
        record: ReplicaRecord,
        work: Assignment,
        client: aiohttp.ClientSession,
        changed: Callable[[], None],
    ) -> None:
        self.record = record
        self.work = work
        self.failures = 0
        """Ends in a row, each soon after its start: the back-off grows with it."""
        self.false_starts = 0
        """Starts in a row that never proved themselves."""
        self.trouble = ""
        """What went wrong last, for people; empty when all is well."""
        self.in_flight = 0
        self.retiring = False
        self._client = client
        self._changed = changed
        self._retired = asyncio.Event()
        self._probe_now = asyncio.Event()
        self._health = "/healthz"
        self._child: subprocess.Popen[bytes] | None = None
        self.task = asyncio.create_task(self._run(), name=f"replica {record.id}")

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return self.work.home.service(self.work.environment, self.work.service) / self.record.id

    @property
    def serves(self) -> bool:
        """Whether it may get requests."""
        return self.record.ready and not self.retiring

    def retire(self) -> None:
        """Ask for its end: no new requests, then those under way, then the process. Await `task` for it."""
        self.retiring = True
        self._retired.set()

    def suspect(self) -> None:
        """Say that a connection to it failed: it is asked for its health at once."""
        self._probe_now.set()

    async def _run(self) -> None:
        try:
            await self._adopt()
            while not self.retiring:
                try:
                    await self._live()
                except Exception as e:  # whatever it is, the next attempt may fare better, and people see it
                    self.failures += 1
                    self.trouble = f"unexpected {type(e).__name__}: {e}"
                if not self.retiring:
                    await self._end_process()
                    await self._back_off()
            await self._drain()
        finally:
            await asyncio.shield(self._end_process())
            if self.retiring:
                await asyncio.to_thread(shutil.rmtree, self.folder, ignore_errors=True)
            self._changed()

    async def _live(self) -> None:
        """Run one process from its start, or from where it is, to its end."""
        if self.record.pid is None and not await self._start():
            return
        began = time.monotonic()
        proven = await self._watch()
        self.failures = 1 if time.monotonic() - began > STEADY_S else self.failures + 1
        self.false_starts = 0 if proven else self.false_starts + 1

    async def _adopt(self) -> None:
        pid = self.record.pid
        if pid is not None and process.is_running(pid, self.work.home.root, self.record.id):
            self._health = await asyncio.to_thread(self._manifest_health)
        else:
            self.record.pid = None
            self._set_ready(False)

    def _manifest_health(self) -> str:
        try:
            return manifest.read(self.folder / "app").health
        except PlatformRejected:
            return self._health

    async def _start(self) -> bool:
        try:
            app = await asyncio.to_thread(self._unpack)
            port = process.free_port()
            self._child = process.spawn(
                app.command, self.folder / "app", self._env(port), self.folder / "log"
            )
        except (PlatformRejected, OSError) as e:
            self.failures += 1
            self.false_starts += 1
            self.trouble = f"cannot start: {e}"
            self._changed()
            return False
        self._health = app.health
        self.record.port, self.record.pid = port, self._child.pid
        self._changed()
        return True

    def _unpack(self) -> manifest.Manifest:
        app = self.folder / "app"
        shutil.rmtree(app, ignore_errors=True)
        digest = self.work.revision.digest
        archive.unpack(archive.store_path(self.work.home.artifacts, digest), digest, app)
        (self.folder.parent / "data").mkdir(exist_ok=True)
        return manifest.read(app)

    def _env(self, port: int) -> dict[str, str]:
        work = self.work
        return {
            **work.config,
            process.HOME: str(work.home.root),
            process.REPLICA: self.record.id,
            "RELMAN_PORT": str(port),
            "RELMAN_VERSION": work.revision.version,
            "RELMAN_DIGEST": work.revision.digest,
            "RELMAN_TRACK": work.track,
            "RELMAN_ENVIRONMENT": work.environment,
            "RELMAN_SERVICE": work.service,
            "RELMAN_DATA_DIR": str(self.folder.parent / "data"),
        }

    async def _watch(self) -> bool:
        """Probe until the process ends or stays unhealthy, or the replica is retired; say if it was ready."""
        pid = self.record.pid
        if pid is None:
            return False
        ended = asyncio.ensure_future(process.wait(pid))
        retired = asyncio.ensure_future(self._retired.wait())
        try:
            proven = await self._probe_until(ended, retired)
            if ended.done() and not self.retiring:
                log = process.tail(self.folder / "log")
                self.trouble = f"its process {pid} ended" + (f"; its log ends: {log}" if log else "")
                self._set_ready(False)
        finally:
            ended.cancel()
            retired.cancel()
            await asyncio.gather(ended, retired, return_exceptions=True)
        return proven

    async def _probe_until(self, *stop: asyncio.Future[Any]) -> bool:
        bad, began, proven = 0, time.monotonic(), self.record.ready
        while True:
            wrong = await self._probe()
            if not wrong:
                bad, proven, self.trouble = 0, True, ""
                self._set_ready(True)
            else:
                bad += 1
                if bad >= UNHEALTHY_AFTER:
                    self.trouble = wrong.text
                    self._set_ready(False)
                    late = time.monotonic() - began > START_S
                    if late or wrong.final or (proven and bad >= 3 * UNHEALTHY_AFTER):
                        return proven
            self._probe_now.clear()
            pause = PROBE_STARTING_S * min(bad, 10) if bad else PROBE_READY_S
            asked = asyncio.ensure_future(self._probe_now.wait())
            done, _ = await asyncio.wait({*stop, asked}, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
            asked.cancel()
            if done & set(stop):
                return proven

    async def _probe(self) -> Wrong | None:
        """Return what is wrong; None when the replica answers and is what it should be."""
        url = f"http://127.0.0.1:{self.record.port}{self._health}"
        try:
            # Redirects are not followed: an artifact does not choose whom the daemon asks.
            async with self._client.get(
                url, timeout=aiohttp.ClientTimeout(PROBE_TIMEOUT_S), allow_redirects=False
            ) as answer:
                if answer.status != 200:
                    return Wrong(f"{self._health} answers {answer.status}, expected 200")
                body = await answer.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as e:
            return Wrong(f"{self._health} gives no answer: {str(e) or type(e).__name__}")
        exposed = "" if self.record.ready else await asyncio.to_thread(process.exposed, self.record.pid)
        if exposed:
            return Wrong(f"it listens on {exposed}; a replica may listen on 127.0.0.1 only", final=True)
        found = (body.get("version"), body.get("digest")) if isinstance(body, dict) else (None, None)
        wanted = (self.work.revision.version, self.work.revision.digest)
        if found == wanted:
            return None
        said = " and ".join(
            f'"{name}" {json.dumps(value)[:100]}'
            for name, value in zip(("version", "digest"), found, strict=True)
        )
        return Wrong(
            f"{self._health} answers with {said}, expected {wanted[0]} and {wanted[1]}; the service must "
            "answer with its version and with what RELMAN_DIGEST holds",
            final=True,
        )

    def _set_ready(self, ready: bool) -> None:
        if self.record.ready != ready:
            self.record.ready = ready
            self._changed()

    async def _back_off(self) -> None:
        self._changed()
        pause = BACKOFF_S[min(self.failures, len(BACKOFF_S)) - 1]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._retired.wait(), pause)

    async def _drain(self) -> None:
        deadline = time.monotonic() + DRAIN_S
        while self.in_flight and time.monotonic() < deadline:
            await asyncio.sleep(0.02)

    async def _end_process(self) -> None:
        pid = self.record.pid
        if pid is None:
            return
        home = self.work.home.root
        if process.is_running(pid, home, self.record.id):
            process.signal_group(pid, signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(pid), TERM_S)
        # By its mark, not by its number: it may be long gone and the number somebody else's.
        for left in await asyncio.to_thread(process.find_replica, home, self.record.id):
            process.kill(left)
            await process.wait(left)
        if self._child is not None:
            self._child.poll()
        self.record.pid = None
        self._set_ready(False)

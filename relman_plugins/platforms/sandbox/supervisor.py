"""All deployments of the daemon: tokens, checks before a change, memory, removal."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp

from relman_plugins.domain.state import DesiredState, ObservedState, Revision
from relman_plugins.errors import PlatformRejected, StaleToken
from relman_plugins.platforms import archive
from relman_plugins.platforms.sandbox import manifest, process, state
from relman_plugins.platforms.sandbox.deployment import Deployment
from relman_plugins.platforms.sandbox.home import Home
from relman_plugins.platforms.sandbox.metrics import Metrics

Name = tuple[str, str]
"""Environment and service."""


class Supervisor:
    """What runs on this machine. Construct inside a running event loop, then `restore`."""

    def __init__(self, home: Home, memory: state.SandboxState, metrics: Metrics) -> None:
        self.home, self.memory, self.metrics = home, memory, metrics
        self._pins: Counter[str] = Counter()
        self.deployments: dict[Name, Deployment] = {}
        self.front_url = ""
        self._client = aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True))
        self._changing: dict[Name, asyncio.Lock] = {}
        self._stopping = False
        self._removals: set[asyncio.Task[None]] = set()

    def restore(self) -> None:
        """Take over what the daemon before this one left: adopt, start again, or end."""
        remembered = {
            r.id: r.pid for s in self.memory.services for slot in s.slots for r in slot.replicas if r.pid
        }
        found = list(process.find(self.home.root))
        alive = {env[process.REPLICA] for pid, env in found if remembered.get(env[process.REPLICA]) == pid}
        for pid, env in found:
            # Not written down: it was being ended, or was started an instant before the daemon died.
            if env[process.REPLICA] not in alive:
                process.kill(pid)
        for record in self.memory.services:
            name = (record.environment, record.service)
            self.deployments[name] = Deployment(record, self.home, self._client, self.save)
            self.metrics.prepare(self.deployments[name])
            if not _wants_anything(record.desired):
                task = asyncio.create_task(self._remove(name))
                self._removals.add(task)
                task.add_done_callback(self._removals.discard)

    async def observe(self, environment: str, service: str) -> ObservedState:
        """Say what runs. That nothing is there is said only after looking for processes and files."""
        token = self.memory.tokens.get(f"{environment}/{service}", 0)
        deployment = self.deployments.get((environment, service))
        if deployment is not None:
            seen = deployment.observe(self._url(environment, service), token)
            return seen.model_copy(update={"served": self.metrics.served(environment, service)})
        left = await asyncio.to_thread(self._left, environment, service)
        return ObservedState(exists=bool(left), token=token, messages=tuple(left))

    async def converge(
        self, environment: str, service: str, desired: DesiredState, token: int, timeout_s: float
    ) -> ObservedState:
        """Make it so; see `Platform.converge`. A token is remembered before anything is done with it."""
        name = (environment, service)
        async with self._changing.setdefault(name, asyncio.Lock()):
            self._check_token(f"{environment}/{service}", token)
            with self._pinned(desired):
                await self._check(name, desired)
                deployment = self.deployments.get(name)
                if deployment is None:
                    if not _wants_anything(desired):
                        self.home.remove_service(environment, service)
                        return await self.observe(environment, service)
                    deployment = self._create(name)
                deployment.apply(desired)
            self.metrics.prepare(deployment)
            self.save()
        await deployment.reached(timeout_s)
        if not _wants_anything(desired):
            self._forget(name)
        return await self.observe(environment, service)

    @contextmanager
    def _pinned(self, desired: DesiredState) -> Iterator[None]:
        """Keep the artifacts of a desired state from being cleared away before a slot holds them."""
        digests = Counter(r.digest for r in (desired.stable, desired.candidate) if r)
        self._pins += digests
        try:
            yield
        finally:
            self._pins -= digests

    def save(self) -> None:
        """Write everything down."""
        if not self._stopping:
            self.memory.services = [d.record() for d in self.deployments.values()]
            state.save(self.home.state, self.memory)

    async def stop(self) -> None:
        """End all processes; what should run stays written down."""
        for task in self._removals:
            task.cancel()
        await asyncio.gather(*(d.stop() for d in self.deployments.values()))
        self.save()
        self._stopping = True
        await self._client.close()

    def _check_token(self, key: str, token: int) -> None:
        seen = self.memory.tokens.get(key, 0)
        if token < seen:
            raise StaleToken(
                f"refused: token {token} for {key} is older than {seen}, which the sandbox has seen. "
                "Another release holds the lock now; nothing was changed"
            )
        if token > seen:
            self.memory.tokens[key] = token
            self.save()

    async def _check(self, name: Name, desired: DesiredState) -> None:
        sides = (
            ("stable", desired.stable, desired.stable_replicas, desired.stable_weight),
            ("candidate", desired.candidate, desired.candidate_replicas, desired.candidate_weight),
        )
        for side, revision, replicas, share in sides:
            if revision and share and not replicas:
                raise PlatformRejected(
                    f"{side} {revision.version} gets {share} % of the traffic but 0 replicas"
                )
            if replicas and not revision:
                raise PlatformRejected(f"{side}_replicas is {replicas} but there is no {side} revision")
        reserved = sorted(k for k in desired.config if k.startswith("RELMAN_"))
        if reserved:
            raise PlatformRejected(f"config sets {', '.join(reserved)}; names with RELMAN_ are relman's own")
        for revision in (desired.stable, desired.candidate):
            if revision and not self._runs(name, revision):
                await asyncio.to_thread(manifest.fetch, revision, self.home.artifacts)

    def _runs(self, name: Name, revision: Revision) -> bool:
        """Say whether it was checked before: a rollback must not wait for an artifact, or fail for it."""
        deployment = self.deployments.get(name)
        return deployment is not None and any(
            (s.record.revision.version, s.record.revision.digest) == (revision.version, revision.digest)
            for s in deployment.slots.values()
        )

    def _create(self, name: Name) -> Deployment:
        record = state.ServiceRecord(
            environment=name[0],
            service=name[1],
            desired=DesiredState(),
            slots=[],
            stable=None,
            candidate=None,
            weights={},
        )
        (self.home.service(*name) / "data").mkdir(parents=True, exist_ok=True)
        deployment = self.deployments[name] = Deployment(record, self.home, self._client, self.save)
        return deployment

    async def _remove(self, name: Name) -> None:
        self.deployments[name].apply(DesiredState())
        await self.deployments[name].reached(60)
        self._forget(name)

    def _forget(self, name: Name) -> None:
        deployment = self.deployments.get(name)
        if deployment is None or deployment.slots:
            return
        del self.deployments[name]
        self.metrics.drop(*name)
        self.home.remove_service(*name)
        self.save()
        deployed = {s.record.revision.digest for d in self.deployments.values() for s in d.slots.values()}
        kept = {archive.store_path(self.home.artifacts, digest) for digest in deployed | set(self._pins)}
        for path in self.home.artifacts.glob("sha256-*.tar.gz"):
            if path not in kept:
                path.unlink(missing_ok=True)

    def _left(self, environment: str, service: str) -> list[str]:
        found: list[str] = []
        folder: Path = self.home.service(environment, service)
        if folder.exists():
            found.append(f"the directory {folder} is still there")
        for pid, env in process.find(self.home.root):
            if (env.get("RELMAN_ENVIRONMENT"), env.get("RELMAN_SERVICE")) == (environment, service):
                found.append(f"process {pid} still runs")
        return found

    def _url(self, environment: str, service: str) -> str:
        return f"{self.front_url}/{environment}/{service}"


def _wants_anything(desired: DesiredState) -> bool:
    return desired.stable is not None or desired.candidate is not None

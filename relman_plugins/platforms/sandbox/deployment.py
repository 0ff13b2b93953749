"""One service in one environment: from what is desired to what runs, without losing a request.

Order of a change: new replicas start and prove themselves; then the traffic moves, all at once; then what
nobody needs any more is drained and ended. When traffic goes back to a proven stable revision, it moves
first and at once.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator

import aiohttp

from relman_plugins.domain.state import BASELINE, DesiredState, ObservedRevision, ObservedState, Revision
from relman_plugins.errors import PlatformRejected, PlatformUnavailable
from relman_plugins.platforms.sandbox.home import Home
from relman_plugins.platforms.sandbox.replica import Assignment, Replica
from relman_plugins.platforms.sandbox.route import Route
from relman_plugins.platforms.sandbox.state import ReplicaRecord, ServiceRecord, SlotRecord

FALSE_STARTS = 3
"""Starts of one replica that never prove themselves before a converge gives up waiting."""


class Slot:
    """All replicas of one revision with one configuration."""

    def __init__(self, record: SlotRecord) -> None:
        self.record = record
        self.replicas: list[Replica] = []
        self._turn = 0

    @property
    def ready(self) -> int:
        """Replicas that may get requests."""
        return sum(r.serves for r in self.replicas)

    @property
    def complete(self) -> bool:
        """Whether all replicas that were asked for are ready."""
        return 0 < self.record.wanted <= self.ready

    def next(self) -> Replica | None:
        """Return the replica for the next request, in turn; None when none is ready."""
        for _ in self.replicas:
            self._turn = (self._turn + 1) % len(self.replicas)
            if self.replicas[self._turn].serves:
                return self.replicas[self._turn]
        return None


class Deployment:
    """Runs one service in one environment. All methods are for the event loop's thread."""

    def __init__(
        self, record: ServiceRecord, home: Home, client: aiohttp.ClientSession, save: Callable[[], None]
    ) -> None:
        self.environment, self.service = record.environment, record.service
        self.desired = record.desired
        self.slots: dict[str, Slot] = {}
        self.stable: Slot | None = None
        self.candidate: Slot | None = None
        self.baseline: Slot | None = None
        self.route = Route(record.weights)
        self.generation = 0
        self._home, self._client, self._save = home, client, save
        self._leaving: set[Replica] = set()
        self._news = asyncio.Event()
        for slot in record.slots:
            self._add(slot)
        self.stable = self.slots.get(record.stable or "")
        self.candidate = self.slots.get(record.candidate or "")
        self.baseline = self.slots.get(record.baseline or "")

    def record(self) -> ServiceRecord:
        """Return what must be remembered. Replicas that are being ended are not: a new daemon ends them."""
        return ServiceRecord(
            environment=self.environment,
            service=self.service,
            desired=self.desired,
            slots=[
                s.record.model_copy(update={"replicas": [r.record for r in s.replicas]})
                for s in self.slots.values()
            ],
            stable=self.stable.record.id if self.stable else None,
            candidate=self.candidate.record.id if self.candidate else None,
            baseline=self.baseline.record.id if self.baseline else None,
            weights=self.route.weights,
        )

    def observe(self, url: str, token: int) -> ObservedState:
        """Say what runs."""
        return ObservedState(
            stable=self._observed(self.stable),
            candidate=self._observed(self.candidate),
            baseline=self._observed(self.baseline),
            url=url,
            config=dict(self.stable.record.config) if self.stable else None,
            token=token,
            messages=tuple(self._troubles()),
        )

    def apply(self, desired: DesiredState) -> None:
        """Change what is desired; the work goes on by itself. The same again changes nothing."""
        for slot in self.slots.values():
            for replica in slot.replicas:
                replica.false_starts = 0
        if desired == self.desired and self.generation:
            return
        self.generation += 1
        self.desired = desired
        free = [*self._in_use()]
        free += [s for s in self.slots.values() if s not in free]
        self.stable = self._take(free, desired.stable, desired.stable_replicas)
        self.candidate = self._take(free, desired.candidate, desired.candidate_replicas)
        beside = desired.stable if desired.baseline else None
        self.baseline = self._take(free, beside, desired.candidate_replicas, BASELINE)
        self._settle()

    async def reached(self, timeout_s: float) -> None:
        """Wait until the world is as desired; for the empty state, until nothing is left.

        Raises:
            PlatformRejected: Replicas of a revision never prove themselves.
            PlatformUnavailable: Not in time, or another converge came.
        """
        generation, desired = self.generation, self.desired
        try:
            async with asyncio.timeout(timeout_s):
                while not self._is_reached():
                    self._news.clear()
                    await self._news.wait()
                    if self.generation != generation:
                        raise PlatformUnavailable(
                            f"{self.service} in {self.environment} was given another desired state meanwhile"
                        )
                    self._give_up_on_false_starts()
        except TimeoutError as e:
            troubles = "; ".join(self._troubles()) or "no replica reports a problem"
            raise PlatformUnavailable(
                f"{self.service} in {self.environment} is not as desired after {timeout_s:g} s "
                f"({_words(desired)}): {troubles}. The sandbox goes on trying"
            ) from e

    async def stop(self) -> None:
        """End all processes and keep everything else: the next daemon starts them again."""
        replicas = [*(r for s in self.slots.values() for r in s.replicas), *self._leaving]
        for replica in replicas:
            replica.task.cancel()
        await asyncio.gather(*(r.task for r in replicas), return_exceptions=True)

    def _is_reached(self) -> bool:
        if self.desired.stable is None and self.desired.candidate is None:
            return not self.slots and not self._leaving
        return self.observe("", 0).matches(self.desired)

    def _in_use(self) -> tuple[Slot, ...]:
        return tuple(s for s in (self.stable, self.candidate, self.baseline) if s)

    def _take(
        self, free: list[Slot], revision: Revision | None, replicas: int, track: str = ""
    ) -> Slot | None:
        if revision is None:
            return None
        wanted = SlotRecord(
            id=uuid.uuid4().hex[:8],
            revision=revision,
            config=dict(self.desired.config),
            wanted=replicas,
            track=track,
        )
        slot = next((s for s in free if s.record.key == wanted.key), None)
        if slot is None:
            return self._add(wanted)
        free.remove(slot)
        slot.record.wanted = replicas
        for _ in range(len(slot.replicas), replicas):
            self._start(slot, ReplicaRecord(id=uuid.uuid4().hex[:12]))
        return slot

    def _add(self, record: SlotRecord) -> Slot:
        slot = self.slots[record.id] = Slot(record)
        for replica in record.replicas or [
            ReplicaRecord(id=uuid.uuid4().hex[:12]) for _ in range(record.wanted)
        ]:
            self._start(slot, replica)
        return slot

    def _start(self, slot: Slot, record: ReplicaRecord) -> None:
        told = slot.record
        work = Assignment(self._home, self.environment, self.service, told.revision, told.config, told.track)
        slot.replicas.append(Replica(record, work, self._client, self._settle))

    def _settle(self) -> None:
        """Go as far as the replicas allow, now; called whenever one of them changes."""
        for slot in self.slots.values():
            slot.record.proven = slot.record.proven or slot.complete
        shares = self._shares()
        if self.route.weights != shares and self._may_move(shares):
            self.route.set(shares)
        if self.route.weights == shares:
            self._let_go()
        self._leaving = {r for r in self._leaving if not r.task.done()}
        self._save()
        self._news.set()

    def _shares(self) -> dict[str, int]:
        beside = self.desired.candidate_weight
        shares = (
            (self.stable, self.desired.stable_weight),
            (self.candidate, beside),
            (self.baseline, beside),
        )
        return {slot.record.id: share for slot, share in shares if slot and share}

    def _may_move(self, shares: dict[str, int]) -> bool:
        now = self.route.weights
        served = any(self.slots[s].ready for s in now if s in self.slots)
        for slot_id, share in shares.items():
            slot = self.slots[slot_id]
            if share <= now.get(slot_id, 0) or slot.complete:
                continue
            back = slot is self.stable and slot.record.proven
            if not (slot.ready and (back or not served)):
                return False
        return True

    def _let_go(self) -> None:
        for slot in list(self.slots.values()):
            used = slot in self._in_use()
            keep = slot.record.wanted if used else 0
            by_use = sorted(slot.replicas, key=lambda r: not r.serves)
            for replica in by_use[keep:]:
                slot.replicas.remove(replica)
                self._leaving.add(replica)
                replica.task.add_done_callback(lambda _: self._settle())
                replica.retire()
            if not used:
                del self.slots[slot.record.id]

    def _observed(self, slot: Slot | None) -> ObservedRevision | None:
        if slot is None:
            return None
        return ObservedRevision(
            revision=slot.record.revision,
            replicas=slot.record.wanted,
            ready=slot.ready,
            weight=self.route.weights.get(slot.record.id, 0),
        )

    def _troubles(self) -> Iterator[str]:
        for slot in self.slots.values():
            for replica in slot.replicas:
                if replica.trouble:
                    times = f" ({replica.failures} times)" if replica.failures > 1 else ""
                    yield f"{slot.record.revision.version}: a replica{times}: {replica.trouble}"

    def _give_up_on_false_starts(self) -> None:
        for slot in self._in_use():
            for replica in slot.replicas:
                if replica.false_starts >= FALSE_STARTS:
                    raise PlatformRejected(
                        f"version {slot.record.revision.version} does not start in {self.environment}: "
                        f"{replica.trouble}. Traffic was not moved to it"
                    )


def _words(desired: DesiredState) -> str:
    stable = f"stable {desired.stable.version}" if desired.stable else "no stable version"
    if desired.candidate is None:
        return stable
    return f"{stable}, candidate {desired.candidate.version} at {desired.candidate_weight} %"

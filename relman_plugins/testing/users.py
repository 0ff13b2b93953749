"""Users of whatever is live: a little traffic for each service, so that analyses have something to judge."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from relman_plugins.errors import PlatformError
from relman_plugins.platforms.base import Platform
from relman_plugins.spec.api import Shared, load_pipeline, pipeline_files
from relman_plugins.testing.stack_process import Managed, StackError

RESTARTS = 5
"""So often the traffic of one service may break; at the next time something is wrong for good."""

Place = tuple[str, str]
"""An environment and a service."""


def live(folder: Path, sandbox: Platform) -> list[Place]:
    """Return where the pipelines of ``folder`` are live: every environment that stays and runs their service.

    What is broken, or runs nowhere in the sandbox, has no users.
    """
    found: list[Place] = []
    shared = Shared()
    for file in pipeline_files(folder):
        documents = load_pipeline(file, shared).documents
        if documents is None:
            continue
        service = documents.pipeline.metadata.name
        stay = [n for n, e in documents.environments.items() if e.platform == "sandbox" and not e.ephemeral]
        try:
            found += [(name, service) for name in stay if sandbox.observe(name, service).stable is not None]
        except PlatformError:
            continue  # it is starting again, and will be looked at again
    return found


@dataclass
class Users:
    """The processes that send it, one for each place."""

    places: Callable[[], list[Place]]
    """Says where something is live."""
    begin: Callable[[Place], Managed]
    """Starts the traffic of one place."""
    forget: Callable[[Managed], None]
    """Takes a process that has ended out of those that are watched."""
    running: dict[Place, Managed] = field(default_factory=dict)
    broke: Counter[Place] = field(default_factory=Counter)

    def look(self) -> list[Place]:
        """Start what is missing where something is live; return those places."""
        new = [place for place in self.places() if place not in self.running]
        self.running |= {place: self.begin(place) for place in new}
        return new

    def tend(self) -> None:
        """Start again what has ended.

        Raises:
            StackError: the traffic of one place breaks again and again.
        """
        for place, managed in list(self.running.items()):
            if (code := managed.popen.poll()) is None:
                continue
            self.broke[place] += code != 0
            if self.broke[place] > RESTARTS:
                raise StackError(
                    f"{managed.name} broke {self.broke[place]} times; its log, {managed.log}, ends with:\n"
                    f"{managed.tail()}"
                )
            self.forget(managed)
            self.running[place] = self.begin(place)

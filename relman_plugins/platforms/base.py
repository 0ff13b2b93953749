"""What every platform can do: two verbs, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable

from relman_plugins.domain.state import DesiredState, ObservedState
from relman_plugins.domain.suite_job import JobLook, SuiteJob


@runtime_checkable
class Rolls(Protocol):
    """A platform that replaces replicas one by one by itself, within `DesiredState.rolling`."""

    rolls: bool


@runtime_checkable
class Baselines(Protocol):
    """A platform that runs a fresh baseline beside a candidate: `DesiredState.baseline`.

    Its replicas, and what is counted of them, can be told from the stable revision's by the track
    ``baseline``.
    """

    baselines: bool


@runtime_checkable
class Previews(Protocol):
    """A platform that can say beforehand what a version would change."""

    def preview(self, environment: str, service: str, desired: DesiredState) -> tuple[str, ...]:
        """Return a line for each change that reaching ``desired`` makes; changes nothing.

        Lines begin with ``+`` for what comes, ``-`` for what goes, ``~`` for what changes, and ``!`` for what
        would be refused.

        Raises:
            PlatformUnavailable: The platform does not answer.
            PlatformRejected: It can't be said, or can't be reached.
        """
        ...


class Jobs(Protocol):
    """Runs suites on a platform, each try as a Job of a name of its own.

    Everything that is known of a Job is the platform's: another process that asks for the same name goes on
    with the same Job. Every method raises PlatformUnavailable when the platform does not answer, and
    PlatformRejected when it refuses.
    """

    def start(self, job: SuiteJob) -> None:
        """Start a Job; one of that name that is there already is left as it is."""
        ...

    def look(self, name: str, timeout_s: float) -> JobLook | None:
        """Say how a Job is; None if there is none.

        Args:
            name: of the Job.
            timeout_s: how long its command may run.
        """
        ...

    def log(self, name: str, after: str) -> tuple[list[str], str]:
        """Return what the command has printed since ``after``, in part if it is much, and where that ends."""
        ...

    def stop(self, name: str, why: str) -> None:
        """End a Job that runs; when nothing of it runs any more, a look has ``why``.

        One that has ended is left as it is.
        """
        ...

    def reports(self, job: SuiteJob, into: Path) -> str:
        """Write the reports of a Job that has ended into a folder; return why there are none, if so."""
        ...

    def remove(self, release_id: str, step: str = "") -> int:
        """Remove all Jobs of a release, or of one step of it, whatever they do; return how many."""
        ...


@runtime_checkable
class RunsJobs(Protocol):
    """A platform on which suites can run."""

    def jobs(self) -> Jobs:
        """Return what runs them."""
        ...


@runtime_checkable
class Platform(Protocol):
    """Makes one environment of one service what it should be, and says what it is.

    There is no verb for removal: an environment is removed by converging to the empty
    :class:`DesiredState`, and proven removed by ``observe().exists`` being False.
    """

    def observe(self, environment: str, service: str) -> ObservedState:
        """Say what runs for a service in an environment; changes nothing.

        Raises:
            PlatformUnavailable: The platform does not answer.
        """
        ...

    def converge(
        self, environment: str, service: str, desired: DesiredState, *, token: int, timeout_s: float = 60
    ) -> ObservedState:
        """Make it so, and return what then runs: ``observed.matches(desired)``.

        Idempotent: twice is once. Traffic leaves a revision before its replicas do, and reaches one only
        when its replicas have proven their identity. The platform keeps trying after a time-out.

        Args:
            environment: Name of the environment.
            service: Name of the service.
            desired: What should run.
            token: Fencing token of the caller's lock; one lower than the highest seen is refused.
            timeout_s: Seconds to wait for the world to match.

        Raises:
            PlatformUnavailable: No answer, or the desired state was not reached in time.
            PlatformRejected: The desired state cannot be reached: wrong digest, replicas that never start.
            StaleToken: A newer token was seen; nothing was changed.
        """
        ...

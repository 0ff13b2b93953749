"""A try of a suite as a Job on the platform: what is to run, and what became of it."""

from __future__ import annotations

import re

from pydantic import Field

from relman_plugins.domain.base import Frozen, digest_of

REPORTS = "/relman/reports"
"""The folder in the pod that reports are written to."""

FAILED_TESTS = "/relman/about/failed-tests.txt"
"""The file in the pod with the names of the tests that failed in earlier tries, one a line."""

MOST_NAMES = 200_000
"""Bytes of such names that a Job carries; with more of them the next try runs all tests."""


class SuiteJob(Frozen):
    """What is to run. Its name says of which try of which step of which release it is, so that it is once."""

    release_id: str
    step: str
    round: int
    """How often the step had ended for good before: whoever clears it begins anew."""
    attempt: int
    """The try, counted from 1."""
    image: str
    collector: str
    """The image of the container that hands the reports over."""
    command: tuple[str, ...]
    variables: dict[str, str]
    files: tuple[str, ...]
    """Paths of the reports, relative to ``REPORTS``."""
    failed: tuple[str, ...] = ()
    """Tests that failed in earlier tries."""
    timeout_s: float
    cpu: str | None = None
    memory: str | None = None
    service_account: str | None = None
    user: int | None = None

    @property
    def name(self) -> str:
        """Return its name: as long as a label may be, of what names may have."""
        of = digest_of([self.release_id, self.step, self.round])[7:19]
        stem = re.sub(r"[^a-z0-9]+", "-", self.step.rpartition(".")[2].lower()).strip("-")[:24].strip("-")
        return f"relman-suite-{stem or 'x'}-{of}-{self.attempt}"


def mark_of(release_id: str, step: str = "") -> str:
    """Return what all Jobs of a release, or of a step of it, are found by: a value that a label may have."""
    return digest_of([release_id, step])[7:23]


class JobLook(Frozen):
    """What a Job looks like at one moment."""

    ended: bool = False
    """Whether it runs no more and won't; what is below is then how it ended."""
    code: int = 0
    """The command's exit code."""
    stopped: str = ""
    """Why it did not end by itself, in words; empty when it did."""
    seconds: float = Field(default=0.0, ge=0)
    """How long the command ran, by the cluster's clock."""
    tail: str = ""
    """The last lines that it printed."""
    said: str = ""
    """What is wrong with it as long as it has not ended, in words; empty for nothing."""
    hopeless: bool = False
    """Whether that is nothing that waiting mends: it is to be stopped."""

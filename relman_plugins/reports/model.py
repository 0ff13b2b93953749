"""The report of a release, as data. Times are UTC, durations seconds; texts are as recorded, not escaped."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from relman_plugins.domain.base import Frozen
from relman_plugins.domain.follow_up import FollowUp
from relman_plugins.domain.status import Outcome
from relman_plugins.reports.picture import Picture

REPORT_SCHEMA = 1
"""Version of the shape of the report's JSON."""


class Segment(Frozen):
    """A stretch of time in which a step was at one thing."""

    what: str
    """``working``, or what was waited for: ``approval``, ``window``, ``lock``, ``watch``, ``keep``…"""
    start: datetime
    end: datetime

    @property
    def seconds(self) -> float:
        """Return its length."""
        return (self.end - self.start).total_seconds()


class StepReport(Frozen):
    """One step of the plan, as it went."""

    id: str
    kind: str
    environment: str | None
    state: str
    """``finished``, ``failed``, ``refused``, ``running`` or ``not reached``."""
    tries: int = 0
    started_at: datetime | None = None
    ended_at: datetime | None = None
    seconds: float = 0.0
    waited_s: float = 0.0
    """The part of ``seconds`` in which the step waited for somebody or something."""
    message: str = ""
    segments: tuple[Segment, ...] = ()


class StageReport(Frozen):
    """One stage with its steps; steps outside every stage are a stage of their own."""

    name: str
    state: str
    started_at: datetime | None
    ended_at: datetime | None
    seconds: float
    waited_s: float
    """Time of the stage in which at least one step waited and none worked."""
    steps: tuple[StepReport, ...]


class VoteReport(Frozen):
    """One person's answer at a gate."""

    person: str
    decision: str
    comment: str
    via: str
    at: datetime
    after_s: float
    """Seconds after the question."""


class GateReport(Frozen):
    """One round of asking people."""

    step: str
    environment: str | None
    round: int
    asked: tuple[str, ...]
    quorum: int
    opened_at: datetime
    state: str
    decided_at: datetime | None = None
    decided_by: str = ""
    waited_s: float = 0.0
    subject_digest: str = ""
    artifact_digest: str = ""
    plan_hash: str = ""
    not_needed: tuple[str, ...] = ()
    """Rules that the risk of the release did not ask for, each with its reason."""
    votes: tuple[VoteReport, ...] = ()


class FailedTest(Frozen):
    """A test that failed, by name."""

    name: str
    message: str


class SuiteReport(Frozen):
    """The latest run of one suite in one environment."""

    step: str
    environment: str | None
    suite: str
    runs: int
    """How often its command ran: more than once means that tests failed first, or Airflow tried it again."""
    tests: int
    failures: int
    errors: int
    skipped: int
    seconds: float
    passed: bool
    reason: str
    failed: tuple[FailedTest, ...] = ()
    flaky: tuple[str, ...] = ()
    """Tests that failed and then passed."""
    more: dict[str, Any] = Field(default_factory=dict)
    """What else the suite recorded (coverage, findings, load), as recorded."""


class Look(Frozen):
    """One look at the numbers."""

    look: int
    at: datetime
    metrics: tuple[dict[str, Any], ...]
    """``name``, ``value``, ``verdict``, ``reason`` of each."""


class AnalysisReport(Frozen):
    """One analysis at one weight."""

    step: str
    environment: str | None
    analysis: str
    weight: int | None
    verdict: str
    """Empty when it never ended."""
    reason: str
    looks: tuple[Look, ...]
    picture: Picture | None = None
    """What is drawn of it; None where nothing was measured."""


class WithdrawalReport(Frozen):
    """A candidate's traffic taken back."""

    at: datetime
    environment: str | None
    reason: str
    seconds: float | None
    """From the failing poll to the old version having the traffic again."""
    served: int | None
    """Requests that the candidate had served."""
    total: int | None
    """Requests to both versions meanwhile."""


class FollowUpReport(Frozen):
    """What people were asked for, and wanted, once the release had ended."""

    asked: tuple[str, ...]
    until: datetime
    state: str
    """``asked``, ``given``, or ``none given`` when the time is over or somebody said so."""
    by: str = ""
    """Who answered."""
    at: datetime | None = None
    items: tuple[FollowUp, ...] = ()


class Compared(Frozen):
    """One number of a release beside those of earlier ones."""

    what: str
    unit: str
    """``s`` for seconds; empty for a count."""
    value: float
    usual: float | None
    """Median of the earlier releases that have it; None when none has."""
    least: float | None
    most: float | None
    of: int
    """How many earlier releases have it."""
    slower: bool
    """Whether it took longer than usual; see :mod:`relman_plugins.reports.comparison`."""


class Comparison(Frozen):
    """A release beside the latest successful ones of its pipeline."""

    releases: tuple[str, ...]
    """Those compared with, newest first: they ended before this one began."""
    rows: tuple[Compared, ...]


class Incident(Frozen):
    """Something out of the usual course: a hold, an abort, a bypassed gate, a broken lock, a failed try."""

    at: datetime
    what: str
    who: str
    text: str


class Entry(Frozen):
    """One line of the timeline."""

    at: datetime
    after_s: float
    where: str
    text: str
    who: str
    tone: str
    """``good``, ``bad``, ``wait`` or ``plain``."""


class Retrospective(Frozen):
    """A draft for the people who were there: numbers and questions, no judgement."""

    slowest: tuple[StepReport, ...]
    failed: tuple[str, ...]
    retried: tuple[str, ...]
    flaky: tuple[str, ...]
    questions: tuple[str, ...]


class ReleaseReport(Frozen):
    """Everything that is told of a release."""

    schema_version: int = REPORT_SCHEMA
    release_id: str
    pipeline: str
    service: str
    version: str
    owner: str
    outcome: Outcome | None
    """None while the release is under way."""
    rolled_back_since: tuple[str, ...] = ()
    """Environments that were taken back after the release had ended, on request."""
    reason: str
    opened_at: datetime
    closed_at: datetime | None
    as_of: datetime
    """Time of the latest event: what the report knows of."""
    seconds: float
    parts: dict[str, float]
    """How ``seconds`` is made up: ``working``, each kind of waiting, ``hold``, and ``between`` steps."""
    started_by: str
    changes: str
    emergency: bool
    dry_run: bool
    options: dict[str, Any]
    artifact_digest: str
    plan_hash: str
    shape_hash: str
    spec_digest: str
    stages: tuple[StageReport, ...]
    gates: tuple[GateReport, ...]
    suites: tuple[SuiteReport, ...]
    analyses: tuple[AnalysisReport, ...]
    withdrawals: tuple[WithdrawalReport, ...]
    incidents: tuple[Incident, ...]
    comparison: Comparison | None = None
    """None when there is no earlier release to compare with."""
    follow_ups: FollowUpReport | None = None
    """None when nobody was asked."""
    people: dict[str, tuple[str, ...]]
    """Who did what."""
    retrospective: Retrospective
    timeline: tuple[Entry, ...]

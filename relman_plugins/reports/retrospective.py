"""A draft for the retrospective: what took longest, what failed, and what to ask about it."""

from __future__ import annotations

from collections.abc import Sequence

from relman_plugins.reports.model import (
    GateReport,
    Retrospective,
    StepReport,
    SuiteReport,
    WithdrawalReport,
)
from relman_plugins.reports.text import duration

SHOWN = 5
"""How many of the slowest steps are named."""

LONG_WAIT_S = 3600.0
"""From which wait for people on there is a question about it."""


def retrospective_of(
    steps: Sequence[StepReport],
    suites: Sequence[SuiteReport],
    withdrawals: Sequence[WithdrawalReport],
    gates: Sequence[GateReport],
) -> Retrospective:
    """Return the draft; its questions follow from the facts, and its answers are people's."""
    ran = [s for s in steps if s.started_at]
    failed = tuple(f"{s.id}: {s.message}" for s in ran if s.state in ("failed", "refused"))
    retried = tuple(f"{s.id}: {s.tries} tries" for s in ran if s.tries > 1)
    flaky = tuple(f"{s.suite}: {name}" for s in suites for name in s.flaky)
    questions = [
        f"{g.step} waited {duration(g.waited_s)} for people: who was missing, and could it be asked earlier?"
        for g in gates
        if g.waited_s >= LONG_WAIT_S
    ]
    questions += [
        f"{w.served} requests of {w.environment} met the bad version: which test would have found it before?"
        for w in withdrawals
        if w.served
    ]
    questions += [f"Why did {s.id} need {s.tries} tries?" for s in ran if s.tries > 1]
    questions += [
        f"{s.suite} failed in {s.environment}: could it fail earlier?" for s in suites if not s.passed
    ]
    return Retrospective(
        slowest=tuple(sorted(ran, key=lambda s: (-s.seconds, s.id))[:SHOWN]),
        failed=failed,
        retried=retried,
        flaky=flaky,
        questions=tuple(questions),
    )

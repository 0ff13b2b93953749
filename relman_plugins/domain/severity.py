"""How much an event matters to people, and the words with which a route names what it wants to hear of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

from relman_plugins.domain.event import Kind
from relman_plugins.domain.status import Outcome


class Severity(StrEnum):
    """How much an event matters, least first."""

    INFO = "info"
    """It goes as planned."""
    NOTICE = "notice"
    """Worth knowing: a release begins or ends well, people are asked, somebody decided."""
    WARNING = "warning"
    """Something was stopped or did not work; nobody has to act at once."""
    ERROR = "error"
    """The release failed, or users noticed: those who answer for it look now."""
    CRITICAL = "critical"
    """relman can't put it right by itself."""

    @property
    def rank(self) -> int:
        """Order of the severities, from 0."""
        return list(Severity).index(self)


_Grade = Severity | Callable[[str, Mapping[str, Any]], Severity]

_OUTCOMES = {
    Outcome.SUCCEEDED: Severity.NOTICE,
    Outcome.SUPERSEDED: Severity.NOTICE,
    Outcome.REJECTED: Severity.WARNING,
    Outcome.EXPIRED: Severity.WARNING,
    Outcome.ABORTED: Severity.WARNING,
    Outcome.ROLLED_BACK: Severity.ERROR,
    Outcome.FAILED: Severity.ERROR,
}


def _closed(_step: str, data: Mapping[str, Any]) -> Severity:
    outcome = data.get("outcome")
    return _OUTCOMES[Outcome(outcome)] if outcome in list(Outcome) else Severity.ERROR


def _failed(step: str, data: Mapping[str, Any]) -> Severity:
    if not data.get("final", True) or data.get("aborted") or data.get("decided"):
        return Severity.WARNING
    kind = data.get("kind") or _kind_by_name(step)
    # A gate's step that ends so was answered with no, or by nobody: what people decided is no defect.
    if kind in ("approval", "checklist"):
        return Severity.WARNING
    return Severity.CRITICAL if kind == "rollback" else Severity.ERROR


def _kind_by_name(step: str) -> str:
    """Return what kind of step it is as far as its name tells: older events do not say."""
    name = step.rpartition(".")[2]
    return "approval" if name.startswith("approval") else name


def _refused(_step: str, data: Mapping[str, Any]) -> Severity:
    calm = data.get("aborted") or data.get("decided") or not data.get("final", True)
    return Severity.WARNING if calm else Severity.ERROR


def _withdrawn(_step: str, data: Mapping[str, Any]) -> Severity:
    return Severity.WARNING if data.get("aborted") else Severity.ERROR


def _not_back(_step: str, data: Mapping[str, Any]) -> Severity:
    return Severity.CRITICAL if data.get("final", True) else Severity.WARNING


def _passed(_step: str, data: Mapping[str, Any]) -> Severity:
    return Severity.INFO if data.get("passed") else Severity.WARNING


def _judged(_step: str, data: Mapping[str, Any]) -> Severity:
    return Severity.INFO if data.get("verdict") == "pass" else Severity.WARNING


def _decided(_step: str, data: Mapping[str, Any]) -> Severity:
    # A question that a thaw has ended needs nobody any more.
    calm = data.get("state") in ("approved", "superseded") or data.get("by") == "thaw"
    return Severity.NOTICE if calm else Severity.WARNING


def _assessed(_step: str, data: Mapping[str, Any]) -> Severity:
    return Severity.INFO if data.get("risk") == "low" else Severity.NOTICE


def _compared(_step: str, data: Mapping[str, Any]) -> Severity:
    return Severity.WARNING if data.get("lines") else Severity.INFO


_SEVERITY: dict[Kind, _Grade] = {
    Kind.RELEASE_OPENED: Severity.NOTICE,
    Kind.RELEASE_CLOSED: _closed,
    Kind.FOLLOW_UP_ASKED: Severity.NOTICE,
    Kind.FOLLOW_UP: Severity.NOTICE,
    Kind.RELEASE_HELD: Severity.NOTICE,
    Kind.RELEASE_RESUMED: Severity.NOTICE,
    Kind.ABORT_REQUESTED: Severity.WARNING,
    Kind.RELEASE_SUPERSEDED: Severity.NOTICE,
    Kind.RELEASE_OVERDUE: Severity.WARNING,
    Kind.RELEASE_FORECAST: Severity.INFO,
    Kind.ROLLBACK_REQUESTED: Severity.ERROR,
    Kind.STEP_STARTED: Severity.INFO,
    Kind.STEP_FINISHED: Severity.INFO,
    Kind.STEP_FAILED: _failed,
    Kind.STEP_REFUSED: _refused,
    Kind.ARTIFACT_BUILT: Severity.INFO,
    Kind.CHANGE_ASSESSED: _assessed,
    Kind.CHANGE_OUTDATED: Severity.INFO,
    Kind.ENVIRONMENT_PROVISIONED: Severity.INFO,
    Kind.ENVIRONMENT_REMOVED: Severity.INFO,
    Kind.CHANGE_STARTED: Severity.INFO,
    Kind.CHANGE_FINISHED: Severity.INFO,
    Kind.SUITE_FINISHED: _passed,
    Kind.FINDINGS_RECORDED: Severity.INFO,
    Kind.PARITY_COMPARED: _compared,
    Kind.TICKET_CHECKED: Severity.INFO,
    Kind.TICKET_WAITED: Severity.NOTICE,
    Kind.TICKET_ASKED: Severity.INFO,
    Kind.TICKET_CREATED: Severity.NOTICE,
    Kind.GATE_OPENED: Severity.NOTICE,
    Kind.GATE_REMINDED: Severity.NOTICE,
    Kind.GATE_WARNED: Severity.NOTICE,
    Kind.GATE_VOTED: Severity.NOTICE,
    Kind.GATE_VOTE_WITHDRAWN: Severity.NOTICE,
    Kind.GATE_DECIDED: _decided,
    Kind.GATE_BYPASSED: Severity.CRITICAL,
    Kind.GATE_ESCALATED: Severity.NOTICE,
    Kind.GATE_WAIVED: Severity.WARNING,
    Kind.GATE_NOT_NEEDED: Severity.NOTICE,
    Kind.GATE_OVERDUE: Severity.WARNING,
    Kind.GATE_SETTLED: Severity.NOTICE,
    Kind.VOTE_REFUSED: Severity.INFO,
    Kind.WINDOW_WAITED: Severity.INFO,
    Kind.WINDOW_PASSED: Severity.WARNING,
    Kind.CALENDAR_CHANGED: Severity.NOTICE,
    Kind.FREEZE_WAITED: Severity.NOTICE,
    Kind.FREEZE_PASSED: Severity.WARNING,
    Kind.ANALYSIS_MEASURED: Severity.INFO,
    Kind.ANALYSIS_FINISHED: _judged,
    Kind.TRAFFIC_WITHDRAWN: _withdrawn,
    Kind.ROLLBACK_FINISHED: Severity.WARNING,
    Kind.ROLLBACK_REFUSED: Severity.ERROR,
    Kind.ROLLBACK_FAILED: _not_back,
    Kind.LOCK_ACQUIRED: Severity.INFO,
    Kind.LOCK_RELEASED: Severity.INFO,
    Kind.LOCK_BROKEN: Severity.WARNING,
    Kind.LOCK_EXPIRED: Severity.WARNING,
}


def severity_of(kind: Kind, step: str | None, data: Mapping[str, Any]) -> Severity:
    """Return how much an event matters. Pure; of a kind that nobody graded, ``info``."""
    grade = _SEVERITY.get(kind, Severity.INFO)
    return grade if isinstance(grade, Severity) else grade(step or "", data)


class Occasion(StrEnum):
    """What a route may ask to hear of: the outcomes of releases, and what happens on the way."""

    OPENED = "opened"
    CLOSED = "closed"
    SUCCEEDED = "succeeded"
    ROLLED_BACK = "rolled_back"
    REJECTED = "rejected"
    FAILED = "failed"
    ABORTED = "aborted"
    SUPERSEDED = "superseded"
    EXPIRED = "expired"
    HELD = "held"
    BUILT = "built"
    ASSESSED = "assessed"
    TESTED = "tested"
    CHANGED = "changed"
    WAITING = "waiting"
    DECIDED = "decided"
    BYPASSED = "bypassed"
    WAIVED = "waived"
    ANALYSED = "analysed"
    WITHDRAWN = "withdrawn"
    STEP_FAILED = "step_failed"
    LOCKS = "locks"
    FOLLOW_UPS = "follow_ups"


OCCASIONS: dict[Occasion, frozenset[Kind]] = {
    Occasion.OPENED: frozenset({Kind.RELEASE_OPENED}),
    Occasion.CLOSED: frozenset({Kind.RELEASE_CLOSED}),
    Occasion.HELD: frozenset(
        {
            Kind.RELEASE_HELD,
            Kind.RELEASE_RESUMED,
            Kind.ABORT_REQUESTED,
            Kind.FREEZE_WAITED,
            Kind.FREEZE_PASSED,
            Kind.WINDOW_PASSED,
            Kind.CALENDAR_CHANGED,
            Kind.RELEASE_OVERDUE,
        }
    ),
    Occasion.BUILT: frozenset({Kind.ARTIFACT_BUILT}),
    Occasion.ASSESSED: frozenset({Kind.CHANGE_ASSESSED}),
    Occasion.TESTED: frozenset({Kind.SUITE_FINISHED, Kind.PARITY_COMPARED}),
    Occasion.CHANGED: frozenset(
        {Kind.ENVIRONMENT_PROVISIONED, Kind.ENVIRONMENT_REMOVED, Kind.CHANGE_FINISHED, Kind.WINDOW_WAITED}
    ),
    Occasion.WAITING: frozenset(
        {
            Kind.GATE_OPENED,
            Kind.GATE_REMINDED,
            Kind.GATE_WARNED,
            Kind.GATE_ESCALATED,
            Kind.TICKET_WAITED,
            Kind.TICKET_CREATED,
        }
    ),
    Occasion.DECIDED: frozenset(
        {
            Kind.GATE_VOTED,
            Kind.GATE_VOTE_WITHDRAWN,
            Kind.GATE_DECIDED,
            Kind.GATE_NOT_NEEDED,
            Kind.RELEASE_SUPERSEDED,
        }
    ),
    Occasion.BYPASSED: frozenset({Kind.GATE_BYPASSED}),
    Occasion.WAIVED: frozenset({Kind.GATE_WAIVED, Kind.GATE_OVERDUE, Kind.GATE_SETTLED}),
    Occasion.ANALYSED: frozenset({Kind.ANALYSIS_FINISHED}),
    Occasion.WITHDRAWN: frozenset(
        {
            Kind.TRAFFIC_WITHDRAWN,
            Kind.ROLLBACK_REQUESTED,
            Kind.ROLLBACK_FINISHED,
            Kind.ROLLBACK_REFUSED,
            Kind.ROLLBACK_FAILED,
        }
    ),
    Occasion.STEP_FAILED: frozenset({Kind.STEP_FAILED, Kind.STEP_REFUSED}),
    Occasion.LOCKS: frozenset({Kind.LOCK_BROKEN, Kind.LOCK_EXPIRED}),
    Occasion.FOLLOW_UPS: frozenset({Kind.FOLLOW_UP_ASKED, Kind.FOLLOW_UP}),
}
"""The kinds of each occasion. The others are outcomes: ``release.closed`` with that outcome."""


def is_occasion(occasion: Occasion, kind: Kind, data: Mapping[str, Any]) -> bool:
    """Say whether an event is what the occasion means."""
    kinds = OCCASIONS.get(occasion)
    if kinds is not None:
        return kind in kinds
    return kind is Kind.RELEASE_CLOSED and data.get("outcome") == occasion.value

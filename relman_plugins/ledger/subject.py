"""What exactly is approved: one canonical document, made again from the record whenever somebody acts on it.

The same function makes what people are shown, whose digest their votes are bound to, and what a changing step
compares with it at the moment it acts. It rests on nothing but the stored plan and the record of the steps
before the gate: what runs beside or after it changes no approval.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from relman_plugins.domain.base import digest_of
from relman_plugins.domain.event import Event, Kind
from relman_plugins.ledger.conditions import depends, sort
from relman_plugins.ledger.releases import ReleaseRecord
from relman_plugins.ledger.tickets import created_number
from relman_plugins.plan.model import Shape, Step

SHOWN = (
    Kind.ARTIFACT_BUILT,
    Kind.SUITE_FINISHED,
    Kind.PARITY_COMPARED,
    Kind.CHANGE_ASSESSED,
    Kind.CHANGE_OUTDATED,
    Kind.TICKET_CREATED,
)
"""The kinds of events that the document rests on."""

MOST_COMMITS = 15
"""Commits that are named to people; the rest is counted."""


def subject_of(record: ReleaseRecord, gate: Step, events: Sequence[Event]) -> dict[str, Any]:
    """Return what is approved at a gate: ``events`` are the release's of the kinds ``SHOWN``, oldest first.

    Of a suite that ran again the last result counts. Without an artifact its digest is None.
    """
    options, shape = record.plan.options, record.plan.shape
    before = steps_before(shape, gate)
    built = next((e for e in reversed(events) if e.kind is Kind.ARTIFACT_BUILT), None)
    suites = {e.step: e.data for e in events if e.kind is Kind.SUITE_FINISHED and e.step in before}
    return {
        "release_id": record.release_id,
        "pipeline": shape.pipeline,
        "version": options.version,
        "artifact_digest": built.data["revision"]["digest"] if built else None,
        "plan_hash": record.plan_hash,
        "spec_digest": record.spec_digest,
        "environment": gate.environment,
        "changes": options.changes,
        "ticket": options.ticket or created_number([e for e in events if e.step in before]),
        "emergency": options.emergency,
        "emergency_reason": options.emergency_reason,
        "parameters": options.parameters,
        "tests": [
            {
                "step": step,
                "suite": s["suite"],
                "tests": s["tests"],
                "failures": s["failures"] + s["errors"],
                "skipped": s["skipped"],
                **_beyond(s),
            }
            for step, s in suites.items()
        ],
        **_compared(shape, gate, events),
        **_assessed(events),
        **_not_needed(record, gate, events),
    }


def steps_before(shape: Shape, gate: Step) -> set[str]:
    """Return the ids of all steps that must have ended before a step begins."""
    needs = {s.id: s.needs for s in shape.steps}
    found: set[str] = set()
    left = list(gate.needs)
    while left:
        step = left.pop()
        if step not in found:
            found.add(step)
            left += needs.get(step, ())
    return found


def differences(approved: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return what was approved and is different now, each in words that name it; empty when all is the same.

    What an older version of relman did not show is not compared, but for what identifies the release.
    """
    return [
        _told(name, approved.get(name), wanted)
        for name, wanted in now.items()
        if (name in approved or name in _ALWAYS)
        and (approved.get(name) != wanted or (wanted is None and name in _ALWAYS))
    ] + [f"{name}, which is not there any more" for name in _PARTS if name in approved and name not in now]


_ALWAYS = ("release_id", "version", "artifact_digest", "plan_hash", "spec_digest")
_PARTS = ("parity", "assessment")


def _told(name: str, approved: Any, wanted: Any) -> str:
    if name == "tests":
        sides = [{t.get("step"): t for t in side or () if isinstance(t, dict)} for side in (approved, wanted)]
        return f"other results of tests ({_listed(*sides)})"
    if isinstance(wanted, dict) or isinstance(approved, dict):
        sides = [side if isinstance(side, dict) else {} for side in (approved, wanted)]
        return f"another {name} ({_listed(*sides)})"
    return f"{name} {_short(approved)}, but {_short(wanted)} would ship"


def _listed(one: dict[Any, Any], two: dict[Any, Any]) -> str:
    names = sorted(str(k) for k in {**one, **two} if one.get(k) != two.get(k))
    # A digest differs with whatever it is of.
    return ", ".join([n for n in names if n != "digest"] or names) or "their order"


def _short(value: Any) -> str:
    text = str(value)
    return f"{text[:79]}…" if len(text) > 80 else text


def _beyond(suite: dict[str, Any]) -> dict[str, Any]:
    """Return what else people should know of a suite, as far as there is any: names, and other reports."""
    found = {
        "failed": [str(t.get("name", "?")) for t in suite.get("failed") or ()],
        "flaky": [str(t.get("name", "?")) for t in suite.get("flaky") or ()],
        "flakes": suite.get("flakes") or 0,
        "reports": [f"{r.get('kind')}: {r.get('reason')}" for r in suite.get("reports") or ()],
    }
    return {name: value for name, value in found.items() if value}


def _compared(shape: Shape, gate: Step, events: Sequence[Event]) -> dict[str, Any]:
    """Return what comparing environments before this stage found; nothing when it compares none."""
    stage = {s.id for s in shape.steps if s.stage == gate.stage}
    data = _last(events, Kind.PARITY_COMPARED, stage)
    if data is None:
        return {}
    shown = {"with": data["with"], "lines": data["lines"], "digest": digest_of(data["differences"])}
    return {"parity": shown}


def _assessed(events: Sequence[Event]) -> dict[str, Any]:
    """Return what changed since the live version and how risky that is; nothing when the plan doesn't ask."""
    data = _last(events, Kind.CHANGE_ASSESSED)
    if data is None:
        return {}
    changes = data["changes"]
    return {
        "assessment": {
            "risk": data["risk"],
            "headline": data["headline"],
            "reasons": _reasons(data),
            "live": data["circumstances"]["live"],
            "commit": changes["head"],
            "commits": [f"{c['id'][:9]} {c['subject']}" for c in changes["commits"][:MOST_COMMITS]],
            "commit_count": changes["commit_count"],
            "authors": [a["name"] or a["email"] for a in data["authors"]],
            "issues": changes["issues"],
            **_by_owners(data),
            "digest": digest_of(data),
        }
    }


def _by_owners(data: dict[str, Any]) -> dict[str, Any]:
    """Return what the owners of environments make of it, by name; nothing where no rule of theirs depends."""
    found = {
        name: {"headline": one["headline"], "reasons": _reasons(one)}
        for name, one in (data.get("environments") or {}).items()
    }
    return {"environments": found} if found else {}


def _reasons(data: dict[str, Any]) -> list[str]:
    return [f"{c['reason']} (+{c['points']})" for c in data["contributions"]]


def _not_needed(record: ReleaseRecord, gate: Step, events: Sequence[Event]) -> dict[str, Any]:
    """Return the rules that the risk does not ask for; nothing at gates where none depends on it."""
    if not depends(gate):
        return {}
    return {"not_needed": [one.line() for one in sort(record, gate, events).spared]}


def _last(events: Sequence[Event], kind: Kind, steps: set[str] | None = None) -> dict[str, Any] | None:
    found: Iterator[Event] = (
        e for e in reversed(events) if e.kind is kind and (steps is None or e.step in steps)
    )
    return next((e.data for e in found), None)

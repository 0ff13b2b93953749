"""One event in one sentence, for the timeline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from relman_plugins.domain import follow_up
from relman_plugins.domain.condition import NotNeeded
from relman_plugins.domain.event import Event, Kind
from relman_plugins.domain.identity import Actor
from relman_plugins.domain.ticket import Ticket, summary
from relman_plugins.reports.text import count, duration, short, word

QUIET = frozenset(
    {
        Kind.STEP_STARTED,
        Kind.STEP_FINISHED,
        Kind.RELEASE_FORECAST,
        Kind.CHANGE_STARTED,
        Kind.FINDINGS_RECORDED,
        Kind.TICKET_ASKED,
        Kind.ANALYSIS_MEASURED,
        Kind.LOCK_ACQUIRED,
        Kind.LOCK_RELEASED,
    }
)
"""Kinds that the timeline leaves out: what follows from them is in it."""


def who(actor: Actor) -> str:
    """Return a person's name; nothing for machines."""
    return (actor.name or actor.id) if actor.kind == "person" else ""


def sentence(event: Event) -> str:
    """Return what happened; the bare kind for events of a shape that this version does not know."""
    try:
        text = _SAY[event.kind](event.data) if event.kind in _SAY else _other(event.data)
    except (AttributeError, KeyError, TypeError, ValueError):
        text = ""
    return text or word(event.kind.value.replace(".", " "))


def tone(event: Event) -> str:
    """Return whether an event is ``good``, ``bad``, a ``wait`` or ``plain``."""
    data = event.data
    match event.kind:
        case (
            Kind.STEP_FAILED
            | Kind.STEP_REFUSED
            | Kind.GATE_BYPASSED
            | Kind.GATE_WAIVED
            | Kind.GATE_OVERDUE
            | Kind.TRAFFIC_WITHDRAWN
            | Kind.ROLLBACK_REQUESTED
            | Kind.ROLLBACK_FINISHED
            | Kind.ROLLBACK_REFUSED
            | Kind.ROLLBACK_FAILED
            | Kind.ABORT_REQUESTED
            | Kind.RELEASE_SUPERSEDED
            | Kind.LOCK_BROKEN
            | Kind.LOCK_EXPIRED
        ):
            return "bad"
        case (
            Kind.GATE_OPENED
            | Kind.WINDOW_WAITED
            | Kind.FREEZE_WAITED
            | Kind.FREEZE_PASSED
            | Kind.WINDOW_PASSED
            | Kind.TICKET_WAITED
            | Kind.RELEASE_HELD
            | Kind.FOLLOW_UP_ASKED
        ):
            return "wait"
        case Kind.RELEASE_CLOSED:
            return "good" if data.get("outcome") == "succeeded" else "bad"
        case Kind.GATE_DECIDED:
            return "good" if data.get("state") == "approved" else "bad"
        case Kind.GATE_VOTED:
            return "good" if data.get("decision") == "approve" else "bad"
        case Kind.SUITE_FINISHED:
            return "good" if data.get("passed") else "bad"
        case Kind.ANALYSIS_FINISHED:
            return "good" if data.get("verdict") == "pass" else "bad"
    return "plain"


def _other(data: dict[str, Any]) -> str:
    return str(data.get("message") or data.get("reason") or data.get("text") or "")


def _and(text: str, more: Any) -> str:
    return f"{text}: {more}" if more else text


def _change(data: dict[str, Any]) -> str:
    desired = data["desired"]
    if candidate := desired.get("candidate"):
        return f"{candidate['version']} gets {desired.get('candidate_weight', 0)} % of the traffic"
    stable = desired.get("stable")
    if stable:
        return f"{stable['version']} has all the traffic"
    ready = ", ready for the first version" if data.get("provisioned") else ""
    return f"the environment is empty{ready}"


def _suite(data: dict[str, Any]) -> str:
    bad = int(data.get("failures") or 0) + int(data.get("errors") or 0)
    verdict = "passed" if data.get("passed") else "did not pass"
    text = f"suite {data.get('suite')} {verdict}: {count(int(data.get('tests') or 0), 'test')}, {bad} failed"
    text += f", {data['flakes']} flaky" if data.get("flakes") else ""
    return "; ".join([text, *(f"{r.get('kind')}: {r.get('reason')}" for r in data.get("reports") or ())])


def _asked(data: dict[str, Any]) -> str:
    return f"{count(data.get('quorum', 1), 'approval')} asked of {_named(data)}"


def _spared(rule: dict[str, Any]) -> str:
    return NotNeeded.model_validate(rule).line()


def _named(data: dict[str, Any]) -> str:
    return ", ".join(str(p.get("name") or p.get("id")) for p in data["people"])


def _ticket(data: dict[str, Any]) -> str:
    found = data.get("ticket")
    said = summary(Ticket.model_validate(found)) if found else f"{data['number']} is not there"
    return _and(f"looked at the ticket: {said}", "; ".join(data.get("lacks") or ()))


def _withdrawn(data: dict[str, Any]) -> str:
    took = f" after {duration(float(data['seconds']))}" if data.get("seconds") is not None else ""
    return _and(f"traffic is back at the old version{took}", data.get("reason"))


_SAY: dict[Kind, Callable[[dict[str, Any]], str]] = {
    Kind.RELEASE_OPENED: lambda d: _and(f"release of {d.get('version')} opened", d.get("changes")),
    Kind.RELEASE_CLOSED: lambda d: _and(f"closed as {word(str(d['outcome']))}", d.get("reason")),
    Kind.FOLLOW_UP_ASKED: lambda d: f"follow-ups asked of {_named(d)}",
    Kind.FOLLOW_UP: lambda d: "; ".join(follow_up.told(i) for i in follow_up.read(d)) or "no follow-ups",
    Kind.RELEASE_HELD: lambda d: _and("held", d.get("reason")),
    Kind.RELEASE_RESUMED: lambda d: _and("resumed", d.get("reason")),
    Kind.RELEASE_SUPERSEDED: lambda d: str(d["reason"]),
    Kind.ABORT_REQUESTED: lambda d: _and("abort asked for", d.get("reason")),
    Kind.STEP_FAILED: lambda d: _and(
        "failed" if d.get("final", True) else "a try broke, to be tried again", d.get("message")
    ),
    Kind.STEP_REFUSED: lambda d: _and("refused", d.get("message")),
    Kind.ARTIFACT_BUILT: lambda d: (
        f"built {d['revision']['version']}, digest {short(d['revision']['digest'])}"
    ),
    Kind.CHANGE_FINISHED: _change,
    Kind.SUITE_FINISHED: _suite,
    Kind.TICKET_CHECKED: _ticket,
    Kind.TICKET_CREATED: lambda d: f"created the ticket {d['number']}",
    Kind.GATE_OPENED: _asked,
    Kind.GATE_VOTED: lambda d: _and(
        "approves" if d.get("decision") == "approve" else "rejects", d.get("comment")
    ),
    Kind.GATE_VOTE_WITHDRAWN: lambda d: _and(f"withdraws the vote to {d['decision']}", d.get("comment")),
    Kind.GATE_DECIDED: lambda d: (
        f"{d['state']}, takes effect at {d['effect_at'][:16]} UTC" if d.get("effect_at") else str(d["state"])
    ),
    Kind.GATE_ESCALATED: lambda d: f"{d['group']} may answer too: {_named(d)}",
    Kind.GATE_WAIVED: lambda d: _and(
        f"break-glass skips {', '.join(r['group'] for r in d['rules'])}", d.get("reason")
    ),
    Kind.CHANGE_OUTDATED: lambda d: (
        f"{d.get('live') or 'nothing'} is live there by now, and the change was compared with "
        f"{d.get('assessed') or 'nothing'}: its risk is not known, and rules that depend on it are asked for"
    ),
    Kind.GATE_NOT_NEEDED: lambda d: f"not needed: {'; '.join(_spared(r) for r in d['rules'])}",
    Kind.GATE_OVERDUE: lambda d: f"what break-glass skipped is not approved in time; asked of {_named(d)}",
    Kind.GATE_SETTLED: lambda d: f"the refusal is settled: {d['reason']}",
    Kind.GATE_BYPASSED: lambda d: _and("passed without a decision", d.get("message")),
    Kind.VOTE_REFUSED: lambda d: _and(f"a vote to {d['decision']} did not count", d.get("reason")),
    Kind.ANALYSIS_FINISHED: lambda d: _and(
        f"{d.get('analysis')}: {word(str(d.get('verdict')))}", d.get("reason")
    ),
    Kind.TRAFFIC_WITHDRAWN: _withdrawn,
    Kind.ROLLBACK_REQUESTED: lambda d: _and(
        f"rollback to {(d.get('to') or {}).get('version', 'nothing')} asked for", d.get("reason")
    ),
    Kind.ROLLBACK_REFUSED: lambda d: _and("rollback refused", d.get("message")),
    Kind.ROLLBACK_FAILED: lambda d: _and(
        "rollback failed" if d.get("final", True) else "a try to roll back broke, to be tried again",
        d.get("message"),
    ),
    Kind.ROLLBACK_FINISHED: lambda d: f"rolled back to {(d.get('to') or {}).get('version', 'nothing')}",
    Kind.ENVIRONMENT_PROVISIONED: lambda d: "environment provisioned",
    Kind.ENVIRONMENT_REMOVED: lambda d: "environment removed, proven gone",
    Kind.LOCK_BROKEN: lambda d: _and("lock broken", d.get("reason")),
    Kind.LOCK_EXPIRED: lambda d: "lock expired",
}

"""One event in one line, for people who read a log."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from relman_plugins.cli import rules
from relman_plugins.cli.screen import continued
from relman_plugins.domain import follow_up
from relman_plugins.domain.look import counts

_MARKS = {"succeeded": "✔", "rolled_back": "↩", "rejected": "✘", "failed": "✘", "aborted": "■"}


_RECORD_MARGIN = 21
_MARGIN = 10
"""Columns that the time takes."""


def clock(iso: str) -> str:
    """Return the local time of day of an ISO time stamp."""
    return datetime.fromisoformat(iso).astimezone().strftime("%H:%M:%S")


def moment(iso: str) -> str:
    """Return local date and time of an ISO time stamp, to the minute."""
    return datetime.fromisoformat(iso).astimezone().strftime("%Y-%m-%d %H:%M")


def short(digest: str | None) -> str:
    """Return the first twelve digits of a digest."""
    return (digest or "").removeprefix("sha256:")[:12] or "-"


def outcome(word: str) -> str:
    """Return an outcome with its mark."""
    return f"{_MARKS.get(word, '•')} {word}"


def event_line(event: dict[str, Any]) -> str:
    """Return ``<time> <step> <what happened>`` without trailing spaces; further lines are indented."""
    where = event.get("step") or event.get("environment") or ""
    return continued(f"{clock(event['at'])}  {where:<24}  {_what(event)}".rstrip(), _MARGIN)


def record_line(event: dict[str, Any]) -> str:
    """Return ``<date and time> <kind> <where> <what> <who>``: one event for people who read a record."""
    at = datetime.fromisoformat(event["at"]).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    where = event.get("step") or event.get("environment") or ""
    # Who did it, and which way they came, is said at the end of every entry.
    who, via = _who(event), (event.get("actor") or {}).get("via")
    data = {k: v for k, v in (event.get("data") or {}).items() if not (who and k == "person")}
    kind, _, what = _what({**event, "actor": {}, "data": data}).partition(": ")
    said = _by(what, f"{who} via {via}" if who and via else who)
    return continued(f"{at}  {kind:<23}  {where:<24}  {said}".rstrip(), _RECORD_MARGIN)


def _what(event: dict[str, Any]) -> str:
    kind, data, who = event["kind"], event.get("data") or {}, _who(event)
    say = _SAY.get(kind)
    text = say(data, who) if say else ""
    return f"{kind}: {text}" if text else str(kind)


def _who(event: dict[str, Any]) -> str:
    actor = event.get("actor") or {}
    return str(actor.get("name") or actor.get("id") or "") if actor.get("kind") == "person" else ""


def _by(text: object, who: str) -> str:
    return " ".join(filter(None, [str(text or ""), f"(by {who})" if who else ""]))


def _suite(data: dict[str, Any]) -> str:
    bad = (data.get("failures") or 0) + (data.get("errors") or 0)
    text = (
        f"{data.get('suite')}: {data.get('tests', 0)} tests, {bad} failed, {data.get('skipped', 0)} skipped"
    )
    text += f", {data['flakes']} flaky" if data.get("flakes") else ""
    return "; ".join([text, *(f"{r.get('kind')}: {r.get('reason')}" for r in data.get("reports") or ())])


def _gate(data: dict[str, Any], who: str) -> str:
    names = _people(data)
    if "missing" in data:
        return f"reminds {names}; {data['missing']} still needed"
    return f"asks {names}; {data.get('quorum', 1)} needed"


def _people(data: dict[str, Any]) -> str:
    return ", ".join(
        str(p.get("name") or p.get("id")) if isinstance(p, dict) else str(p) for p in data["people"]
    )


def _change(data: dict[str, Any], who: str) -> str:
    desired = data.get("desired") or {}
    candidate, stable = desired.get("candidate"), desired.get("stable")
    if candidate:
        return f"{candidate['version']} gets {desired.get('candidate_weight', 0)} % of the traffic"
    return f"{stable['version']} gets all the traffic" if stable else "emptied"


def _effect(data: dict[str, Any]) -> str:
    return f", takes effect at {moment(data['effect_at'])}" if data.get("effect_at") else ""


def _measured(data: dict[str, Any], who: str) -> str:
    values = (
        f"{m.get('name')} {counts(m) or m.get('value')} {m.get('verdict')}" for m in data.get("metrics", ())
    )
    return f"look {data.get('look')}: {', '.join(values)}"


def expected(found: dict[str, Any]) -> list[str]:
    """Write a forecast for people: when it will be done, what it waits for longest, and what to do now."""
    said = [str(one) for one in found.get("says") or ()]
    made = found.get("forecast")
    if made is None:
        why = str(found.get("why_not") or "")
        return [f"no forecast: {why}"] if why and "has ended" not in why else []
    lines = [f"done about {moment(made['p50'])}, with 90 % by {moment(made['p90'])}"]
    lines += [
        f"  {stage['stage']} about {moment(stage['p50'])}, with 90 % by {moment(stage['p90'])}"
        for stage in (made["stages"] if len(made["stages"]) > 1 else ())
    ]
    if made["critical"]:
        from relman_plugins.plan.words import duration

        one = made["critical"][0]
        lines.append(f"longest wait: {one['step']}, {duration(round(one['seconds']))}")
    lines.append(f"from {made['releases']} earlier releases" if made["releases"] else "from the plan alone")
    return said + lines


def frozen(one: dict[str, Any]) -> str:
    """Write a freeze for people."""
    labels = ", ".join(f"{key}={value}" for key, value in sorted((one.get("labels") or {}).items()))
    what = one["pipeline"] or ("every pipeline" if labels else "everything")
    what += f" with {labels}" if labels else ""
    until = f" until {moment(one['until'])}" if one["until"] else ""
    unless = ", unless an exception is approved," if one.get("unless") else ""
    who = one["actor"].get("name") or one["actor"].get("id")
    where = one["environment"] or "every environment"
    return f"{what} in {where} is frozen since {moment(one['at'])}{until}{unless} by {who}: {one['reason']}"


_SAY: dict[str, Callable[[dict[str, Any], str], str]] = {
    "release.opened": lambda d, w: _by(d.get("version"), w),
    "release.closed": lambda d, w: " ".join(
        filter(None, [str(d.get("outcome", "")), str(d.get("reason") or "")])
    ),
    "release.follow_up_asked": lambda d, w: f"asks {_people(d)} until {moment(d['until'])}",
    "release.follow_up": lambda d, w: _by(
        "; ".join(follow_up.told(i) for i in follow_up.read(d)) or "no follow-ups", w
    ),
    "release.held": lambda d, w: _by(d.get("reason"), w),
    "release.resumed": lambda d, w: _by(d.get("reason"), w),
    "release.abort_requested": lambda d, w: _by(d.get("reason"), w),
    "release.overdue": lambda d, w: str(d.get("message") or ""),
    "release.forecast": lambda d, w: str(d.get("message") or ""),
    "gate.warned": lambda d, w: str(d.get("message") or ""),
    "freeze.waited": lambda d, w: str(d.get("message") or ""),
    "freeze.passed": lambda d, w: str(d.get("message") or ""),
    "window.waited": lambda d, w: str(d.get("message") or ""),
    "window.passed": lambda d, w: str(d.get("message") or ""),
    "calendar.changed": lambda d, w: str(d.get("message") or ""),
    "step.failed": lambda d, w: str(d.get("message") or ""),
    "step.refused": lambda d, w: str(d.get("message") or ""),
    "artifact.built": lambda d, w: short((d.get("revision") or {}).get("digest")),
    "change.started": _change,
    "change.finished": _change,
    "parity.compared": lambda d, w: (
        f"with {d.get('with')}: {'; '.join(d.get('lines') or []) or 'no difference'}"
    ),
    "suite.finished": lambda d, w: _suite(d),
    "findings.recorded": lambda d, w: f"{d.get('suite')}: {len(d.get('fingerprints') or ())}",
    "gate.opened": _gate,
    "gate.reminded": _gate,
    "gate.voted": lambda d, w: _by(
        f"{d.get('decision', '')} {d.get('comment') or ''}".strip(), w or str(d.get("person") or "")
    ),
    "gate.vote_withdrawn": lambda d, w: _by(
        f"{d.get('decision', '')} {d.get('comment') or ''}".strip(), w or str(d.get("person") or "")
    ),
    "vote.refused": lambda d, w: _by(
        f"{d.get('decision', '')} did not count: {d.get('reason') or ''}".rstrip(": "),
        w or str(d.get("person") or ""),
    ),
    "gate.decided": lambda d, w: f"{d.get('state') or ''}{_effect(d)}",
    "gate.escalated": lambda d, w: f"asks {d.get('group')} too: {_people(d)}",
    "gate.waived": lambda d, w: _by(
        f"skips {', '.join(r['group'] for r in d['rules'])}: {d.get('reason') or ''}".rstrip(": "), w
    ),
    "gate.not_needed": lambda d, w: "; ".join(rules.not_needed(d["rules"])),
    "gate.overdue": lambda d, w: f"not approved in time; asks {_people(d)}",
    "gate.settled": lambda d, w: _by(str(d["reason"]), w),
    "release.superseded": lambda d, w: str(d.get("reason") or ""),
    "lock.broken": lambda d, w: _by(d.get("reason"), w),
    "gate.bypassed": lambda d, w: str(d.get("message") or ""),
    "analysis.measured": _measured,
    "analysis.finished": lambda d, w: f"{d.get('verdict')}: {d.get('reason') or ''}".rstrip(": "),
    "traffic.withdrawn": lambda d, w: str(d.get("reason") or ""),
    "release.rollback_requested": lambda d, w: _by(
        f"back to {(d.get('to') or {}).get('version', 'nothing')}: {d.get('reason') or ''}".rstrip(": "), w
    ),
    "rollback.refused": lambda d, w: str(d.get("message") or ""),
    "rollback.failed": lambda d, w: (
        f"{d.get('message') or ''}{'' if d.get('final', True) else ' (to be tried again)'}"
    ),
    "rollback.finished": lambda d, w: f"back at {(d.get('to') or {}).get('version', 'nothing')}",
}

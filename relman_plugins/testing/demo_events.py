"""Events of a release in the words of the demo: one line each, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from relman_plugins.domain.look import counts

Event = Mapping[str, Any]


def describe(event: Event) -> str | None:
    """Return what happened in one line, or None for an event that a reader of the demo can do without."""
    words = _WORDS.get(str(event["kind"]))
    return words(event["data"], event) if words else None


def mark_of(event: Event) -> str | None:
    """Return the state of an event's step: ``running``, ``done``, ``failed``, ``waiting``, or None."""
    kind, data = str(event["kind"]), event["data"]
    if kind == "step.failed" and data.get("final") is False:
        return "running"
    if kind == "suite.finished":
        return "done" if data.get("passed") else "failed"
    if kind == "gate.decided":
        return "done" if data.get("state") == "approved" else "failed"
    if kind == "analysis.finished":
        return "done" if data.get("verdict") == "pass" else "failed"
    return _MARKS.get(kind)


_MARKS = {
    "step.started": "running",
    "change.started": "running",
    "gate.opened": "waiting",
    "step.finished": "done",
    "artifact.built": "done",
    "change.finished": "done",
    "environment.provisioned": "done",
    "environment.removed": "done",
    "window.waited": "waiting",
    "rollback.finished": "done",
    "step.failed": "failed",
    "step.refused": "failed",
    "traffic.withdrawn": "failed",
}


def _built(data: Event, _event: Event) -> str:
    revision = data.get("revision") or {}
    return f"artifact {str(revision.get('digest'))[:19]}…, {data.get('files')} files, {_kb(data.get('size'))}"


def _suite(data: Event, _event: Event) -> str:
    text = (
        f"suite {data.get('suite')}: {data.get('tests')} tests, {data.get('failures')} failures, "
        f"{data.get('errors')} errors, {data.get('skipped')} skipped"
    )
    text += f", {data['flakes']} flaky" if data.get("flakes") else ""
    names = ", ".join(str(f.get("name")) for f in data.get("failed") or [])
    return f"{text}: {names}" if names else text


def _changed(data: Event, event: Event) -> str:
    desired = data.get("desired") or {}
    stable, candidate = (desired.get(side) or {} for side in ("stable", "candidate"))
    where = event.get("environment")
    if candidate.get("version"):
        weight = desired.get("candidate_weight")
        return f"{where}: {candidate['version']} gets {weight} % of the traffic"
    if stable.get("version"):
        return f"{where}: {stable['version']} runs, proven by digest"
    if data.get("provisioned"):
        return f"{where}: provisioned, empty and ready for the first version"
    return f"{where}: nothing runs any more"


def _opened(data: Event, _event: Event) -> str:
    subject, people = data.get("subject") or {}, data.get("people") or []
    names = ", ".join(str(p.get("name") or p.get("id")) for p in people)
    digest = str(subject.get("artifact_digest"))[:19]
    return f"waits for {data.get('quorum')} of {names}: {subject.get('version')} ({digest}…)"


def _voted(data: Event, event: Event) -> str:
    actor = event.get("actor") or {}
    did = "approves" if data.get("decision") == "approve" else "rejects"
    missing = (
        f"; {data['missing']} of {data.get('quorum')} missing: {data['still']}" if data.get("missing") else ""
    )
    return f"{actor.get('name') or data.get('person')} {did}{missing}"


def _vote_refused(data: Event, _event: Event) -> str:
    return f"refused: {data.get('reason')}"


def _decided(data: Event, _event: Event) -> str:
    return f"{data.get('state')} by {data.get('by') or 'the time limit'}"


def _measured(data: Event, _event: Event) -> str:
    return "; ".join(
        f"{m.get('name')} {counts(m) or _number(m.get('value'))} ({m.get('verdict')})"
        for m in data.get("metrics") or []
    )


def _analysed(data: Event, _event: Event) -> str:
    weight, verdict = data.get("weight"), data.get("verdict")
    return f"analysis {data.get('analysis')} at {weight} %: {verdict}; {data.get('reason')}"


def _withdrawn(data: Event, _event: Event) -> str:
    took = float(data.get("seconds") or 0) * 1000
    return f"traffic back at the stable version {took:.0f} ms after the failing poll; {data.get('reason')}"


def _removed(data: Event, event: Event) -> str:
    return f"{event.get('environment')}: gone; {'; '.join(map(str, data.get('proof') or []))}"


def _rolled_back(data: Event, _event: Event) -> str:
    return f"rolled back to {(data.get('to') or {}).get('version') or 'nothing'}"


def _failed(data: Event, _event: Event) -> str:
    message = str(data.get("message") or "failed")
    return f"try {data.get('try')} failed, trying again: {message}" if data.get("final") is False else message


def _waited(data: Event, _event: Event) -> str:
    return str(data.get("message") or "waits for the release window")


def _closed(data: Event, _event: Event) -> str:
    reason = data.get("reason")
    return f"closed: {data.get('outcome')}" + (f" ({reason})" if reason else "")


_WORDS: dict[str, Callable[[Event, Event], str]] = {
    "artifact.built": _built,
    "suite.finished": _suite,
    "change.finished": _changed,
    "environment.removed": _removed,
    "gate.opened": _opened,
    "gate.voted": _voted,
    "vote.refused": _vote_refused,
    "gate.decided": _decided,
    "analysis.measured": _measured,
    "analysis.finished": _analysed,
    "traffic.withdrawn": _withdrawn,
    "rollback.finished": _rolled_back,
    "window.waited": _waited,
    "step.failed": _failed,
    "step.refused": _failed,
    "gate.bypassed": _failed,
    "release.closed": _closed,
}


def _kb(size: object) -> str:
    return f"{int(str(size)) / 1024:.0f} kB" if size is not None else "size unknown"


def _number(value: object) -> str:
    return "no value" if value is None else f"{float(str(value)):.3g}"

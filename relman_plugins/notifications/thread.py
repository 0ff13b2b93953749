"""What is said in a release's thread: one message for each event that people want to know of.

Pure: an event in, a message out. Data that an event should have and has not is left out of the message; it
never costs the message, since another version of relman may have written the event.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from relman_plugins.domain.event import Event, Kind
from relman_plugins.domain.identity import is_ticket, is_ticket_link
from relman_plugins.notifications import asking, gatekeeping, rollbacks, ticketing
from relman_plugins.notifications.about import About
from relman_plugins.notifications.assessed import assessed
from relman_plugins.notifications.blocks import Block, Message, context, message, quote, section
from relman_plugins.notifications.text import (
    code,
    count,
    digest,
    duration,
    escape,
    link,
    mention,
    moment,
    person,
    plain,
)

_NOTHING = About()

SHOWN_FIELDS = 30
SHOWN_FAILURES = 10
"""How many failed tests are named in a message; the rest is counted."""


def thread_message(event: Event, about: About = _NOTHING) -> Message | None:
    """Return what the thread says about an event; None when it only shows in the parent message.

    Nobody is mentioned but those who can still answer at a gate, and those that ``about`` calls, each once.
    """
    write = _WRITERS.get(event.kind)
    if gatekeeping.says_nothing(event):
        return None
    if write is None and event.kind not in _LINKING:
        return None
    try:
        if write is None:
            text, *more = _LINKING[event.kind](event, event.data, about)
        else:
            text, *more = write(event, event.data)
        aloud = asking.aloud(event, about)
    except (AttributeError, KeyError, TypeError, ValueError):
        # Data of another shape than this version knows must not stop the thread.
        text, more, aloud = f"• {_where(event)}: {plain(event.kind.value)}", [], ""
    return message(text + aloud, [section(text), *more, *_calling(about)])


def _calling(about: About) -> tuple[Block, ...]:
    if not about.call:
        return ()
    people = list(dict.fromkeys(mention(p.slack, p.name or p.id) for p in about.call))
    look = link(about.run_url, "Open the run")
    return (section(f"👀 {asking.listed(people)}: please look{'. ' + look if look else ''}"),)


_Written = tuple[Any, ...]
"""The sentence, escaped, and the blocks below it."""


def _opened(event: Event, data: dict[str, Any]) -> _Written:
    marks = [word for word in ("emergency", "dry_run") if data.get(word)]
    mark = f" – *{' and '.join(m.replace('_', ' ') for m in marks)}*" if marks else ""
    text = f"🚀 {person(event.actor)} opened {code(event.release_id)}{mark}"
    own = [f"{code(name, 60)} {plain(value)}" for name, value in (data.get("parameters") or {}).items()]
    ticket = str(data.get("ticket") or "")
    shown = f"<{escape(ticket)}|{plain(ticket, 80)}>" if is_ticket_link(ticket) else f"ticket {plain(ticket)}"
    small = [shown] if is_ticket(ticket) else []
    small += [f"plan {digest(data['plan_hash'])}"] if data.get("plan_hash") else []
    return (
        text,
        *_quoted(data.get("emergency_reason")),
        *_quoted(data.get("changes")),
        *([section(*own[:SHOWN_FIELDS])] if own else []),
        *([context(*small)] if small else []),
    )


def _built(event: Event, data: dict[str, Any]) -> _Written:
    revision = data.get("revision") or {}
    size = f", {float(data['size']) / 1024:.0f} KB" if data.get("size") is not None else ""
    files = f", {count(data['files'], 'file')}" if data.get("files") is not None else ""
    return (
        f"📦 Built {code(revision.get('version', '?'))}: {digest(revision.get('digest', '?'))}{files}{size}",
    )


def _suite(event: Event, data: dict[str, Any]) -> _Written:
    mark = PASSED[bool(data.get("passed"))]
    counts = ", ".join(
        f"{data[k]} {word}"
        for k, word in (
            ("failures", "failed"),
            ("errors", "broken"),
            ("skipped", "skipped"),
            ("flakes", "flaky"),
        )
        if data.get(k)
    )
    again = f", {data['tries']} tries" if (data.get("tries") or 1) > 1 else ""
    reports = [r for r in data.get("reports") or [] if isinstance(r, dict)]
    told = count(data.get("tests", 0), "test") if data.get("tests") or not reports else "no tests"
    text = (
        f"{mark} {code(data.get('suite', '?'))} in {_where(event)}: {told}"
        f"{', ' + counts if counts else ''} in {duration(data.get('seconds'))}{again}"
    )
    bad = int(data.get("failures") or 0) + int(data.get("errors") or 0)
    said = [
        f"{PASSED[bool(r.get('passed'))]} {plain(r.get('kind', '?'), 20)}: {plain(r.get('reason', ''), 300)}"
        for r in reports
    ]
    return (
        text,
        *([section(*said)] if said else []),
        *_tests(data.get("failed"), bad, "•"),
        *_tests(data.get("flaky"), int(data.get("flakes") or 0), "• flaky:"),
    )


def _tests(tests: Any, total: int, mark: str) -> tuple[Block, ...]:
    """Name the first tests and count the rest."""
    if not tests:
        return ()
    lines = [
        f"{mark} {code(test.get('name', '?'), 120)} {plain(test.get('message', ''), 120)}".rstrip()
        for test in tests[:SHOWN_FAILURES]
    ]
    return (section(*lines, more=max(len(tests), total) - SHOWN_FAILURES),)


def _compared(event: Event, data: dict[str, Any]) -> _Written:
    lines = data.get("lines") or []
    areas = ", ".join(plain(a, 20) for a in data.get("of") or [])
    pair = f"{_where(event)} and {plain(data.get('with', '?'), 80)}"
    if not lines:
        return (f"⚖️ {pair}: no difference in {areas}",)
    shown = [f"• {plain(line, 160)}" for line in lines[:SHOWN_FAILURES]]
    told = section(*shown, more=len(lines) - SHOWN_FAILURES)
    return (f"⚖️ {pair}: *{count(len(lines), 'difference')}* in {areas}", told)


def _window(event: Event, data: dict[str, Any]) -> _Written:
    opens = f", which opens {moment(data['next_open'])}" if data.get("next_open") else ""
    ends = f"; gives up {moment(data['gives_up_at'])}" if data.get("gives_up_at") else ""
    reasons = [*data["reasons"]][:-1] if data.get("reasons") else []  # the last one is when it opens
    why = [context(plain("; ".join(map(str, reasons)), 600))] if reasons else []
    return (f"🕒 {_where(event)} waits for its release window{opens}{ends}", *why)


def _frozen(event: Event, data: dict[str, Any]) -> _Written:
    why = plain(data["message"].removeprefix("waiting: "), 600)
    return (f"🧊 {_where(event)} waits: the line is stopped", context(why))


def _overdue(event: Event, data: dict[str, Any]) -> _Written:
    due = f"It was due {moment(data['due_at'])}" if data.get("due_at") else ""
    return (f"⏰ *Overdue*: {plain(data['message'], 600)}", context(due))


def _past(event: Event, data: dict[str, Any]) -> _Written:
    return (f"🔓 {_where(event)} {plain(data['message'], 600)}",)


def _calendar(event: Event, data: dict[str, Any]) -> _Written:
    return (f"🗓️ {_where(event)}: {plain(data['message'], 600)}",)


def _changed(event: Event, data: dict[str, Any]) -> _Written:
    desired = data.get("desired") or {}
    candidate, stable = desired.get("candidate"), desired.get("stable")
    took = f" in {duration(data['seconds'])}" if data.get("seconds") is not None else ""
    if data.get("promoted") and data.get("stable"):
        return (f"🏁 {_where(event)}: {code(data['stable'].get('version', '?'))} is live{took}",)
    if candidate:
        weight = desired.get("candidate_weight", 0)
        rest = f", {code(stable.get('version', '?'))} the rest" if stable and weight < 100 else ""
        return (f"↗️ {_where(event)}: {code(candidate.get('version', '?'))} gets {weight} %{rest}{took}",)
    if stable:
        return (f"• {_where(event)}: {code(stable.get('version', '?'))} gets 100 %{took}",)
    if data.get("provisioned"):
        return (f"🌱 {_where(event)} is provisioned: empty, ready for the first version{took}",)
    return (f"🧹 {_where(event)} was emptied{took}",)


def _analysis(event: Event, data: dict[str, Any], about: About) -> _Written:
    verdict = str(data.get("verdict", "?"))
    mark = {"pass": "📈", "fail": "📉"}.get(verdict, "❔")
    weight = f" at {data['weight']} %" if data.get("weight") is not None else ""
    name = code(data.get("analysis", "?"))
    looks = f" after {count(data['looks'], 'look')}" if isinstance(data.get("looks"), int) else ""
    text = f"{mark} {name} in {_where(event)}{weight}: *{plain(verdict.replace('_', ' '), 20)}*{looks}"
    url = about.picture_url(event.release_id, event.step) if event.step and data.get("looks") else ""
    small = [plain(data["reason"], 600) if data.get("reason") else "", link(url, "See the picture")]
    return (text, *([context(*told)] if (told := [part for part in small if part]) else []))


def _withdrawn(event: Event, data: dict[str, Any]) -> _Written:
    took = f" after {duration(data['seconds'])}" if data.get("seconds") is not None else ""
    text = f"⏪ *{_where(event)}: traffic is back at the old version*{took}{_served(data)}"
    return (text, *_quoted(data.get("reason")))


def _rolled_back(event: Event, data: dict[str, Any]) -> _Written:
    to = data.get("to")
    where = code(to.get("version", "?")) if to else "nothing: there was no version before"
    return (f"↩️ {_where(event)} is rolled back to {where}{_served(data)}",)


def _closed(event: Event, data: dict[str, Any], about: About) -> _Written:
    outcome = str(data.get("outcome", "?"))
    mark = OUTCOME_MARKS.get(outcome, "•")
    text = f"{mark} {code(event.release_id)} is closed: *{plain(outcome.replace('_', ' '), 40)}*"
    report = link(about.report_url(event.release_id), "Read the report")
    # Where the record ends at this moment, kept where the ledger's owner can't write: `ledger verify --head`.
    record = f"record {code(f'{event.id}:{event.hash}')}" if event.hash else ""
    small = [part for part in (report, record) if part]
    return (text, *_quoted(data.get("reason")), *([context(*small)] if small else []))


def _follow_ups(event: Event, data: dict[str, Any]) -> _Written:
    items = data.get("items") or []
    if not items:
        return (f"📝 {person(event.actor)} has no follow-ups of {code(event.release_id)}",)
    lines = []
    for item in items:
        more = ", ".join(filter(None, [item.get("who"), f"by {item['by']}" if item.get("by") else ""]))
        lines.append(f"• {plain(item.get('what', '?'), 500)}{f' ({plain(more, 250)})' if more else ''}")
    text = f"📝 {person(event.actor)} wants {count(len(items), 'follow-up')} of {code(event.release_id)}"
    return (text, section(*lines))


def _stopped(mark: str, what: str) -> Callable[[Event, dict[str, Any]], _Written]:
    def write(event: Event, data: dict[str, Any]) -> _Written:
        told = data.get("message") or data.get("reason")
        return (f"{mark} {code(event.step or '?')} {what}", *_quoted(told))

    return write


def _by(mark: str, did: str) -> Callable[[Event, dict[str, Any]], _Written]:
    def write(event: Event, data: dict[str, Any]) -> _Written:
        return (f"{mark} {person(event.actor)} {did}", *_quoted(data.get("reason")))

    return write


def _lock_broken(event: Event, data: dict[str, Any]) -> _Written:
    text = f"🔓 {person(event.actor)} broke {_lock(event, data)}: the release goes no further there"
    return (text, *_quoted(data.get("reason")))


def _lock_expired(event: Event, data: dict[str, Any]) -> _Written:
    return (f"⌛ Nobody renewed {_lock(event, data)}: it expired, and the next release may take it",)


def _lock(event: Event, data: dict[str, Any]) -> str:
    return f"the lock of {code(data['service'])} in {_where(event)}" if data.get("service") else "the lock"


def _where(event: Event) -> str:
    return plain(event.environment or event.step or event.release_id, 80)


def _served(data: dict[str, Any]) -> str:
    served = data.get("served") or {}
    if not served.get("total"):
        return ""
    return f"; the new version served {served.get('candidate', 0)} of {count(served['total'], 'request')}"


def _quoted(text: Any) -> tuple[Block, ...]:
    return (quote(str(text)),) if text else ()


PASSED = {True: "✅", False: "❌"}
"""The mark of a suite and of each of its reports."""

OUTCOME_MARKS = {
    "succeeded": "✅",
    "rolled_back": "↩️",
    "rejected": "⛔",
    "failed": "❌",
    "aborted": "🛑",
    "superseded": "⏭️",
    "expired": "⌛",
}
"""The mark of each outcome."""

_LINKING: dict[Kind, Callable[[Event, dict[str, Any], About], _Written]] = {
    Kind.ANALYSIS_FINISHED: _analysis,
    Kind.RELEASE_CLOSED: _closed,
    **asking.WRITERS,
}
"""The events whose messages lead to a page of their own."""

_WRITERS: dict[Kind, Callable[[Event, dict[str, Any]], _Written]] = {
    Kind.RELEASE_OPENED: _opened,
    Kind.FOLLOW_UP: _follow_ups,
    Kind.RELEASE_HELD: _by("⏸️", "holds the release"),
    Kind.RELEASE_RESUMED: _by("▶️", "lets the release go on"),
    Kind.ABORT_REQUESTED: _by("🛑", "asked for an abort"),
    Kind.STEP_FAILED: _stopped("❌", "failed"),
    Kind.STEP_REFUSED: _stopped("⛔", "was refused"),
    Kind.ARTIFACT_BUILT: _built,
    Kind.CHANGE_ASSESSED: assessed,
    Kind.CHANGE_FINISHED: _changed,
    Kind.SUITE_FINISHED: _suite,
    Kind.PARITY_COMPARED: _compared,
    Kind.WINDOW_WAITED: _window,
    Kind.FREEZE_WAITED: _frozen,
    Kind.FREEZE_PASSED: _past,
    Kind.RELEASE_OVERDUE: _overdue,
    Kind.WINDOW_PASSED: _past,
    Kind.CALENDAR_CHANGED: _calendar,
    Kind.TRAFFIC_WITHDRAWN: _withdrawn,
    Kind.ROLLBACK_REQUESTED: rollbacks.asked,
    Kind.ROLLBACK_FINISHED: _rolled_back,
    Kind.ROLLBACK_REFUSED: rollbacks.not_back,
    Kind.ROLLBACK_FAILED: rollbacks.not_back,
    Kind.LOCK_BROKEN: _lock_broken,
    Kind.LOCK_EXPIRED: _lock_expired,
    **gatekeeping.WRITERS,
    **ticketing.WRITERS,
}
"""The events that make a message. The others change only the parent's stage list."""

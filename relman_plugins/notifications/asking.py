"""What a release's thread says while people are asked: at gates, for follow-ups. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from relman_plugins.domain.event import Event, Kind
from relman_plugins.domain.status import Decision
from relman_plugins.notifications import gatekeeping
from relman_plugins.notifications.about import About, asker
from relman_plugins.notifications.blocks import Block, context, quote, section
from relman_plugins.notifications.buttons import buttons, shown, tests_of
from relman_plugins.notifications.text import code, count, link, mention, moment, one_line, plain
from relman_plugins.plan.model import PAST_FREEZE

Written = tuple[Any, ...]
"""The sentence, escaped, and the blocks below it."""

SHOWN_PEOPLE = 60
"""How many people are named in a message; the rest is counted."""

SHOWN_ITEMS = 10
"""How many items of a checklist are named in a message; the rest is counted."""


def listed(people: list[str]) -> str:
    """Return people, escaped already, in one line; the rest is counted."""
    more = [f"{len(people) - SHOWN_PEOPLE} more"] if len(people) > SHOWN_PEOPLE else []
    return ", ".join(people[:SHOWN_PEOPLE] + more) or "nobody"


def _gate_opened(event: Event, data: dict[str, Any], about: About) -> Written:
    subject, voted = data.get("subject") or {}, _voted(data, about)
    wanted = count(data.get("quorum", 1), "approval")
    if voted and about.gate is not None:
        wanted = f"{about.gate.missing} more of {wanted}"
    asks = f"✋ {_where(event)} waits{gatekeeping.again(data)} for"
    if data.get("debt"):
        asks = f"🧾 {_where(event)}: what this emergency skips is to be approved afterwards, by"
    if subject.get("past"):
        asks = f"🧊 {_where(event)}: to go past {_closed(subject)}, this needs"
    text = _stands(event, data, about) or f"{asks} {wanted} of {_answerers(data, about)}{_until(data)}{voted}"
    if subject.get("checklist"):
        return _checklist_opened(event, subject, f"{_answerers(data, about)}{_until(data)}", about)
    rules = gatekeeping.rules_of(data)
    needed = [section("*What is needed*", *rules)] if rules else []
    if subject.get("past"):
        needed.append(section(*(f"• {plain(one, 300)}" for one in subject.get("closed") or ())))
    return (text, *needed, *shown(subject), *_how_to_answer(event, data, about))


def _closed(subject: dict[str, Any]) -> str:
    return "a freeze" if str(subject.get("step")).endswith(PAST_FREEZE) else "a closed window"


def _gate_reminded(event: Event, data: dict[str, Any], about: About) -> Written:
    since = f" since {moment(data['since'])}" if data.get("since") else ""
    by_hand = bool(data.get("checklist"))
    wanted = "one who tries it by hand," if by_hand else f"{count(data.get('missing', 1), 'approval')} of"
    who = f"{_answerers(data, about)}{_until(data)}"
    text = _stands(event, data, about) or f"⏰ {_where(event)} still waits{since} for {wanted} {who}"
    return (text, *_how_to_answer(event, data, about, " --passed all" if by_hand else ""))


def _gate_warned(event: Event, data: dict[str, Any], about: About) -> Written:
    by_hand = bool(data.get("checklist"))
    what = "checklist" if by_hand else "approval"
    text = _stands(event, data, about) or (
        f"⏳ {_where(event)}: at this pace the {what} will miss the closing "
        f"{moment(data['closes_at'])}; please answer now: {_answerers(data, about)}"
    )
    return (text, *_how_to_answer(event, data, about, " --passed all" if by_hand else ""))


def aloud(event: Event, about: About) -> str:
    """Return what a phone says of a question beside its first sentence, escaped: version, tests, changes."""
    if event.kind not in (Kind.GATE_OPENED, Kind.GATE_REMINDED):
        return ""
    subject = event.data.get("subject") or (about.gate.subject if about.gate else {})
    what = [
        f"{subject.get('pipeline', '')} {subject.get('version', '')}",
        tests_of(subject),
        one_line(subject.get("changes") or "", 200),
    ]
    said = "; ".join(plain(part, 300) for part in what if part.strip())
    return f" – {said}" if said else ""


def _stands(event: Event, data: dict[str, Any], about: About) -> str:
    """Return what became of a question, escaped; nothing while it is asked."""
    gate = about.gate
    if gate is None:
        return ""
    if gate.round != data.get("round", gate.round):
        return f"• {_where(event)} is asked about anew since: see the newest question"
    by = {v.person: v.name or v.person for v in gate.votes}
    match gate.state:
        case "approved":
            yes = [plain(by[v.person], 80) for v in gate.votes if v.decision is Decision.APPROVE]
            later = f", takes effect {moment(gate.effect_at)}" if gate.effect_at else ""
            after = " afterwards" if gate.debt else ""
            return f"✅ {_where(event)}: approved{after} by {listed(yes)}{later}"
        case "rejected" if gate.decided_by in by:
            return f"⛔ {_where(event)}: rejected by {plain(by[gate.decided_by], 80)}"
        case "open":
            unanswered = about.ended and not gate.debt
            return f"• {_where(event)}: the release has ended before this was answered" if unanswered else ""
    if gate.decided_by == "thaw":
        return f"• {_where(event)}: there is nothing to go past any more"
    why = {"superseded": "⏭️", "rejected": "⛔"}.get(gate.state, "⌛")
    late = ": the time was over" if gate.decided_by == "timeout" else ""
    return f"{why} {_where(event)}: {gate.state}{late}"


def _voted(data: dict[str, Any], about: About) -> str:
    gate = about.gate
    if gate is None or gate.round != data.get("round", gate.round) or not gate.votes:
        return ""
    return f"; approved by {listed([plain(v.name or v.person, 80) for v in gate.votes])}"


def _answerers(data: dict[str, Any], about: About) -> str:
    people = data.get("people") or []
    if about.can_act is not None:
        people = [p for p in people if p.get("id") in about.can_act] or [{**p, "slack": ""} for p in people]
    unique = {p.get("slack") or p.get("id"): p for p in people}
    return listed([mention(p.get("slack"), p.get("name") or p.get("id")) for p in unique.values()])


def _until(data: dict[str, Any]) -> str:
    return f" until {moment(data['expires_at'])}" if data.get("expires_at") else ""


def _how_to_answer(event: Event, data: dict[str, Any], about: About, more: str = "") -> tuple[Block, ...]:
    if _stands(event, data, about):
        return ()
    press = (buttons(about.gate),) if about.buttons and about.gate is not None else ()
    page = link(about.page_url(event.release_id, event.step), "Open the gate")
    if data.get("debt") or (data.get("subject") or {}).get("past"):
        # Airflow has no Required Action for it: no task is there for that only.
        typed = code(f"relman approve {event.release_id} --gate {event.step}")
        return (*press, context(", or ".join(filter(None, [page, typed]))))
    where = link(about.gate_url(asker(event)), "Answer in Airflow") or "Answer under Required Actions"
    ways = [page, where, f"or {code(f'relman approve {event.release_id}{more}')}"]
    return (*press, context(", ".join(filter(None, ways))))


def _checklist_opened(event: Event, subject: dict[str, Any], whom: str, about: About) -> Written:
    items = subject["checklist"]
    text = _stands(event, event.data, about) or (
        f"📋 {code(subject.get('suite', '?'))} in {_where(event)} waits for one of {whom} to try "
        f"{count(len(items), 'item')} of {code(subject.get('version', '?'))}"
    )
    first = [f"• {plain(i.get('item', '?'), 120)}" for i in items[:SHOWN_ITEMS]]
    hint = _how_to_answer(event, event.data, about, " --passed all")
    return (text, section(*first, more=len(items) - SHOWN_ITEMS), *_quoted(subject.get("changes")), *hint)


def _follow_ups_asked(event: Event, data: dict[str, Any], about: About) -> Written:
    until = f" until {moment(data['until'])}" if data.get("until") else ""
    text = f"📝 {code(event.release_id)}: one of {_answerers(data, about)} is asked for follow-ups{until}"
    where = link(about.gate_url(event.step), "Answer in Airflow") or "Answer under Required Actions"
    report = link(about.report_url(event.release_id), "Read the report")
    return (text, context(*filter(None, [where, report])))


def _where(event: Event) -> str:
    return plain(event.environment or event.step or event.release_id, 80)


def _quoted(text: Any) -> tuple[Block, ...]:
    return (quote(str(text)),) if text else ()


WRITERS: Mapping[Kind, Callable[[Event, dict[str, Any], About], Written]] = {
    Kind.GATE_OPENED: _gate_opened,
    Kind.GATE_REMINDED: _gate_reminded,
    Kind.GATE_WARNED: _gate_warned,
    Kind.FOLLOW_UP_ASKED: _follow_ups_asked,
}

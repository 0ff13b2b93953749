"""What a release's thread says of decisions at its gates. Pure, like :mod:`.thread`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from relman_plugins.domain.condition import NotNeeded
from relman_plugins.domain.event import Event, Kind
from relman_plugins.notifications.blocks import Block, context, quote, section
from relman_plugins.notifications.text import code, duration, mention, moment, plain

_Written = tuple[Any, ...]

SHOWN_PEOPLE = 30
"""How many people are named in a message; the rest is counted."""


def says_nothing(event: Event) -> bool:
    """Say whether another event tells the same, and more.

    Of a superseded release the release says by which; of a gate, its opening says what is not asked for.
    """
    if event.kind is Kind.GATE_NOT_NEEDED:
        left = event.data.get("left")
        return isinstance(left, list) and bool(left) and all(isinstance(rule, dict) for rule in left)
    return event.kind is Kind.GATE_DECIDED and event.data.get("state") == "superseded"


def again(data: dict[str, Any]) -> str:
    """Say that a question is asked again, since an approval has run out; nothing when it is not."""
    return " again, since an approval has run out," if data.get("renews") else ""


def _superseded(event: Event, data: dict[str, Any]) -> _Written:
    by = f"{code(data['version'])} ({code(data['by'])})"
    who = plain(event.actor.name or event.actor.id, 80)
    did = f"{who} approved" if event.actor.kind == "person" else "was approved"
    return (f"⏭️ Superseded by {by}, which {did} for {_where(event)}",)


def _voted(event: Event, data: dict[str, Any]) -> _Written:
    mark, did = ("👍", "approved") if data.get("decision") == "approve" else ("👎", "rejected")
    who = plain(event.actor.name or data.get("person") or event.actor.id, 80)
    via = f" (via {plain(data['via'], 20)})" if data.get("via") else ""
    later = f", to take effect {moment(data['not_before'])}" if data.get("not_before") else ""
    return (f"{mark} {who} {did} {_where(event)}{via}{later}{still(data)}", *_quoted(data.get("comment")))


def _decided(event: Event, data: dict[str, Any]) -> _Written:
    state = str(data.get("state", "?"))
    if data.get("by") == "thaw":
        return (f"• {_where(event)}: nobody need decide any more, it is open again",)
    mark = {"approved": "✅", "rejected": "⛔", "expired": "⌛"}.get(state, "•")
    later = f", takes effect {moment(data['effect_at'])}" if data.get("effect_at") else ""
    return (f"{mark} {_where(event)}: {plain(state, 40)}{later}",)


def _bypassed(event: Event, data: dict[str, Any]) -> _Written:
    return (f"🚨 *A gate of {_where(event)} was passed without a decision*", *_quoted(data.get("message")))


def _escalated(event: Event, data: dict[str, Any]) -> _Written:
    until = f" until {moment(data['expires_at'])}" if data.get("expires_at") else ""
    waits = f" has waited for {duration(data['after_s'])} and" if data.get("after_s") else ""
    group = code(data.get("group", "?"), 60)
    answer = context(code(f"relman approve {event.release_id}"))
    return (f"⏫ {_where(event)}{waits} now also asks {group}: {_named(data['people'])}{until}", answer)


def _waived(event: Event, data: dict[str, Any]) -> _Written:
    who = plain(event.actor.name or event.actor.id, 80)
    text = f"🔓 *Break-glass*: {who} skips {_rules(data['rules'])} in {_where(event)}"
    left = f"Still needed: {_rules(data['left'])}. " if data.get("left") else ""
    after = f"One of {_named(data['reviewers'])} must approve this afterwards, until {moment(data['due_at'])}"
    answer = code(f"relman approve {event.release_id} --gate {data['debt']}")
    return (text, *_quoted(data.get("reason")), section(f"{left}{after}"), context(answer))


def _not_needed(event: Event, data: dict[str, Any]) -> _Written:
    return (f"🟢 {_where(event)} needs no approval at this risk", section(*_spared(data["rules"])))


def _spared(rules: Sequence[dict[str, Any]]) -> list[str]:
    return [f"• not needed: {plain(NotNeeded.model_validate(rule).line(), 300)}" for rule in rules]


def _overdue(event: Event, data: dict[str, Any]) -> _Written:
    skipped = _rules(data.get("waived") or [])
    text = f"⏰ *Overdue*: what an emergency skipped in {_where(event)} ({skipped}) is still not approved"
    answer = code(f"relman approve {event.release_id} --gate {event.step}")
    due = f"It was due {moment(data['due_at'])}. {_named(data['people'])}: please look"
    return (text, section(due), context(answer))


def _settled(event: Event, data: dict[str, Any]) -> _Written:
    who = plain(event.actor.name or event.actor.id, 80)
    by = f" by {who}" if event.actor.kind == "person" else ""
    text = f"🧾 {_where(event)}: the rejection of what an emergency skipped is settled{by}"
    return (text, *_quoted(data.get("reason")))


def _rules(rules: list[dict[str, Any]]) -> str:
    return " and ".join(f"{r.get('quorum', 1)} of {code(r.get('group', '?'), 60)}" for r in rules) or "rules"


def _named(people: list[dict[str, Any]]) -> str:
    shown = [mention(p.get("slack"), p.get("name") or p.get("id")) for p in people[:SHOWN_PEOPLE]]
    more = [f"{len(people) - SHOWN_PEOPLE} more"] if len(people) > SHOWN_PEOPLE else []
    return ", ".join(shown + more) or "nobody"


def _where(event: Event) -> str:
    return plain(event.environment or event.step or event.release_id, 80)


def _quoted(text: Any) -> tuple[Block, ...]:
    return (quote(str(text)),) if text else ()


def _vote_withdrawn(event: Event, data: dict[str, Any]) -> _Written:
    who = plain(event.actor.name or data.get("person") or event.actor.id, 80)
    did = "approval" if data.get("decision") == "approve" else "rejection"
    why = f": {plain(data['comment'], 200)}" if data.get("comment") else ""
    return (f"↩️ {who} withdrew the {did} of {_where(event)}{why}{still(data)}",)


def still(data: dict[str, Any]) -> str:
    """Say what a gate lacks after a vote, and who can give it; nothing when that is nothing."""
    if not data.get("missing"):
        return ""
    return f" · {data['missing']} of {data.get('quorum', '?')} missing: {plain(data.get('still', ''), 300)}"


def rules_of(data: dict[str, Any]) -> list[str]:
    """Return a line for each rule of a gate that has more to it than how many of whom, and whose it is."""
    rules = [r for r in data.get("rules") or () if isinstance(r, dict)]
    asks = len(rules) > 1 or any(
        r.get("fields") or r.get("comment") == "required" or r.get("when") for r in rules
    )
    names = {p.get("airflow"): p.get("name") or p.get("id") for p in data.get("people") or ()}
    own = [
        f"{plain(names[u], 60)} {plain(why, 60)}" for u, why in (data.get("own") or {}).items() if u in names
    ]
    strict = any(r.get("self_approval") != "allowed" for r in rules)
    lines = [f"• {_rule(r)}" for r in rules] if asks else []
    lines += _spared(data.get("not_needed") or ())
    return lines + ([f"{', '.join(own)}, so can't approve it"] if own and strict else [])


def _rule(rule: dict[str, Any]) -> str:
    wanted = ["a comment"] if rule.get("comment") == "required" else []
    wanted += [str(f.get("title") or f.get("name")) for f in rule.get("fields") or ()]
    whom = rule.get("group") or ", ".join(rule.get("people") or ())
    said = f", with {plain(', '.join(wanted), 200)}" if wanted else ""
    when = rule.get("when") or {}
    asked = f"; asked if risk {when['operator']} {when['risk']}" if when else ""
    return f"{rule.get('quorum', 1)} of {plain(whom, 200)}{said}{plain(asked, 60)}"


WRITERS: dict[Kind, Callable[[Event, dict[str, Any]], _Written]] = {
    Kind.RELEASE_SUPERSEDED: _superseded,
    Kind.GATE_VOTED: _voted,
    Kind.GATE_DECIDED: _decided,
    Kind.GATE_BYPASSED: _bypassed,
    Kind.GATE_ESCALATED: _escalated,
    Kind.GATE_WAIVED: _waived,
    Kind.GATE_NOT_NEEDED: _not_needed,
    Kind.GATE_OVERDUE: _overdue,
    Kind.GATE_SETTLED: _settled,
    Kind.GATE_VOTE_WITHDRAWN: _vote_withdrawn,
}

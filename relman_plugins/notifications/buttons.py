"""Approve and Reject as buttons: what they carry, and the form that a press may open. Pure.

A button says which question it answers: release, gate, round, and the digest of what was shown. Whoever
presses an old one is told so, and nothing is approved that they have not seen. Limits are those of Slack's
reference for Block Kit: 2000 characters of a value, 300 of a confirmation, 3000 of a form's metadata.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic import Field

from relman_plugins.domain.base import Frozen
from relman_plugins.domain.status import Decision
from relman_plugins.notifications.blocks import Block, quote, section
from relman_plugins.notifications.text import clean, code, count, cut, digest, one_line, plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relman_plugins.domain.field import Field as Asked
    from relman_plugins.ledger.api import GateState

APPROVE, LATER, REJECT = "relman.approve", "relman.approve_later", "relman.reject"
"""Action ids of the buttons."""

FORM = "relman.vote"
"""Callback id of the form."""

COMMENT = "comment"
"""Block and action id of the field that every form has."""

EFFECT = "effect_at"
"""Block and action id of the field for the time at which an approval is to take effect."""

FIELD = "field."
"""What the names of blocks begin with that a rule asks for."""

COMMENT_LIMIT = 3000
"""Characters that Slack takes in one field; the record takes more."""

_AT: dict[str, Any] = {"type": "datetimepicker"}
_AT_ONCE = "Empty: at once. Slack shows your own time zone; nothing changes before then."
_END = 10**10
"""Seconds since 1970 that no form means any more."""

MAX_VALUE = 2000
MAX_CONFIRM = 300
MAX_OPTIONS = 100
MAX_OPTION = 75
_ID = 300


class Question(Frozen):
    """What a button answers."""

    release: str = Field(min_length=1, max_length=_ID)
    gate: str = Field(min_length=1, max_length=_ID)
    round: int = Field(ge=1, le=1_000_000)
    digest: str = Field(min_length=1, max_length=200)
    """Of what was shown."""

    @classmethod
    def of(cls, gate: GateState) -> Question:
        """Return what a gate asks in its latest round."""
        return cls(release=gate.release_id, gate=gate.gate, round=gate.round, digest=gate.subject_digest)

    @classmethod
    def read(cls, text: Any) -> Question:
        """Read what ``text`` wrote; raise ValueError for anything else."""
        if not isinstance(text, str) or len(text) > MAX_VALUE:
            raise ValueError("expected the value of a button")
        try:
            found = cls.model_validate_json(text)
        except RecursionError as error:
            raise ValueError("too deep") from error
        if not (found.release + found.gate + found.digest).isprintable():
            raise ValueError("control characters are part of no name")
        return found

    @property
    def text(self) -> str:
        """The value of a button, and the metadata of a form."""
        return json.dumps(self.model_dump(), separators=(",", ":"))


def buttons(gate: GateState) -> Block:
    """Return the buttons of an open gate.

    Approve asks to confirm; where a rule asks for more than yes, it opens a form, which also asks when the
    approval takes effect. Elsewhere a button of its own opens that. Reject opens a form, for a reason.
    """
    value = Question.of(gate).text
    yes: Block = {"type": "button", "action_id": APPROVE, "style": "primary", "value": value}
    if asks_more(gate):
        yes |= {"text": _words("Approve…")}
    else:
        yes |= {
            "text": _words("Approve"),
            "confirm": {
                "title": _words("Approve this?"),
                "text": _words(cut(_in_short(gate), MAX_CONFIRM)),
                "confirm": _words("Approve"),
                "deny": _words("Not yet"),
            },
        }
    later = {"type": "button", "action_id": LATER, "value": value, "text": _words("Approve later…")}
    no = {"type": "button", "action_id": REJECT, "style": "danger", "value": value}
    elements = [yes, *([later] if gate.can_wait and not asks_more(gate) else [])]
    elements.append(no | {"text": _words("Reject…")})
    return {"type": "actions", "block_id": "relman.gate", "elements": elements}


def asks_more(gate: GateState) -> bool:
    """Say whether some rule asks for more than yes: a comment, or fields."""
    return any(rule.comment == "required" or rule.fields for rule in gate.rules)


def form(gate: GateState, decision: Decision, metadata: str) -> dict[str, Any]:
    """Return the form behind a button: what exactly is decided, and what is to be said with it.

    ``metadata`` comes back with it, at most 3000 characters. Every field may stay empty: which of them whose
    approval needs is what the vote service knows.
    """
    approves = decision is Decision.APPROVE
    fields = {field.name: field for rule in gate.rules for field in rule.fields} if approves else {}
    title, verb = ("What is approved", "Approve") if approves else ("What is rejected", "Reject")
    ends = [] if approves else [section("One rejection ends the gate, and with it the release.")]
    return {
        "type": "modal",
        "callback_id": FORM,
        "private_metadata": metadata,
        "title": _words(f"{verb} the release"),
        "submit": _words(verb),
        "close": _words("Cancel"),
        "blocks": [
            *shown(gate.subject, title),
            *ends,
            *(_input(FIELD + f.name, f.label, _element(f), f.description) for f in fields.values()),
            *([_input(EFFECT, "Takes effect", _AT, _AT_ONCE)] if approves and gate.can_wait else []),
            _input(
                COMMENT,
                "Why? It is recorded and shown to everybody.",
                {"type": "plain_text_input", "multiline": True, "max_length": COMMENT_LIMIT},
            ),
        ],
    }


def said_in(values: Mapping[str, Any], gate: GateState) -> tuple[str, dict[str, Any]]:
    """Return comment and answers of a form that was sent; ``values`` are as Slack has them, by block."""
    fields = {field.name: field for rule in gate.rules for field in rule.fields}
    said = {name: _value(values.get(FIELD + name)) for name in fields}
    answers = {name: _typed(fields[name], text) for name, text in said.items() if text}
    return _value(values.get(COMMENT)), answers


def effect_at(values: Mapping[str, Any]) -> datetime | None:
    """Return when an approval is to take effect, by a form that was sent, in UTC; None: at once.

    Raises:
        ValueError: It is no time as Slack sends it: seconds since 1970.
    """
    for element in (values.get(EFFECT) or {}).values():
        seconds = element.get("selected_date_time")
        if seconds is None:
            return None
        if not isinstance(seconds, int) or isinstance(seconds, bool) or not 0 <= seconds < _END:
            raise ValueError("expected seconds since 1970")
        return datetime.fromtimestamp(seconds, UTC)
    return None


def _value(block: Any) -> str:
    """Return what was filled in; each block has one element, of the block's own name."""
    for element in block.values() if isinstance(block, dict) else ():
        chosen = element.get("selected_option") if isinstance(element, dict) else None
        value = chosen.get("value") if isinstance(chosen, dict) else None
        value = value if value is not None else element.get("value") if isinstance(element, dict) else None
        return value.strip() if isinstance(value, str) else ""
    return ""


def _typed(field: Asked, text: str) -> Any:
    """Return a value of the field's type; what is none stays text, and is refused by the vote service."""
    if field.type == "boolean":
        return {"true": True, "false": False}.get(text, text)
    try:
        return {"integer": int, "number": float}.get(field.type, str)(text)
    except ValueError:
        return text


def _element(field: Asked) -> dict[str, Any]:
    choices = ("true", "false") if field.type == "boolean" else field.enum
    if choices and len(choices) <= MAX_OPTIONS and all(len(c) <= MAX_OPTION for c in choices):
        return {"type": "static_select", "options": [{"text": _words(c), "value": c} for c in choices]}
    return {"type": "plain_text_input", "multiline": field.type == "text", "max_length": COMMENT_LIMIT}


def _input(name: str, label: str, element: dict[str, Any], hint: str = "") -> Block:
    block = {"type": "input", "block_id": name, "optional": True, "label": _words(cut(label, 200))}
    more = {"hint": _words(cut(hint, 200))} if hint else {}
    return {**block, "element": {**element, "action_id": name}, **more}


def shown(subject: Mapping[str, Any], title: str = "What is approved") -> list[Block]:
    """Return what exactly is asked about: version, digests, tests, changes."""
    what = [
        f"{plain(subject.get('pipeline', ''), 80)} {code(subject.get('version', '?'))}",
        f"artifact {digest(subject.get('artifact_digest', '?'))}",
        f"plan {digest(subject.get('plan_hash', '?'))}",
        *([f"ticket {plain(subject['ticket'], 120)}"] if subject.get("ticket") else []),
    ]
    changes = subject.get("changes")
    tests = plain(tests_of(subject), 2000)
    return [section(f"*{title}*", " · ".join(what), tests), *([quote(str(changes))] if changes else [])]


def tests_of(subject: Mapping[str, Any]) -> str:
    """Return how the suites went, in one line, unescaped."""
    said = (
        (one_line(s.get("suite", "?"), 60), count(s.get("tests", 0), "test"), s.get("failures", 0))
        for s in subject.get("tests") or []
    )
    return ", ".join(f"{name} {tests}, {failed} failed" for name, tests, failed in said)


def decision_of(action_id: Any) -> Decision | None:
    """Return what a button decides; None for a button that is not relman's."""
    known = {APPROVE: Decision.APPROVE, LATER: Decision.APPROVE, REJECT: Decision.REJECT}
    return known.get(action_id) if isinstance(action_id, str) else None


def _in_short(gate: GateState) -> str:
    subject = gate.subject
    where = f" for {one_line(subject['environment'], 60)}" if subject.get("environment") else ""
    what = f"{one_line(subject.get('pipeline', ''), 60)} {one_line(subject.get('version', '?'), 64)}{where}"
    artifact = str(subject.get("artifact_digest", "?"))[:19]
    tests = f", {tests}" if (tests := tests_of(subject)) else ""
    return f"{what}: artifact {artifact}{tests}. Your name goes on record."


def _words(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "emoji": False, "text": clean(text) or "–"}

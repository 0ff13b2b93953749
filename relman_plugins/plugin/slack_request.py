"""What Slack sends when somebody presses a button: is it from Slack, and what does it say. Pure.

What comes here comes from the internet, and is hostile until the signature says otherwise. Sources: Slack's
pages "Verifying requests from Slack" (scheme v0) and "Handling user interaction".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from hmac import compare_digest
from typing import Annotated, Any
from urllib.parse import parse_qs

from pydantic import BaseModel, Field, StringConstraints, ValidationError

from relman_plugins.domain.base import Frozen
from relman_plugins.domain.status import Decision
from relman_plugins.notifications.buttons import FORM, LATER, Question, decision_of, effect_at

Id = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9]{2,29}$")]
Ts = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,15}\.[0-9]{1,9}$")]
_STAMP_DIGITS = 12
Trigger = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z.]{1,200}$")]


class Place(Frozen):
    """Where somebody pressed, and so where they are answered."""

    channel: Id
    thread: Ts | None = None


class Context(Frozen):
    """What a form remembers: the question, and where it was asked."""

    question: Question
    decision: Decision
    place: Place


class Press(Frozen):
    """A button that was pressed, or a form that was sent."""

    user: Id
    """Slack member id."""
    question: Question
    decision: Decision
    place: Place
    later: bool = False
    """Whether the button asks for a form, to say when the approval is to take effect."""
    trigger: str = ""
    """With it a form may be opened, for three seconds."""
    form: dict[str, Any] | None = None
    """What a form says, as Slack has it; None for a button."""
    not_before: datetime | None = None
    """From when the approval of a form counts; None: at once."""
    seal: str
    """Digest of the signed request: another delivery of the same one has the same."""


class Malformed(ValueError):
    """The request is signed, and not what Slack sends."""


def is_signed(body: bytes, headers: Mapping[str, str], secret: str) -> bool:
    """Say whether Slack signed exactly this within five minutes; constant in time for wrong signatures."""
    from slack_sdk.signature import SignatureVerifier

    try:
        return bool(SignatureVerifier(secret).is_valid_request(body, dict(headers)))
    except (TypeError, ValueError):
        # Time stamps that are no numbers, signatures and bodies that are no text.
        return False


def seconds_off(body: bytes, headers: Mapping[str, str], secret: str, now: float) -> int:
    """Return how far from ``now`` (seconds since 1970) Slack signed this; 0 if Slack never did."""
    from slack_sdk.signature import SignatureVerifier

    stamp = headers.get("x-slack-request-timestamp", "")
    if not (stamp.isascii() and stamp.isdecimal() and len(stamp) <= _STAMP_DIGITS):
        return 0
    try:
        genuine = SignatureVerifier(secret).generate_signature(timestamp=stamp, body=body) or ""
    except ValueError:
        return 0  # A body that is no text.
    given = headers.get("x-slack-signature", "")
    return round(now) - int(stamp) if compare_digest(genuine.encode(), given.encode()) else 0


def seal_of(body: bytes, headers: Mapping[str, str]) -> str:
    """Return the digest of a signed request: another delivery of the same one has the same."""
    return sha256(headers.get("x-slack-request-timestamp", "").encode() + b":" + body).hexdigest()


def read(body: bytes, headers: Mapping[str, str]) -> Press | None:
    """Read a signed request; None for what is no vote, such as a link that was followed.

    Raises:
        Malformed: It is not what Slack sends, or says something that relman never put into a button.
    """
    try:
        fields = parse_qs(body.decode(), max_num_fields=20)
        (payload,) = fields["payload"]
        said = _Payload.model_validate_json(payload)
        seal = seal_of(body, headers)
        return _button(said, seal) if said.type == "block_actions" else _form(said, seal)
    except (KeyError, ValidationError, ValueError, RecursionError) as error:
        raise Malformed("not a payload as Slack sends it") from error


def _button(said: _Payload, seal: str) -> Press | None:
    action = said.actions[0] if said.actions else None
    decision = decision_of(action.action_id) if action else None
    if action is None or decision is None:
        return None
    where = said.container or _Container()
    return Press(
        user=said.user.id,
        question=Question.read(action.value),
        decision=decision,
        place=Place(channel=where.channel_id or "", thread=where.thread_ts or where.message_ts),
        later=action.action_id == LATER,
        trigger=said.trigger_id or "",
        seal=seal,
    )


def _form(said: _Payload, seal: str) -> Press | None:
    if said.type != "view_submission" or said.view is None or said.view.callback_id != FORM:
        return None
    context = Context.model_validate_json(said.view.private_metadata)
    return Press(
        user=said.user.id,
        question=Question.read(context.question.text),
        decision=context.decision,
        place=context.place,
        form=said.view.state.values,
        not_before=effect_at(said.view.state.values),
        seal=seal,
    )


class _User(BaseModel):
    id: Id


class _Action(BaseModel):
    action_id: str = ""
    value: str | None = None


class _Container(BaseModel):
    channel_id: str | None = None
    message_ts: str | None = None
    thread_ts: str | None = None


class _State(BaseModel):
    values: dict[str, dict[str, Any]] = Field(default_factory=dict)


class _View(BaseModel):
    callback_id: str = ""
    private_metadata: Annotated[str, StringConstraints(max_length=3000)] = ""
    state: _State = Field(default_factory=_State)


class _Payload(BaseModel):
    """As much of Slack's payloads as relman looks at; they have more."""

    type: str
    user: _User
    trigger_id: Trigger | None = None
    container: _Container | None = None
    actions: list[_Action] = Field(default_factory=list)
    view: _View | None = None

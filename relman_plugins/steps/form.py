"""The form of a Required Action: what it asks besides yes or no, and how its answers are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from relman_plugins.domain import follow_up
from relman_plugins.domain.checklist import Answer, Item

if TYPE_CHECKING:
    from airflow.sdk import Param

    from relman_plugins.domain.approval import Rule
    from relman_plugins.domain.field import Field

COMMENT = "comment"
COMMENT_LIMIT = 4000


def form_of(items: Sequence[Item], rules: Sequence[Rule] = ()) -> dict[str, Any]:
    """Return the form's fields: those of the rules or the items of a checklist, and a comment for the record.

    The form is one for everybody, and a rejection needs none of its fields, so each may stay empty: the vote
    service knows what whose approval must say.
    """
    from airflow.sdk import Param

    choices = [Answer.NOT_TESTED.value, Answer.PASSED.value, Answer.FAILED.value]
    fields = {
        item.id: Param(choices[0], type="string", enum=choices, title=f"{number}. {item.item}")
        for number, item in enumerate(items, start=1)
    }
    for field in (f for rule in rules for f in rule.fields):
        fields.setdefault(field.name, _asked(field))
    fields[COMMENT] = Param(
        "",
        type=["string", "null"],
        title="Comment",
        description="Why. It is recorded with your answer and shown to everybody.",
        format="multiline",
        maxLength=COMMENT_LIMIT,
    )
    return {name: param.serialize() for name, param in fields.items()}


def _asked(field: Field) -> Param:
    from airflow.sdk import Param

    schema = field.json_schema()
    if "enum" in schema:
        schema["enum"] = [*schema["enum"], None]
    kind = schema.pop("type")
    types = [*([kind] if isinstance(kind, str) else kind), "null"]
    need = "An approval needs it" if field.required else "Optional"
    return Param(
        None,
        type=list(dict.fromkeys(types)),
        title=field.label,
        description=f"{field.description} ({need}.)",
        **schema,
    )


def follow_up_form() -> dict[str, Any]:
    """Return the fields for follow-ups: rows of what, who and until when."""
    from airflow.sdk import Param

    titles = {"what": "What is to be done", "who": "Who does it", "by": "Until when"}
    limits = {"what": follow_up.WHAT_LIMIT, "who": follow_up.WHO_LIMIT}

    def field(part: str, row: int) -> dict[str, Any]:
        shape: dict[str, Any] = {"maxLength": limits[part]} if part in limits else {"format": "date"}
        param = Param(None, type=["null", "string"], title=f"{row}. {titles[part]}", **shape)
        return param.serialize()

    return {name: field(part, row) for name, part, row in follow_up.fields()}


def comment_of(form: dict[str, Any]) -> str:
    """Read the comment; Airflow's page sends the value, its API also takes ``{"value": …}``."""
    value = _value(form.get(COMMENT, ""))
    return value if isinstance(value, str) else ""


def answers_of(form: dict[str, Any]) -> dict[str, Any]:
    """Return what was said of the items, by id, unchecked."""
    return {name: _value(value) for name, value in form.items() if name != COMMENT}


def _value(field: Any) -> Any:
    return field.get("value", "") if isinstance(field, dict) else field

"""The form of a Required Action: what it asks besides yes or no, and how its answers are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from relman_plugins.domain import follow_up
from relman_plugins.domain.checklist import Answer, Item

COMMENT = "comment"
COMMENT_LIMIT = 4000


def form_of(items: Sequence[Item]) -> dict[str, Any]:
    """Return the form's fields: one for each item of a checklist, and a comment for the record."""
    from airflow.sdk import Param

    choices = [Answer.NOT_TESTED.value, Answer.PASSED.value, Answer.FAILED.value]
    fields = {
        item.id: Param(choices[0], type="string", enum=choices, title=f"{number}. {item.item}")
        for number, item in enumerate(items, start=1)
    }
    fields[COMMENT] = Param(
        "",
        type=["string", "null"],
        title="Comment",
        description="Why. It is recorded with your answer and shown to everybody.",
        format="multiline",
        maxLength=COMMENT_LIMIT,
    )
    return {name: param.serialize() for name, param in fields.items()}


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

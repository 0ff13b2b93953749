"""Follow-ups: what people want done after a release, and how a form says it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from pydantic import ValidationError

from relman_plugins.domain.base import Frozen

MOST = 5
"""Rows of the form: more fit no phone, and a release that needs more needs a meeting."""

WHAT_LIMIT, WHO_LIMIT = 500, 200

GIVE, NONE = "Record follow-ups", "No follow-ups"
"""The two answers of the form."""


class FollowUp(Frozen):
    """One thing to do."""

    what: str
    who: str = ""
    """Whose it is, in words; empty when nobody was named."""
    by: date | None = None
    """Until when."""


def fields() -> list[tuple[str, str, int]]:
    """Return the form's fields in order: name, ``what`` or ``who`` or ``by``, and the row from 1."""
    return [(f"{part}_{row}", part, row) for row in range(1, MOST + 1) for part in ("what", "who", "by")]


def checked(option: str, form: Mapping[str, Any]) -> tuple[FollowUp, ...]:
    """Return what a filled-in form asks for; nothing for ``NONE``.

    Raises:
        ValueError: with what is wrong, in words for the person who answered.
    """
    if option not in (GIVE, NONE):
        raise ValueError(f"expected {GIVE!r} or {NONE!r}, found {option[:60]!r}")
    known = [name for name, _, _ in fields()]
    if strange := [name for name in form if name not in known]:
        raise ValueError(f"there is no field {', '.join(map(repr, strange[:5]))}; fields are {known[0]}, …")
    rows = [row for n in range(1, MOST + 1) if (row := _row(form, n)) is not None]
    if option == NONE and rows:
        raise ValueError(f"{rows[0].what!r} is written down; choose {GIVE!r}, or empty the fields")
    if option == GIVE and not rows:
        raise ValueError(f"nothing is written down; say what is to be done, or choose {NONE!r}")
    return tuple(rows)


def told(item: FollowUp) -> str:
    """Return a follow-up in one line: ``<what> (<who>, by <date>)``."""
    more = ", ".join(filter(None, [item.who, f"by {item.by:%Y-%m-%d}" if item.by else ""]))
    return f"{item.what} ({more})" if more else item.what


def read(data: Mapping[str, Any]) -> tuple[FollowUp, ...]:
    """Return the follow-ups of a recorded ``release.follow_up``; what this version can't read is left out."""
    items = data.get("items")
    items = items if isinstance(items, list | tuple) else ()
    return tuple(found for i in items if (found := _readable(i)) is not None)


def _readable(item: Any) -> FollowUp | None:
    try:
        found = FollowUp.model_validate(item)
    except ValidationError:
        return None
    return found if found.what else None


def _row(form: Mapping[str, Any], n: int) -> FollowUp | None:
    what, who, by = (_text(form, f"{part}_{n}") for part in ("what", "who", "by"))
    if not what:
        if who or by:
            raise ValueError(f"row {n} says who or until when, but not what; add it or empty the row")
        return None
    for name, text, limit in (("what", what, WHAT_LIMIT), ("who", who, WHO_LIMIT)):
        if len(text) > limit:
            raise ValueError(f"{name}_{n} has {len(text)} characters; at most {limit} are kept")
    try:
        return FollowUp(what=what, who=who, by=date.fromisoformat(by[:10]) if by else None)
    except ValueError:
        raise ValueError(f"by_{n} is {by[:40]!r}; expected a date such as 2026-03-09, or nothing") from None


def _text(form: Mapping[str, Any], name: str) -> str:
    value = form.get(name)
    # Airflow's page sends the value, its API also takes {"value": …}.
    value = value.get("value") if isinstance(value, dict) else value
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{name} is {value!r}; expected text"[:200])
    return " ".join((value or "").split())

"""Checklists: what people try by hand, and what they may say of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from relman_plugins.domain.base import Frozen
from relman_plugins.domain.status import Decision


class Answer(StrEnum):
    """What somebody says of one item."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_TESTED = "not tested"


class Item(Frozen):
    """One thing to try."""

    id: str
    """Unique in its checklist; what answers name."""
    item: str
    """What must hold, in words."""


def checked(items: Sequence[Item], answers: Mapping[str, Any], decision: Decision) -> dict[str, Answer]:
    """Return an answer for every item, in their order; what was left out is not tested.

    An approval says that everything passed, so it is refused while an item did not, and nothing is decided:
    a wrong tap on a phone must neither pass a broken version nor end a good release. A rejection is always
    taken.

    Raises:
        ValueError: with what is wrong, in words for the person who answered.
    """
    known = [i.id for i in items]
    if strange := [name for name in answers if name not in known]:
        raise ValueError(f"there is no item {', '.join(map(repr, strange))}; items are {', '.join(known)}")
    found = {i.id: _answer(i, answers.get(i.id, Answer.NOT_TESTED)) for i in items}
    if decision is Decision.APPROVE:
        failed, untested = (named(items, found, a) for a in (Answer.FAILED, Answer.NOT_TESTED))
        if failed:
            raise ValueError(f"failed: {failed}; reject to record that, or correct the answer")
        if untested:
            raise ValueError(f"not tested yet: {untested}; approve when every item is passed")
    return found


def named(items: Sequence[Item], answers: Mapping[str, str], answer: Answer) -> str:
    """Name the items with this answer: ``the cart shows the discount (cart), …``."""
    return ", ".join(f"{i.item} ({i.id})" for i in items if answers.get(i.id) == answer)


def _answer(item: Item, said: Any) -> Answer:
    try:
        return Answer(said)
    except ValueError:
        expected = ", ".join(map(repr, (a.value for a in Answer)))
        raise ValueError(f"{said!r} is no answer to {item.id}; expected one of {expected}") from None

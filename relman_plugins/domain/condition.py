"""When a rule of a gate is asked for at all: ``risk >= medium``. A small, closed grammar.

A condition that can't be judged holds: a rule is left out only when it is known that nobody needs it.
"""

from __future__ import annotations

import re
from typing import Literal, get_args

from relman_plugins.domain.base import Frozen
from relman_plugins.domain.risk import Risk

Operator = Literal[">=", ">", "==", "<", "<="]

OPERATORS: tuple[str, ...] = get_args(Operator)

PATTERN = r"^\s*risk\s*(>=|<=|==|>|<)\s*(low|medium|high)\s*$"
"""All there is, as a regular expression: for editors and for the JSON Schema."""

_WORDS = re.compile(r"[A-Za-z_]\w*|[<>=!~]+|[^\s]")


class ConditionError(ValueError):
    """A text is no condition. ``offset`` says where in it, in characters; ``found`` what stands there."""

    def __init__(self, expected: str, offset: int, found: str, hint: str = "") -> None:
        super().__init__(f"expected {expected}, got {found or 'nothing'}")
        self.expected = expected
        self.offset = offset
        self.found = found
        self.hint = hint


class Condition(Frozen):
    """A comparison of a release's class of risk with a fixed one."""

    operator: Operator
    risk: Risk
    weighed_by: str = ""
    """The environment by whose owner's weights the risk is told; empty: by the pipeline's own."""

    def __str__(self) -> str:
        """Return the condition as it is written."""
        return f"risk {self.operator} {self.risk}"

    def holds(self, risk: Risk | None) -> bool:
        """Say whether the rule is asked for at this risk; None is a risk that nobody knows."""
        if risk is None:
            return True
        order = list(Risk)
        one, two = order.index(risk), order.index(self.risk)
        return {">=": one >= two, ">": one > two, "==": one == two, "<": one < two, "<=": one <= two}[
            self.operator
        ]

    @property
    def holding(self) -> tuple[Risk, ...]:
        """Return the classes at which it holds: none and all of them are most likely a slip."""
        return tuple(risk for risk in Risk if self.holds(risk))


class NotNeeded(Frozen):
    """A rule that is not asked for, and why."""

    id: str
    group: str
    """Who would have been asked."""
    quorum: int
    when: str
    """The condition that does not hold, as it is written."""
    reason: str
    """In words: ``low risk (5 points) by the weights of production``."""

    def line(self) -> str:
        """Return all of it in one line."""
        return f"{self.quorum} of {self.group}: {self.reason}, and it is asked only if {self.when}"


def parse(text: str) -> Condition:
    """Read a condition.

    Raises:
        ConditionError: it is none; says what was expected where.
    """
    words = [(m.start(), m.group()) for m in _WORDS.finditer(text)]
    classes = [risk.value for risk in Risk]
    wanted = (("risk", ["risk"]), (f"one of {' '.join(OPERATORS)}", list(OPERATORS)), (_or(classes), classes))
    for index, (expected, allowed) in enumerate(wanted):
        offset, found = words[index] if index < len(words) else (len(text.rstrip()), "")
        if found not in allowed:
            raise ConditionError(expected, offset, found, _hint(found, allowed))
    if len(words) > len(wanted):
        offset, found = words[len(wanted)]
        hint = "one comparison is all there is; a rule of its own can have another one"
        raise ConditionError("nothing more", offset, found, hint)
    return Condition.model_validate({"operator": words[1][1], "risk": words[2][1]})


def _or(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


def _hint(found: str, allowed: list[str]) -> str:
    better = {"=": "==", "=>": ">=", "=<": "<=", "===": "=="}.get(found, found.lower())
    return f"write {better}" if better != found and better in allowed else ""

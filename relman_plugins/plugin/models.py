"""Bodies of the API's requests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field, StringConstraints

from relman_plugins.domain.base import Frozen
from relman_plugins.domain.identity import NAME_PATTERN
from relman_plugins.domain.status import Decision

Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=4000)]

Answer = Annotated[str, StringConstraints(max_length=4000)] | bool | int | float | None


def wrong(problems: Iterable[Mapping[str, Any]]) -> str:
    """Return what is wrong with a body, for people; ``problems`` are as pydantic lists them."""
    return "; ".join(f"{_place(p['loc'])}: {p['msg'].removeprefix('Value error, ')}" for p in problems)


def _place(loc: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in loc if part not in {"body", "query", "path"}) or "body"


class VoteBody(Frozen):
    """A person's decision at a gate."""

    decision: Decision
    digest: str | None = None
    """Digest of the subject that the person was shown; refused when it isn't the gate's any more, and when an
    approval has none."""
    comment: Text = ""
    answers: Annotated[dict[str, Answer], Field(max_length=100)] = Field(default_factory=dict)
    """Answers to the items of a checklist by id (``passed``, ``failed`` or ``not tested``), or to the fields
    of the gate's rules by name."""
    not_before: AwareDatetime | None = None
    """From when an approval takes effect, with a time zone; null: at once."""


class WithdrawalBody(Frozen):
    """Why somebody takes a vote back."""

    comment: Text = ""


class SettlementBody(Frozen):
    """What was done about an emergency whose approval was refused afterwards."""

    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000)] = Field()
    """Said in Slack and kept in the ledger."""


class ReasonBody(Frozen):
    """Why somebody holds or resumes a release."""

    reason: Text = ""


class BreakBody(Frozen):
    """Why somebody breaks a lock, and which."""

    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000)] = Field()
    """Said in Slack and kept in the ledger."""
    token: int
    """Fencing token of the lock that the person was shown; refused when it has changed hands since. Required:
    by name alone a request that comes late would stop a release that nobody meant."""


Named = Annotated[str, StringConstraints(pattern=f"({NAME_PATTERN})|^$")]
Labels = Annotated[
    dict[
        Annotated[str, StringConstraints(pattern=NAME_PATTERN)],
        Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\n\r]*$")],
    ],
    Field(max_length=20),
]


class ThawBody(Frozen):
    """Why somebody lifts a freeze, and which: an empty name means all."""

    environment: Named = ""
    pipeline: Named = ""
    labels: Labels = Field(default_factory=dict)
    """Only pipelines that have all of these in their metadata."""
    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000)] = Field()
    """Kept in the ledger."""


class FreezeBody(ThawBody):
    """Why somebody stops the line, where, and until when."""

    until: AwareDatetime | None = None
    """When it ends by itself, with a time zone; null: when it is lifted."""
    unless: Literal["", "approved"] = ""
    """``approved``: a release may go past it once those whom its environment names have approved that."""


class TrainBody(Frozen):
    """Why somebody does something to a train, and with which version."""

    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000)] = Field()
    """Said in Slack and kept in the ledger."""
    version: Annotated[str, StringConstraints(max_length=64)] = ""
    """What is added."""


class AbortBody(Frozen):
    """Why somebody aborts a release."""

    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000)] = Field()
    """Said in Slack and kept in the ledger."""


class RollbackBody(Frozen):
    """Why somebody rolls a release back that has ended, and where."""

    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000)] = Field()
    """Said in Slack and kept in the ledger."""
    environment: Text = ""
    """Which of the environments that the release changed; empty for the last one of its plan."""
    digest: str | None = None
    """Digest of the artifact that the person was shown as the one to go back to; refused when it is another
    by now."""

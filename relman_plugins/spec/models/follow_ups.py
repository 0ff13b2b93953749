"""Follow-ups that people are asked for when a release has ended."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from relman_plugins.domain.status import Outcome
from relman_plugins.spec.models.base import Name, SpecModel
from relman_plugins.spec.models.duration import Duration


class FollowUps(SpecModel):
    """Asking people, once a release has ended, what is to be done about it."""

    group: Name
    """The group, from `people.yaml`, of which one answers in Required Actions."""
    after: Annotated[tuple[Outcome, ...], Field(min_length=1, max_length=7)] = Field(
        default=tuple(Outcome), json_schema_extra={"default": "every outcome"}
    )
    """The outcomes after which is asked; every one unless given."""
    timeout: Duration = Duration(86_400)
    """How long the question stands. Without an answer by then there are none; nothing else happens."""

"""What makes a change risky, by rules that everybody can read: points for what is known to go wrong.

The points and bounds below are relman's own judgement, not measured anywhere: a place to start from. A team
writes its own into its policy, and every assessment (``domain/assessment.py``) shows what each contributed.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, Strict

from relman_plugins.domain.base import Frozen

Points = Annotated[int, Strict(), Field(ge=0, le=1000)]
Bound = Annotated[int, Strict(), Field(ge=0, le=1_000_000)]


class Risk(StrEnum):
    """A class of risk; ordered from ``low`` to ``high``."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"

    def reaches(self, other: Risk) -> bool:
        """Say whether this is at least ``other``."""
        order = list(Risk)
        return order.index(self) >= order.index(other)


class Weights(Frozen):
    """Points that each finding adds. With 0 a finding does not count."""

    commits: Points = 10
    """More commits than `most_commits`."""
    files: Points = 10
    """More files changed than `most_files`."""
    lines: Points = 10
    """More lines changed than `most_lines`."""
    authors: Points = 5
    """More authors than `most_authors`."""
    dependencies: Points = 10
    """A dependency came, went, or changed its version."""
    migrations: Points = 30
    """A migration of data is part of it."""
    configuration: Points = 10
    """The plan differs from the live release's: configuration, analyses, build or stages."""
    weaker_plan: Points = 20
    """The plan guards the release less well than the live release's did: a gate or a suite is gone."""
    older_version: Points = 30
    """The version is older than the one that is live."""
    first_release: Points = 20
    """Nothing is live yet: there is nothing to compare with, and nothing to go back to."""
    unknown_history: Points = 30
    """It is not known what changed."""
    untagged: Points = 5
    """No tag ties the version to a commit."""
    open_defects: Points = 15
    """Commits name a defect that is still open."""
    unknown_defects: Points = 10
    """It could not be found out which defects that commits name are open."""
    last_failed: Points = 15
    """The last release of this pipeline did not succeed."""
    emergency: Points = 15
    """The release is an emergency."""


class RiskPolicy(Frozen):
    """From how many points on a change is risky, and what gives points."""

    medium: Points = 20
    """From this many points on the risk is `medium`."""
    high: Points = 50
    """From this many points on the risk is `high`."""
    most_commits: Bound = 20
    """How many commits are not yet many."""
    most_files: Bound = 50
    """How many changed files are not yet many."""
    most_lines: Bound = 500
    """How many changed lines are not yet many."""
    most_authors: Bound = 3
    """How many authors are not yet many."""
    weights: Weights = Field(default_factory=Weights)
    """Points by finding."""

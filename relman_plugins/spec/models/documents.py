"""Everything one pipeline refers to, read and valid."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from relman_plugins.spec.models.base import SpecModel
from relman_plugins.spec.models.calendar import Calendar
from relman_plugins.spec.models.environment import Environment
from relman_plugins.spec.models.people import People
from relman_plugins.spec.models.pipeline import ReleasePipeline


class Documents(SpecModel):
    """A pipeline with every document it refers to."""

    pipeline: ReleasePipeline
    environments: dict[str, Environment]
    """The environments of the stages, by name."""
    people: People | None = None
    """Read only when a gate names a group."""
    calendars: dict[str, Calendar] = Field(default_factory=dict)
    """What environments and stages name, by name."""
    events: dict[str, str] = Field(default_factory=dict)
    """Text of the iCalendar files that calendars name, by path relative to the pipeline's folder."""
    manifests: dict[str, tuple[dict[str, Any], ...]] = Field(default_factory=dict)
    """The pipeline's objects on Kubernetes, by environment."""
    digest: str
    """``sha256:<hex>`` of the canonical JSON of what the pipeline names.

    Comments and layout don't change it, nor people and groups that none of its gates name.
    """
    content: dict[str, Any] = Field(default_factory=dict)
    """What the digest is of: the documents as they were read, and of the people those who are named."""
    texts: dict[str, str] = Field(default_factory=dict)
    """YAML text of every document read, by path relative to the pipeline's folder."""

"""The strategy ``blue_green``."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict

from relman_plugins.spec.models.base import Count, Flag, Name, SpecModel
from relman_plugins.spec.models.duration import Duration
from relman_plugins.spec.models.written import as_written


class BlueGreen(SpecModel):
    """The new version starts beside the old one at full size, then all traffic moves at once."""

    model_config = ConfigDict(json_schema_extra=as_written)

    kind: Literal["blue_green"] = "blue_green"
    """Which strategy this is; in YAML it is the key, not a value."""
    preview: Flag = True
    """Whether the new version is brought up without traffic as a step of its own, before the switch."""
    analysis: Name | None = None
    """The analysis that must pass after the switch."""
    interval: Duration = Duration(60)
    """Time between two looks at the metrics."""
    count: Count = 5
    """How many looks are taken after the switch."""
    keep: Duration = Duration(600)
    """How long the old version stands by after the switch, at full size and without traffic."""

"""The policy document: a way of working that pipelines share."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from relman_plugins.spec.models.analysis import AnyAnalysis
from relman_plugins.spec.models.assess import Assess
from relman_plugins.spec.models.base import ApiVersion, Metadata, Name, SpecModel, Whole
from relman_plugins.spec.models.duration import Duration
from relman_plugins.spec.models.follow_ups import FollowUps
from relman_plugins.spec.models.gate import Gate
from relman_plugins.spec.models.notify import Notify
from relman_plugins.spec.models.parity import Parity
from relman_plugins.spec.models.pipeline import Monitor
from relman_plugins.spec.models.reports import CoverageLimits, FindingsLimits, LoadLimits
from relman_plugins.spec.models.strategy import Recreate, Strategy

Extends = Annotated[tuple[Name, ...], Field(max_length=10)]
"""Names of policies. Of what several of them say the last one's counts."""


class StagePolicy(SpecModel):
    """What stages get that don't say otherwise."""

    gates: Annotated[tuple[Gate, ...], Field(max_length=10)] = ()
    """What must hold before anything changes here. Added to the stage's own gates, never removable."""
    calendars: Annotated[tuple[Name, ...], Field(max_length=10)] = ()
    """Calendars that must be open before anything changes here. Added to the stage's own, never removable."""
    parity: Parity | None = None
    """Comparing environments before a stage, unless the stage has a `parity` of its own."""
    strategy: Strategy = Field(default=Recreate(), json_schema_extra={"default": "recreate"})
    """How traffic moves, unless the stage has a `strategy` of its own."""
    monitor: Monitor | None = None
    """Watching after all traffic has moved, unless the stage has a `monitor` of its own."""


class SuitePolicy(SpecModel):
    """What suites get that don't say otherwise."""

    timeout: Duration = Duration(600)
    """Time limit of the suite, of each try of it."""
    retries: Annotated[int, Field(ge=0, le=10, strict=True)] = 0
    """How often the command runs again when tests failed, or it broke off. What passes then is flaky."""
    min_tests: Whole = 1
    """With fewer tests than this the suite fails, even if none of them does."""
    max_failures: Whole = 0
    """How many tests may fail."""
    max_flaky: Whole | None = None
    """How many tests may pass only when they are tried again. No limit unless given."""
    max_skipped: Whole | None = None
    """How many tests may be skipped. No limit unless given."""
    max_duration: Duration | None = None
    """How long the command may take. It is not stopped then, unlike at `timeout`, but the suite fails."""
    coverage: CoverageLimits | None = None
    """What the coverage reports of suites that have one must say, key by key."""
    findings: FindingsLimits | None = None
    """What the scanners' reports of suites that have one may say, key by key."""
    load: LoadLimits | None = None
    """What the load tests of suites that have one must say, key by key."""


class Policy(SpecModel):
    """A way of working: what pipelines get that extend it. What a pipeline says itself wins; gates add up."""

    api_version: ApiVersion = Field(alias="apiVersion")
    """Version of this format."""
    kind: Literal["Policy"]
    """Kind of document."""
    metadata: Metadata
    """Name and owner; the file is `policies/<name>.yaml`."""
    extends: Extends = ()
    """Policies that this one builds on, from `policies/`; what this one says itself wins."""
    assess: Assess | None = None
    """Looking at what changed and how risky that is, key by key, unless the pipeline says so."""
    every_stage: StagePolicy = StagePolicy()
    """For every stage."""
    last_stage: StagePolicy = StagePolicy()
    """For the last stage of a pipeline, where it reaches its users; wins over `every_stage`."""
    stages: Annotated[dict[Name, StagePolicy], Field(max_length=50)] = Field(default_factory=dict)
    """For stages by name, if the pipeline has them; wins over `last_stage` and `every_stage`."""
    every_suite: SuitePolicy = SuitePolicy()
    """For every suite with a command that a pipeline defines."""
    suites: Annotated[dict[Name, SuitePolicy], Field(max_length=50)] = Field(default_factory=dict)
    """For suites with a command by name, if the pipeline defines them; wins over `every_suite`."""
    analyses: Annotated[dict[Name, AnyAnalysis], Field(max_length=50)] = Field(default_factory=dict)
    """Analyses by name. One of the same name in the pipeline replaces it as a whole."""
    notify: Notify | None = None
    """Who is told, key by key, unless the pipeline says so. Routes are added to the pipeline's."""
    follow_ups: FollowUps | None = None
    """Who is asked for follow-ups, unless the pipeline has `follow_ups` of its own."""

"""The pipeline document: how one service is released."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from relman_plugins.spec.models.analysis import AnyAnalysis
from relman_plugins.spec.models.assess import Assess
from relman_plugins.spec.models.base import (
    ApiVersion,
    Command,
    Metadata,
    Name,
    Path,
    PathInside,
    SpecModel,
    Variable,
    Whole,
)
from relman_plugins.spec.models.checklist import AnyOf, Checklist, suite_kind
from relman_plugins.spec.models.duration import Duration
from relman_plugins.spec.models.follow_ups import FollowUps
from relman_plugins.spec.models.gate import Gate
from relman_plugins.spec.models.notify import Notify
from relman_plugins.spec.models.parameter import ParameterField, ParameterName
from relman_plugins.spec.models.parity import Parity
from relman_plugins.spec.models.pod import Pod
from relman_plugins.spec.models.reports import Coverage, Findings, Load
from relman_plugins.spec.models.schedule import Schedule
from relman_plugins.spec.models.strategy import Recreate, Strategy


class Artifact(SpecModel):
    """How a version becomes something deployable."""

    source: Path
    """Directory with the source, relative to this file."""
    build: Command | None = None
    """Command that fills `RELMAN_OUTPUT` from `RELMAN_SOURCE` for `RELMAN_VERSION`.

    Without it the source directory itself is archived.
    """
    image: PathInside | None = None
    """File in what was built whose only line is the container image that the build pushed, by digest:
    `<repository>@sha256:<hex>`. Needed for environments on Kubernetes.
    """
    timeout: Duration = Duration(600)
    """Time limit of the build."""


class Suite(SpecModel):
    """A test suite: a command that writes at least one report."""

    command: Command
    """Program and arguments, run in the unpacked artifact; `python` first means the worker's interpreter.

    It gets `RELMAN_BASE_URL`, `RELMAN_VERSION`, `RELMAN_ENVIRONMENT`, `RELMAN_ATTEMPT` (1, then 2 …) and
    `RELMAN_FAILED_TESTS` (a file with the names of the tests that failed before, one a line).
    """
    junit: PathInside | None = None
    """Where the command writes its JUnit XML report, relative to the artifact."""
    timeout: Duration = Duration(600)
    """Time limit of the suite, of each try of it."""
    env: dict[Variable, str] = Field(default_factory=dict)
    """More environment variables for the command. Never secrets."""
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
    coverage: Coverage | None = None
    """A coverage report, and what it must say."""
    findings: Findings | None = None
    """A scanner's report, and what it may say."""
    load: Load | None = None
    """A load test's report, and what it must say."""
    pod: Pod | None = None
    """Run it as a pod in the environment's cluster, not on a worker. It needs an environment on Kubernetes.

    The command runs in the image's own folder and is looked for there; reports are relative to the folder
    `RELMAN_REPORTS`, and must be written there.
    """


AnySuite = Annotated[
    Annotated[Suite, Tag("Suite")] | Annotated[Checklist, Tag("Checklist")],
    Discriminator(suite_kind),
    AnyOf(),
]
"""A command, or a checklist for people."""


class Monitor(SpecModel):
    """Watching after all traffic has moved."""

    for_: Duration = Field(alias="for")
    """How long to watch."""
    analysis: Name
    """The analysis that must keep passing."""
    interval: Duration = Duration(30)
    """Time between two looks at the metrics."""


def _soak_kind(value: Any) -> str:
    """Return the name of the model that a soak is written for."""
    return (Monitor if isinstance(value, dict | Monitor) else Duration).__name__


Soak = Annotated[
    Annotated[Duration, Tag(Duration.__name__)] | Annotated[Monitor, Tag(Monitor.__name__)],
    Discriminator(_soak_kind),
    AnyOf(),
]
"""A time to wait, or to watch."""


class Stage(SpecModel):
    """What happens in one environment."""

    environment: Name
    """The environment, described in `environments/<name>.yaml`."""
    name: Name | None = None
    """Name of the stage; the environment's unless given."""
    suites: Annotated[tuple[Name, ...], Field(max_length=50)] = ()
    """Suites that must pass after the deployment; they run side by side."""
    parity: Parity | None = None
    """Comparing this environment with one that the release has been through, before anything else here."""
    gates: Annotated[tuple[Gate, ...], Field(max_length=10)] = ()
    """What must hold before anything changes here, on top of the environment's own gates."""
    calendars: Annotated[tuple[Name, ...], Field(max_length=10)] = ()
    """Calendars that must be open too before anything changes here, on top of the environment's own."""
    strategy: Strategy = Field(default=Recreate(), json_schema_extra={"default": "recreate"})
    """How traffic moves: `recreate` (all at once), `rolling`, `blue_green` or `canary`."""
    monitor: Monitor | None = None
    """Watching after all traffic has moved; a breach rolls back."""
    soak: Soak | None = None
    """How long the new version stays here, when all of this has gone well, before the release goes on.

    With `{for, analysis, interval}` its numbers are watched meanwhile; a breach rolls back.
    """
    deadline: Duration | None = None
    """How long all of this may take, from when the release comes here; past it Slack is told, once."""

    @property
    def id(self) -> str:
        """Name of the stage: ``name``, or the environment's."""
        return self.name or self.environment


class ReleasePipeline(SpecModel):
    """How one service is released: build it once, then take it through the stages in order."""

    api_version: ApiVersion = Field(alias="apiVersion")
    """Version of this format."""
    kind: Literal["ReleasePipeline"]
    """Kind of document."""
    metadata: Metadata
    """Name and owner. The name is the service's, and the file is `<name>.yaml`."""
    extends: Annotated[tuple[Name, ...], Field(max_length=10)] = ()
    """Policies from `policies/` that this pipeline builds on.

    What it says itself wins; of several policies the last one's counts; gates add up and can't be removed.
    """
    artifact: Artifact
    """How a version becomes something deployable."""
    assess: Assess | None = None
    """Looking at what changed since the live version, and how risky that is, before anybody is asked."""
    suites: dict[Name, AnySuite] = Field(default_factory=dict)
    """Test suites by name: commands, or checklists that people go through."""
    analyses: dict[Name, AnyAnalysis] = Field(default_factory=dict)
    """Analyses by name."""
    stages: Annotated[tuple[Stage, ...], Field(min_length=1, max_length=20)]
    """What happens, in order."""
    deadline: Duration | None = None
    """How long a release may take, from its opening; past it Slack is told, once. It goes on all the same."""
    notify: Notify | None = None
    """Who is told."""
    follow_ups: FollowUps | None = None
    """Who is asked, once a release has ended, what is to be done about it."""
    schedule: Schedule | None = None
    """When a release starts by itself."""
    parameters: Annotated[dict[ParameterName, ParameterField], Field(max_length=30)] = Field(
        default_factory=dict
    )
    """Fields that the trigger form has on top of its own, by name.

    The build and the suites get each value as the variable `RELMAN_PARAM_<NAME>`.
    """

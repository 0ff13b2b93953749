"""The environment document: a place to deploy to, and its owner's rules."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from relman_plugins.spec.models.assess import EnvironmentAssess
from relman_plugins.spec.models.base import (
    ApiVersion,
    ConnectionId,
    Count,
    Flag,
    Metadata,
    Name,
    PoolName,
    SpecModel,
    Variable,
)
from relman_plugins.spec.models.break_glass import BreakGlass
from relman_plugins.spec.models.duration import Duration
from relman_plugins.spec.models.gate import ExceptionRule, Gate
from relman_plugins.spec.models.kubernetes import Kubernetes
from relman_plugins.spec.models.notify import Notify
from relman_plugins.spec.models.window import Window


class Environment(SpecModel):
    """A place to deploy to. Its owner's gates and windows apply to every pipeline."""

    api_version: ApiVersion = Field(alias="apiVersion")
    """Version of this format."""
    kind: Literal["Environment"]
    """Kind of document."""
    metadata: Metadata
    """Name and owner; the file is `environments/<name>.yaml`."""
    platform: Name
    """The driver that makes the environment real: `kubernetes`, `sandbox`, …"""
    connection: ConnectionId
    """Airflow connection id of the platform."""
    kubernetes: Kubernetes | None = None
    """Where in the cluster, with `platform: kubernetes`."""
    replicas: Count = 1
    """How many replicas carry the traffic."""
    ephemeral: Flag = False
    """Provisioned before the stage, torn down after it."""
    expires: Duration = Duration(3_600)
    """After this long an ephemeral environment is removed whatever happened to its release."""
    config: dict[Variable, str] = Field(default_factory=dict)
    """Environment variables every replica gets. Never secrets: those belong in Airflow connections."""
    pool: PoolName | None = None
    """Airflow pool in which the environment's work takes slots, so that a scarce place is shared fairly.

    Several environments may name one pool. Waiting for people, rollback and teardown take none.
    """
    slots: Count = 1
    """How many slots of `pool` each step takes."""
    gates: Annotated[tuple[Gate, ...], Field(max_length=10)] = ()
    """Gates of the environment's owner: added to every pipeline's, never removable."""
    assess: EnvironmentAssess = EnvironmentAssess()
    """How the risk is told for the gates here with a `when`: by these weights, not by a pipeline's."""
    break_glass: BreakGlass | None = None
    """Who may skip the rules here that say `waivable: true`, in an emergency; without it nobody may."""
    windows: Annotated[tuple[Window, ...], Field(max_length=50)] = ()
    """When changes are allowed; without any, always."""
    calendars: Annotated[tuple[Name, ...], Field(max_length=10)] = ()
    """Calendars, from `calendars/`, that must all be open for a change, beside `windows`."""
    window_timeout: Duration = Duration(7 * 86_400)
    """How long a release waits for a window, or for its calendars to open."""
    on_close: Literal["finish", "hold", "drain"] = "finish"
    """What becomes of a change that has begun when the window closes: it is finished; or it waits before the
    next step that moves traffic; or, where that would begin, its traffic goes back.
    """
    outlasting: Literal["begin", "wait"] = "begin"
    """Whether a change begins that would not be over when the windows close, by the plan's own times.

    `wait`: it waits for an opening that is long enough. With `on_close: hold` each weight or wave counts by
    itself, otherwise the whole change of the stage.
    """
    exceptions: ExceptionRule | None = None
    """Who may let a release past what leaves room for exceptions, by one more approval.

    Calendars say so with `unless: approved`, whoever stops the line with `--unless-approved`. Without it,
    nobody may: the release waits.
    """
    notify: Notify | None = None
    """Who else is told of what happens here, whatever the pipeline says."""
    slack_votes: Literal["allowed", "link"] = "allowed"
    """Whether gates here can be answered with buttons in Slack: `allowed`, or `link` for a link to the gate.

    Slack vouches for who pressed, not Airflow. Where Airflow's auth manager can't be asked about a person
    without their token, `link` insists on a login.
    """

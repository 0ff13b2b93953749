"""A real ledger, a real Slack server, and a release to tell of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from slack_sdk import WebClient  # noqa: TID253 - as a user of the server

from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.domain.identity import Actor
from relman_plugins.ledger.api import Ledger, ReleaseRecord
from relman_plugins.notifications.slack import Slack
from relman_plugins.plan.model import EnvironmentPlan, Options, ReleasePlan, Shape, Step, StepKind
from relman_plugins.testing.slack import TOKEN, SlackServer

CHANNEL = "#rel-checkout"


def step(id: str, kind: StepKind, **args: Any) -> Step:
    stage = id.split(".")[0] if "." in id else None
    return Step(id=id, kind=kind, stage=stage, environment=stage, args=args)


def plan_of(version: str, changes: str = "", channel: str | None = CHANNEL) -> ReleasePlan:
    people = [{"id": "alice", "airflow": "alice", "name": "Alice", "slack": "U01ALICE"}]
    shape = Shape(
        pipeline="checkout",
        owner="team-payments",
        description="",
        service="checkout",
        spec_digest="sha256:" + "5" * 64,
        steps=(
            step("open", StepKind.OPEN),
            step("build", StepKind.BUILD),
            step("qa.deploy", StepKind.DEPLOY, weight=100),
            step("qa.unit", StepKind.SUITE, suite="unit"),
            step("production.approval", StepKind.APPROVAL, people=people, quorum=1),
            step("production.canary_10", StepKind.SHIFT, weight=10, analysis="golden-signals"),
            step("production.canary_100", StepKind.SHIFT, weight=100, analysis=None),
            step("production.rollback", StepKind.ROLLBACK),
            step("close", StepKind.CLOSE),
        ),
        environments=tuple(
            EnvironmentPlan(
                name=n, platform="sandbox", connection="relman_sandbox", replicas=1, ephemeral=False
            )
            for n in ("qa", "production")
        ),
        slack_channel=channel,
    )
    return ReleasePlan(shape=shape, options=Options(version=version, changes=changes))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    ledger.migrate()
    yield ledger
    ledger.close()


@pytest.fixture
def server() -> Iterator[SlackServer]:
    with SlackServer() as server:
        yield server


@pytest.fixture
def slack(server: SlackServer) -> Slack:
    return slack_of(server)


def slack_of(server: SlackServer, token: str = TOKEN, timeout: int = 1) -> Slack:
    client = WebClient(token=token, base_url=server.base_url, timeout=timeout, retry_handlers=[])
    return Slack(client.api_call)


@pytest.fixture
def connected(server: SlackServer) -> Callable[..., Slack]:
    """Another client of the same server: other token, other time-out."""
    return lambda **kwargs: slack_of(server, **kwargs)


@pytest.fixture
def plan() -> Callable[..., ReleasePlan]:
    return plan_of


@pytest.fixture
def opened(ledger: Ledger) -> Callable[..., ReleaseRecord]:
    """Open a release: version, and what changed."""

    def open_release(version: str = "1.1.0", changes: str = "", channel: str = CHANNEL) -> ReleaseRecord:
        return ledger.open_release(
            plan=plan_of(version, changes, channel),
            dag_id="release__checkout",
            run_id=f"run-{version}-{channel}",
            started_by=Actor(kind="person", id="alice", name="Alice", via="airflow"),
            conf={},
        )

    return open_release


@pytest.fixture
def happens(ledger: Ledger) -> Callable[..., None]:
    """Record an event: release id, kind, step, data."""

    def record(release_id: str, kind: Kind, step: str | None = None, key: str = "", **data: Any) -> None:
        environment = step.split(".")[0] if step and "." in step else None
        new = NewEvent(
            kind=kind,
            key=f"{release_id}:{step}:{kind}:{key}",
            step=step,
            environment=environment,
            data=data,
        )
        assert ledger.record(release_id, new) is not None

    return record

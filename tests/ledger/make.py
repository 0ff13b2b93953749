"""What the ledger's tests are made of."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.domain.identity import Person
from relman_plugins.domain.state import Revision
from relman_plugins.ledger.api import GateState, Ledger, ReleaseRecord
from relman_plugins.ledger.guard import check_forward
from relman_plugins.plan.model import EnvironmentPlan, Shape, Step

ALICE = Person(id="alice", airflow="a.alice", name="Alice")
BOB = Person(id="bob", airflow="a.bob", name="Bob")
GATE = "production.approval"
Open = Callable[..., ReleaseRecord]
DIGEST = "sha256:" + "a" * 64


class Clock:
    """The present, moved by hand."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> datetime:
        self.now += timedelta(seconds=seconds)
        return self.now


def make_shape(
    pipeline: str = "checkout", people: tuple[Person, ...] = (ALICE, BOB), quorum: int = 1
) -> Shape:
    approval = {
        "gate": GATE,
        "group": "release-managers",
        "quorum": quorum,
        "people": [p.model_dump() for p in people],
        "timeout_s": 600,
        "on_timeout": "reject",
    }
    return Shape(
        pipeline=pipeline,
        owner="team",
        description="",
        service="checkout",
        spec_digest="sha256:" + "5" * 64,
        steps=(
            Step(id="open", kind="open"),
            Step(id="build", kind="build", needs=("open",)),
            Step(id=GATE, kind="approval", stage="production", environment="production", args=approval),
            Step(id="production.window", kind="window", stage="production", environment="production"),
            Step(
                id="production.canary_10",
                kind="shift",
                stage="production",
                environment="production",
                gates=(GATE, "production.window"),
                changes=True,
                args={"weight": 10, "tiny": 1e-07, "large": 1e16},
            ),
        ),
        environments=(
            EnvironmentPlan(
                name="production", platform="sandbox", connection="c", replicas=2, ephemeral=False
            ),
        ),
        slack_channel="#rel-checkout",
    )


def build(ledger: Ledger, release: ReleaseRecord, digest: str = DIGEST) -> None:
    revision = Revision(version=release.version, digest=digest, uri="file:///a").model_dump()
    ledger.record(
        release.release_id,
        NewEvent(
            kind=Kind.ARTIFACT_BUILT, key=f"built:{release.release_id}:{digest}", data={"revision": revision}
        ),
    )


def subject_of(release: ReleaseRecord, **other: Any) -> dict[str, Any]:
    return {
        "release_id": release.release_id,
        "pipeline": release.pipeline,
        "version": release.version,
        "artifact_digest": DIGEST,
        "plan_hash": release.plan_hash,
        "spec_digest": release.spec_digest,
        "environment": "production",
        "changes": "",
        "tests": [],
    } | other


def open_gate(ledger: Ledger, release: ReleaseRecord, **other: Any) -> GateState:
    arguments: dict[str, Any] = {
        "subject": subject_of(release),
        "people": (ALICE, BOB),
        "quorum": 1,
        "timeout_s": 600,
        "on_timeout": "reject",
    }
    return ledger.votes.open_gate(release.release_id, GATE, **(arguments | other))


def go(
    ledger: Ledger, release: ReleaseRecord, step: str = "production.canary_10", **other: Any
) -> ReleaseRecord:
    """Ask whether a step may act now, as the step does."""
    arguments = {
        "step": release.plan.shape.step(step),
        "frame": release.plan.shape.frame,
        "now": ledger.now(),
    }
    return check_forward(ledger, release.release_id, **arguments | other)

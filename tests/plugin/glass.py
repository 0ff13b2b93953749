"""An emergency at the test server: what it skipped was refused afterwards."""

from __future__ import annotations

from typing import Any

from relman_plugins.domain.identity import Actor, Person
from relman_plugins.domain.status import Decision
from relman_plugins.plan.model import BreakGlassPlan, Options, ReleasePlan
from tests.plugin.airflow_server import GATE, PEOPLE, SHAPE, Server

DEBT = "production.break_glass"
ROOT = Person(id="root", airflow="admin", name="Root")
WAIVABLE = {"id": "managers", "group": "managers", "quorum": 1, "people": ["alice"], "waivable": True}
GLASS = BreakGlassPlan(
    group="incident", people=(ROOT,), reviewing="directors", reviewers=(ROOT, *PEOPLE), within_s=3600
)


def rejected(server: Server, version: str) -> Any:
    """Return a release that admin started as an emergency, and to which bob said no afterwards."""
    steps = (
        s.model_copy(update={"args": s.args | {"rules": [WAIVABLE]}}) if s.id == GATE else s
        for s in SHAPE.steps
    )
    places = (SHAPE.environments[0].model_copy(update={"break_glass": GLASS}),)
    shape = SHAPE.model_copy(update={"steps": tuple(steps), "environments": places})
    options = Options(version=version, emergency=True, emergency_reason="the shop is down")
    record = server.ledger.open_release(
        plan=ReleasePlan(shape=shape, options=options),
        dag_id="release__checkout",
        run_id=server.trigger("release__checkout", version=version),
        started_by=Actor(kind="person", id="admin", name="admin", via="airflow"),
        conf={"version": version},
    )
    assert server.ledger.votes.waive(record.release_id, GATE).skipped
    said = {"decision": Decision.REJECT, "comment": "no need", "via": "api"}
    assert server.ledger.votes.cast(record.release_id, DEBT, airflow_user="bob", **said).accepted
    return record

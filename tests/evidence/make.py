"""Releases with every kind of record that evidence is about, written through the ledger's own calls."""

from __future__ import annotations

from typing import Any

from relman_plugins.domain.base import digest_of
from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.domain.identity import Actor, Person
from relman_plugins.domain.state import DesiredState, Revision
from relman_plugins.domain.status import Decision
from relman_plugins.judge import comparing
from relman_plugins.judge.comparing import Pair
from relman_plugins.judge.threshold import Measurement, State, step
from relman_plugins.ledger.api import SHOWN, Ledger, ReleaseRecord, canonical_subject
from relman_plugins.ledger.rules import rules_of
from relman_plugins.plan.model import (
    AnalysisPlan,
    BreakGlassPlan,
    ComparedPlan,
    ComparisonPlan,
    EnvironmentPlan,
    MetricPlan,
    Options,
    ReleasePlan,
    Shape,
    Step,
)
from tests.ledger.make import Clock

DANA = Person(id="dana", airflow="a.dana", name="Dana")
ERIN = Person(id="erin", airflow="a.erin", name="Erin")
ALICE = Person(id="alice", airflow="a.alice", name="Alice")
BOB = Person(id="bob", airflow="a.bob", name="Bob")
GATE, CANARY, DEBT = "production.approval", "production.canary_100", "production.break_glass"
SPEC: dict[str, Any] = {"pipeline": {"kind": "ReleasePipeline"}, "environments": {}, "people": None}
NEW = Revision(version="1.2.0", digest="sha256:" + "a" * 64, uri="file:///new")
OLD = Revision(version="1.1.0", digest="sha256:" + "b" * 64, uri="file:///old")


def shape() -> Shape:
    approval = {
        "gate": GATE,
        "group": "release-managers",
        "quorum": 2,
        "people": [ALICE.model_dump(), BOB.model_dump()],
        "rules": [
            {
                "id": "release-managers",
                "group": "release-managers",
                "quorum": 2,
                "people": ["alice", "bob"],
                "waivable": True,
            }
        ],
        "timeout_s": 600,
        "on_timeout": "reject",
    }
    live = {"stage": "production", "environment": "production"}
    shift = {"weight": 100, "analysis": "golden", "interval_s": 10, "count": 2, "promotes": True}
    return Shape(
        pipeline="checkout",
        owner="team",
        description="",
        service="checkout",
        spec_digest=digest_of(SPEC),
        steps=(
            Step(id="open", kind="open"),
            Step(id="build", kind="build", needs=("open",)),
            Step(id="qa.unit", kind="suite", stage="qa", needs=("build",)),
            Step(id=GATE, kind="approval", needs=("qa.unit",), args=approval, **live),
            Step(id=CANARY, kind="shift", needs=(GATE,), gates=(GATE,), changes=True, args=shift, **live),
            Step(id="production.rollback", kind="rollback", args={"steps": [CANARY]}, **live),
        ),
        environments=(
            EnvironmentPlan(
                name="production",
                platform="sandbox",
                connection="c",
                replicas=2,
                ephemeral=False,
                break_glass=BreakGlassPlan(
                    group="incident",
                    people=(DANA,),
                    reviewing="directors",
                    reviewers=(DANA, ERIN),
                    within_s=86400,
                ),
            ),
        ),
        analyses=(
            AnalysisPlan(
                name="golden",
                connection="m",
                metrics=(
                    MetricPlan(name="errors", query="e", max=0.05),
                    MetricPlan(name="slow", query="s", max=1.0),
                ),
            ),
        ),
    )


BESIDE = ComparisonPlan(
    metrics=(ComparedPlan(name="errors", bad="b", total="t"),),
    false_alarms=0.02,
    tolerance=0.25,
    undecided="pass",
    early_pass=False,
)


def compared() -> Shape:
    """Plan the same release, compared with the old version."""
    plain = shape()
    args = {"weight": 100, "analysis": "beside"}
    steps = tuple(s.model_copy(update={"args": s.args | args}) if s.id == CANARY else s for s in plain.steps)
    analyses = (AnalysisPlan(name="beside", connection="m", comparison=BESIDE),)
    return plain.model_copy(update={"steps": steps, "analyses": analyses})


class Story:
    """One release, told step by step; a second passes with each."""

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        run_id: str = "run-1",
        who: str = "carol",
        planned: Shape | None = None,
        **options: Any,
    ) -> None:
        self.ledger, self.clock = ledger, clock
        made = Options(version="1.2.0", changes="faster", **options)
        self.release: ReleaseRecord = ledger.open_release(
            plan=ReleasePlan(shape=planned or shape(), options=made),
            dag_id="release__checkout",
            run_id=run_id,
            started_by=Actor(kind="person", id=who, name=who.title(), via="airflow"),
            conf={"version": "1.2.0"},
            made_with={"relman": "0", "airflow": "3.3.2", "bundle": {"name": "dags", "version": "abc"}},
            spec=SPEC,
        )
        self.id = self.release.release_id

    def tell(self, kind: Kind, step_id: str | None = None, key: str = "", **data: Any) -> None:
        at = self.clock.forward(1)
        environment = "production" if step_id and step_id.startswith("production") else None
        self.ledger.record(
            self.id,
            NewEvent(
                kind=kind,
                key=key or f"{self.id}:{step_id}:{kind}:{at.isoformat()}",
                step=step_id,
                environment=environment,
                data=data,
                at=at,
            ),
        )

    def build(self) -> Story:
        self.tell(Kind.ARTIFACT_BUILT, "build", revision=NEW.model_dump(), size=1, files=1)
        totals = {"tests": 12, "failures": 0, "errors": 0, "skipped": 1, "seconds": 2.5, "passed": True}
        self.tell(Kind.SUITE_FINISHED, "qa.unit", suite="unit", failed=[], reason="", **totals)
        return self.end("open", "build", "qa.unit")

    def end(self, *steps: str) -> Story:
        for step_id in steps:
            self.tell(Kind.STEP_FINISHED, step_id, message="done")
        return self

    def ask(self) -> Story:
        events = self.ledger.events(self.id, kinds=SHOWN)
        self.clock.forward(1)
        self.ledger.votes.open_gate(
            self.id,
            GATE,
            subject=canonical_subject(self.release, shape().step(GATE), events),
            people=(ALICE, BOB),
            quorum=2,
            rules=rules_of(shape().step(GATE).args),
            timeout_s=600,
            on_timeout="reject",
        )
        return self

    def vote(self, person: Person, decision: Decision = Decision.APPROVE, comment: str = "fine") -> Story:
        self.clock.forward(1)
        result = self.ledger.votes.cast(
            self.id,
            GATE,
            airflow_user=person.airflow,
            decision=decision,
            comment=comment,
            via="cli",
            digest=self.ledger.votes.gate(self.id, GATE).subject_digest,  # type: ignore[union-attr]
        )
        assert result.accepted, result.reason
        return self

    def approve(self) -> Story:
        return self.ask().vote(ALICE).vote(BOB).end(GATE)

    def withdraw(self, person: Person) -> Story:
        self.clock.forward(1)
        taken = self.ledger.votes.withdraw(self.id, GATE, airflow_user=person.airflow, via="cli")
        assert taken.accepted, taken.reason
        return self

    def skip(self) -> Story:
        self.clock.forward(1)
        assert self.ledger.votes.waive(self.id, GATE).skipped
        return self.end(GATE)

    def review(self, decision: Decision = Decision.APPROVE) -> Story:
        self.clock.forward(1)
        said = {"decision": decision, "via": "cli", "airflow_user": ERIN.airflow}
        debt = self.ledger.votes.gate(self.id, DEBT)
        assert debt is not None
        done = self.ledger.votes.cast(self.id, DEBT, digest=debt.subject_digest, **said)
        assert done.accepted, done.reason
        return self

    def settle(self, reason: str) -> Story:
        self.clock.forward(1)
        done = self.ledger.votes.settle(self.id, DEBT, airflow_user=ERIN.airflow, reason=reason, via="cli")
        assert done.accepted, done.reason
        return self

    def change(self, desired: DesiredState, step_id: str = CANARY, **more: Any) -> Story:
        key = f"{self.id}:{step_id}:{self.clock.now.isoformat()}"
        base = {"desired": desired.model_dump(mode="json"), "token": 1, "previous": OLD.model_dump()}
        self.tell(Kind.CHANGE_STARTED, step_id, key=f"{key}:change.started", **base)
        ended = {"observed": {}, "promoted": False, "stable": None, "seconds": 0.5, **more}
        self.tell(Kind.CHANGE_FINISHED, step_id, key=f"{key}:change.finished", **base, **ended)
        return self

    def shift(self) -> Story:
        return self.change(
            DesiredState(stable=OLD, candidate=NEW, candidate_weight=100, candidate_replicas=2)
        )

    def measure(self, *errors: float, by: AnalysisPlan | None = None) -> Story:
        judging = by or shape().analysis("golden")
        state, rules = State(), judging.metrics
        about = {"analysis": judging.name, "weight": 100}
        for value in errors:
            measured = [Measurement(name=r.name, value=value if r.name == "errors" else 0.2) for r in rules]
            judged = step(state, measured, rules=rules, count=2)
            state = judged.state
            self.tell(
                Kind.ANALYSIS_MEASURED,
                CANARY,
                key=f"{self.id}:{CANARY}:1:look{state.rounds}",
                **about,
                look=state.rounds,
                metrics=[look.data() for look in judged.looks],
                state=state.model_dump(mode="json"),
            )
        verdict = state.verdict.value if state.verdict else None
        ended = {"verdict": verdict, "reason": state.reason, "looks": state.rounds}
        self.tell(Kind.ANALYSIS_FINISHED, CANARY, key=f"{self.id}:{CANARY}:1:finished", **about, **ended)
        return self

    def compare(self, *looks: tuple[Pair, Pair]) -> Story:
        """Look at both versions' counts since the beginning, by the analysis ``beside`` of `compared`."""
        state, terms = comparing.State(), comparing.Terms(BESIDE, 0.02, 2)
        about = {"analysis": "beside", "weight": 50}
        key = f"{self.id}:{CANARY}:try1"
        for n, (control, experiment) in enumerate(looks, start=1):
            came = comparing.Counted("errors", control, experiment)
            judged = comparing.step(state, [came], terms=terms, run=key)
            state = judged.state
            metrics = [look.data() for look in judged.looks]
            self.tell(Kind.ANALYSIS_MEASURED, CANARY, f"{key}:look{n}", **about, look=n, metrics=metrics)
        verdict = state.verdict.value if state.verdict else None
        ended = {"verdict": verdict, "reason": state.reason, "looks": state.rounds}
        self.tell(Kind.ANALYSIS_FINISHED, CANARY, f"{key}:finished", **about, **ended)
        return self

    def promote(self) -> Story:
        return self.change(DesiredState(stable=NEW, stable_replicas=2), promoted=True)

    def back(self) -> Story:
        old = DesiredState(stable=OLD, stable_replicas=2)
        self.change(old)
        self.tell(Kind.TRAFFIC_WITHDRAWN, CANARY, reason="errors", seconds=0.1, version="1.2.0", served={})
        return self.change(old, "production.rollback")

    def close(self, outcome: str) -> Story:
        self.tell(Kind.RELEASE_CLOSED, None, outcome=outcome, reason="as it went")
        return self


def new_key() -> Any:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.generate()


def fixed_key() -> Any:
    """Return the same key each time, for what is compared with a file."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(b"a key of tests, known to anybody")


def pem(key: Any) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return str(public.decode())


def succeeded(ledger: Ledger, clock: Clock) -> Story:
    return Story(ledger, clock).build().approve().shift().measure(0.01, 0.02).promote().close("succeeded")


def changed_minds(ledger: Ledger, clock: Clock) -> Story:
    """Alice takes her vote back and gives it again."""
    story = Story(ledger, clock).build().ask().vote(ALICE).withdraw(ALICE).vote(BOB).vote(ALICE).end(GATE)
    return story.shift().measure(0.01, 0.02).promote().close("succeeded")


def emergency(ledger: Ledger, clock: Clock) -> Story:
    """Dana, who may, skips the rules; Erin approves it afterwards."""
    why = {"emergency": True, "emergency_reason": "the shop is down"}
    story = Story(ledger, clock, who=DANA.airflow, **why).build().skip()
    return story.shift().measure(0.01, 0.02).promote().close("succeeded").review()


def settled_emergency(ledger: Ledger, clock: Clock, run_id: str) -> Story:
    """Dana skips the rules; Erin says no to that afterwards, and then what was done about it."""
    why = {"emergency": True, "emergency_reason": "the shop is down"}
    story = Story(ledger, clock, run_id, DANA.airflow, **why).build().skip().shift()
    return story.review(Decision.REJECT).settle("there is an alert now")


def rolled_back(ledger: Ledger, clock: Clock) -> Story:
    story = Story(ledger, clock).build().approve().shift().measure(0.01, 0.5)
    return story.back().close("rolled_back")


def rejected(ledger: Ledger, clock: Clock) -> Story:
    return (
        Story(ledger, clock).build().ask().vote(ALICE, Decision.REJECT, "not on a Friday").close("rejected")
    )

"""What somebody could write who has the key and the database: the hashes fit, the rest does not."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from relman_plugins.domain.base import digest_of
from relman_plugins.domain.event import Kind
from relman_plugins.domain.state import DesiredState, Revision
from relman_plugins.domain.status import TAKEN_BACK
from relman_plugins.plan.model import AnalysisPlan, MetricPlan, Step
from tests.evidence.forge import rechained
from tests.evidence.make import BOB, CANARY, GATE, OLD, Story, settled_emergency, shape
from tests.evidence.test_verify import Good, failed


def forge(good: Good, change: Any) -> dict[str, str]:
    book, statement = good
    forged = copy.deepcopy(statement)
    change(forged["predicate"], {e["kind"]: e for e in forged["predicate"]["events"]})
    found = book.verify(rechained(forged))
    assert [f.state for f in found.findings if f.check in ("signature", "chain")] == ["ok", "ok"], found
    return failed(found)


def _without(kind: str, n: int = 0) -> Any:
    def change(predicate: dict[str, Any], _: Any) -> None:
        gone = [e for e in predicate["events"] if e["kind"] == kind][n]
        predicate["events"].remove(gone)

    return change


def _set(kind: str, *path: Any) -> Any:
    """Set what the last event of a kind says at a place: the last word of ``path`` is the value."""

    def change(_: Any, events: dict[str, Any]) -> None:
        place = events[kind]
        for key in path[:-2]:
            place = place[key]
        place[path[-2]] = path[-1]

    return change


def _no_vote(predicate: dict[str, Any], events: Any) -> None:
    """Leave out one of two approvals, everywhere."""
    predicate["votes"] = [v for v in predicate["votes"] if v["person"] != BOB.id]
    predicate["events"] = [
        e for e in predicate["events"] if e["kind"] != "gate.voted" or e["data"]["person"] != BOB.id
    ]
    events["gate.decided"]["data"]["by"] = "alice"


def _stranger(predicate: dict[str, Any], events: Any) -> None:
    vote = next(v for v in predicate["votes"] if v["person"] == BOB.id)
    vote["person"] = events["gate.voted"]["data"]["person"] = events["gate.voted"]["actor"]["id"] = "mallory"


def _another_plan(predicate: dict[str, Any], events: Any) -> None:
    """Lower the quorum in the plan, with new hashes wherever they stand."""
    release = predicate["release"]
    step = next(s for s in release["plan"]["shape"]["steps"] if s["id"] == GATE)
    step["args"]["rules"][0]["quorum"] = step["args"]["quorum"] = 1
    release["shape_hash"] = digest_of(release["plan"]["shape"])
    release["plan_hash"] = events["release.opened"]["data"]["plan_hash"] = digest_of(release["plan"])


def _later(predicate: dict[str, Any], events: Any) -> None:
    """Move the decision behind the change."""
    decided, rows = events["gate.decided"], predicate["events"]
    first = next(e for e in rows if e["kind"] == "change.started")
    rows.remove(decided)
    rows.insert(rows.index(first) + 1, decided)
    for n, row in enumerate(rows, 1):
        row["id"] = n


def _skipped(predicate: dict[str, Any], events: Any) -> None:
    """Say that an emergency skipped the rules, of a release that is none."""
    decided = events["gate.decided"]
    decided["kind"] = "gate.waived"
    decided["data"] = {"rules": [{"id": "release-managers"}], "reason": "?"}


def _left_out(predicate: dict[str, Any], events: Any) -> None:
    """Say that the risk did not ask for the rules, where none of them depends on it."""
    decided = events["gate.decided"]
    decided["kind"] = "gate.not_needed"
    decided["data"] = {"rules": [{"id": "release-managers"}], "left": [], "subject": {}}


def _gone(step: str) -> Any:
    def change(predicate: dict[str, Any], _: Any) -> None:
        predicate["events"] = [
            e for e in predicate["events"] if (e["kind"], e["step"]) != ("step.finished", step)
        ]

    return change


CASES: list[tuple[Any, str, str]] = [
    (_without("gate.decided"), "changes", f"gate {GATE} is open, not approved"),
    (_without("gate.opened"), "approvals", "stands before the question"),
    (_no_vote, "changes", "has 1 valid approvals, the plan asks for 2"),
    (_no_vote, "approvals", "decided as approved, and has 1 valid approvals, the plan asks for 2"),
    (_stranger, "approvals", "mallory voted, whom nobody had asked"),
    (_later, "changes", f"gate {GATE} is open, not approved"),
    (_skipped, "approvals", "skips release-managers; by the plan"),
    (_skipped, "changes", f"gate {GATE} is open, not approved"),
    (_left_out, "approvals", "leaves out release-managers; by what was assessed nothing is"),
    (_left_out, "changes", f"gate {GATE} is open, not approved"),
    (_another_plan, "approvals", "plan_hash"),
    (_set("gate.opened", "data", "subject", "version", "9"), "approvals", "has another digest"),
    (_set("gate.opened", "data", "people", 0, "airflow", "evil"), "approvals", "alice could answer"),
    (_set("gate.decided", "data", "digest", "sha256:0"), "approvals", "it was decided on sha256:0"),
    (_set("gate.decided", "at", "2026-03-29T03:00:00.000000Z"), "approvals", "when its time was over"),
    (_set("gate.voted", "at", "2026-03-29T03:00:00.000000Z"), "approvals", "outside the time"),
    (_set("gate.voted", "actor", "id", "mallory"), "approvals", "of bob was cast by mallory"),
    (_set("gate.voted", "data", "decision", "reject"), "approvals", "though somebody had said no"),
    (_set("suite.finished", "data", "tests", 99), "approvals", "other results of tests (qa.unit)"),
    (_set("artifact.built", "data", "revision", "digest", "sha256:9"), "changes", "is neither what the"),
    (_set("change.started", "step", "build"), "changes", "step build changed an environment"),
    (_set("change.started", "step", "nothing"), "changes", "the plan has no step nothing"),
    (_set("change.started", "environment", "qa"), "changes", "changed qa, the plan says production"),
    (_gone(GATE), "changes", ""),
    (_gone("qa.unit"), "", ""),
    (_without("analysis.measured"), "verdicts", "look 1 is not recorded"),
    (_set("analysis.finished", "data", "verdict", "fail"), "verdicts", "the numbers give pass after 2"),
    (_set("analysis.measured", "data", "metrics", 0, "value", 0.5), "verdicts", "errors gives fail"),
    (_set("release.opened", "data", "spec", "people", {}), "spec", "the recorded spec has the digest"),
    (_set("release.opened", "data", "emergency", True), "plan", "emergency: 'False' in the plan"),
    (_set("release.opened", "actor", "id", "erin"), "plan", "who started it"),
]


@pytest.mark.parametrize(("change", "check", "said"), CASES)
def test_what_does_not_fit_together_is_told(good: Good, change: Any, check: str, said: str) -> None:
    problems = forge(good, change)
    if not said:
        # An approved gate needs no recorded end of its task, and a step that no change needs none either.
        assert not problems
        return
    assert said in problems.get(check, ""), problems


def test_a_change_while_the_release_is_held_is_told(good: Good) -> None:
    book, _ = good
    story = Story(book.ledger, book.clock, "held").build().approve()
    story.tell(Kind.RELEASE_HELD, None, reason="odd numbers")
    book.clock.forward(120)
    assert "the release is held" in failed(book.verify(book.statement(story.shift())))["changes"]


def test_another_version_in_an_environment_is_told(good: Good) -> None:
    book, _ = good
    other = OLD.model_copy(update={"version": "6.6.6"})
    story = Story(book.ledger, book.clock, "other").build().approve().change(DesiredState(stable=OLD))
    story.change(DesiredState(stable=other), CANARY)
    said = failed(book.verify(book.statement(story)))["changes"]
    assert "6.6.6 is neither what the release built nor what was there before" in said


def test_an_emergency_of_somebody_who_may_not_is_told(good: Good) -> None:
    """Whoever has the database can write that rules were skipped; the plan says by whom."""
    from relman_plugins.domain.identity import Actor

    book, _ = good
    why = {"emergency": True, "emergency_reason": "the shop is down"}
    story = Story(book.ledger, book.clock, "glass-2", "a.dana", **why).build().skip().shift()
    forged = copy.deepcopy(book.statement(story))
    starter = Actor(kind="person", id="mallory", name="Mallory", via="airflow").model_dump()
    forged["predicate"]["release"]["started_by"] = starter
    for event in forged["predicate"]["events"]:
        if event["kind"] in ("release.opened", "gate.waived"):
            event["actor"] = starter
    problems = failed(book.verify(rechained(forged)))
    assert "Mallory is not in incident, who may skip rules" in problems["approvals"]
    assert "production.approval" in problems["changes"]


def test_an_emergency_that_an_author_approved_afterwards_is_told(good: Good) -> None:
    book, _ = good
    made = shape()
    glass = made.environments[0].break_glass
    assert glass is not None
    glass = glass.model_copy(update={"emails": {"erin": "erin@shop.example"}})
    places = (made.environments[0].model_copy(update={"break_glass": glass}),)
    planned = made.model_copy(update={"environments": places})
    why = {"emergency": True, "emergency_reason": "the shop is down", "planned": planned}
    story = Story(book.ledger, book.clock, "glass-3", "a.dana", **why).build()
    story.tell(Kind.CHANGE_ASSESSED, "assess", **told_by("ann@shop.example"))
    honest = book.statement(story.skip().shift().review())
    assert "approvals" not in failed(book.verify(honest))
    forged = copy.deepcopy(honest)
    for event in forged["predicate"]["events"]:
        if event["kind"] == "change.assessed":
            event["data"] |= told_by("erin@shop.example")
    problems = failed(book.verify(rechained(forged)))
    assert "it was decided as approved, and has no approval of a reviewer" in problems["approvals"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"actor": {"kind": "person", "id": "dana", "name": "", "via": "cli"}}, "who is no reviewer of it"),
        ({"data": {"how": "rolled_back", "reason": "", "round": 1}}, "by a rollback that is not on record"),
    ],
)
def test_a_word_on_a_rejected_emergency_of_somebody_who_may_not_is_told(
    good: Good, change: dict[str, Any], said: str
) -> None:
    book, _ = good
    forged = copy.deepcopy(book.statement(settled_emergency(book.ledger, book.clock, f"no-{len(said)}")))
    (event,) = (e for e in forged["predicate"]["events"] if e["kind"] == "gate.settled")
    event |= change
    assert said in failed(book.verify(rechained(forged)))["approvals"]


def told_by(email: str) -> dict[str, Any]:
    return {
        "authors": [{"name": "Somebody", "email": email}],
        "risk": "low",
        "headline": "low",
        "contributions": [],
        "changes": {"head": "c0ffee", "commits": [], "commit_count": 1, "issues": []},
        "circumstances": {"live": "1.0.0"},
    }


def told_of(good: Good, run_id: str, **options: Any) -> Any:
    """Begin another story, and return it with a way to check it: whoever tells it wrote all hashes anew."""
    book, _ = good
    return Story(book.ledger, book.clock, run_id, **options), lambda s: failed(book.verify(book.statement(s)))


@pytest.mark.parametrize("numbers", [(0.01, 0.5), ()])
def test_a_promotion_without_good_numbers_is_told(good: Good, numbers: tuple[float, ...]) -> None:
    story, check = told_of(good, f"bad-{len(numbers)}")
    story.build().approve().shift()
    if numbers:
        story.measure(*numbers)
    said = check(story.promote().close("succeeded"))["changes"]
    assert "step production.canary_100 was gone on from without a good verdict of 'golden'" in said


def test_another_try_of_the_same_change_needs_no_numbers(good: Good) -> None:
    story, check = told_of(good, "again")
    assert check(story.build().approve().shift().shift().measure(0.01, 0.02).promote()) == {}


def test_the_end_of_another_change_than_was_begun_is_told(good: Good) -> None:
    story, check = told_of(good, "ends")
    story.build()
    start = DesiredState(stable=OLD, stable_replicas=2).model_dump(mode="json")
    strange = Revision(version="9.9.9", digest="sha256:" + "9" * 64, uri="file:///strange")
    end = DesiredState(stable=strange, stable_replicas=2).model_dump(mode="json")
    about = {"token": 1, "previous": OLD.model_dump()}
    story.tell(Kind.CHANGE_STARTED, CANARY, "ends:change.started", desired=start, **about)
    story.tell(Kind.CHANGE_FINISHED, CANARY, "ends:change.finished", desired=end, **about)
    assert "9.9.9 is neither what the release built nor what was there before" in check(story)["changes"]


def test_a_second_artifact_is_told(good: Good) -> None:
    story, check = told_of(good, "two")
    story.build().approve().shift().measure(0.01, 0.02).promote()
    story.tell(Kind.ARTIFACT_BUILT, "build", "two:built", revision=OLD.model_dump(), size=1, files=1)
    assert "more than one artifact is recorded" in check(story)["subject"]


def test_numbers_that_are_judged_by_another_analysis_than_the_plans_are_told(good: Good) -> None:
    plain = shape()
    lax = AnalysisPlan(name="lax", connection="m", metrics=(MetricPlan(name="errors", query="e", max=0.99),))
    planned = plain.model_copy(update={"analyses": (*plain.analyses, lax)})
    story, check = told_of(good, "lax", planned=planned)
    story.build().approve().shift().measure(0.5, 0.6, by=lax)
    said = check(story.promote())
    assert "was judged by 'lax', the plan says production.canary_100 by 'golden'" in said["verdicts"]


def test_a_dry_run_that_changed_something_is_told(good: Good) -> None:
    story, check = told_of(good, "dry", dry_run=True)
    said = check(story.build().shift().measure(0.01, 0.02).promote())["changes"]
    assert "a dry run changes nothing, and changes are recorded" in said


def test_more_traffic_than_the_step_may_give_is_told(good: Good) -> None:
    plain = shape()
    steps = tuple(
        s.model_copy(update={"args": s.args | {"weight": 10}}) if s.id == CANARY else s for s in plain.steps
    )
    story, check = told_of(good, "weight", planned=plain.model_copy(update={"steps": steps}))
    said = check(story.build().approve().shift())["changes"]
    assert "gave 100 % of the traffic, the plan says 10 %" in said


def test_a_time_that_no_clock_shows_is_told_and_raises_nothing(good: Good) -> None:
    book, statement = good
    forged = copy.deepcopy(statement)
    forged["predicate"]["exported"]["at"] = "0001-01-01T00:00:00+14:00"
    found = book.verify(forged)
    assert "is no time that UTC has" in next(f.text for f in found.findings if f.state == "fail")


def test_a_change_outside_the_window_is_told(good: Good) -> None:
    """The plan's window is open on Saturdays; the record is of a Sunday."""
    book, _ = good
    window = Step(
        id="production.window",
        kind="window",
        stage="production",
        environment="production",
        needs=(GATE,),
        args={"windows": [{"days": ["sat"], "from": "08:00", "to": "18:00", "zone": "UTC"}], "timeout_s": 9},
    )
    plain = shape()
    steps = [
        s.model_copy(update={"gates": (GATE, window.id), "needs": (GATE,)}) if s.id == CANARY else s
        for s in plain.steps
    ]
    planned = plain.model_copy(update={"steps": (*steps[:4], window, *steps[4:])})
    story = Story(book.ledger, book.clock, "window", planned=planned).build().approve()
    found = book.verify(book.statement(story.shift()))
    assert "production.window was closed: outside sat 08:00-18:00 UTC" in failed(found)["changes"]


def test_a_verdict_that_rests_on_no_numbers_is_taken_as_recorded(good: Good) -> None:
    """A process that took the traffic back and was lost leaves no look; the next one says what it found."""
    book, _ = good
    story = Story(book.ledger, book.clock, "lost").build().approve().shift()
    ended = {"verdict": "fail", "reason": TAKEN_BACK, "looks": 0}
    story.tell(Kind.ANALYSIS_FINISHED, CANARY, "lost:finished", analysis="golden", weight=100, **ended)
    assert book.verify(book.statement(story.back())).good
    story.tell(
        Kind.ANALYSIS_FINISHED,
        CANARY,
        "lost2:finished",
        analysis="golden",
        weight=100,
        **ended | {"reason": "made up"},
    )
    said = failed(book.verify(book.statement(story)))["verdicts"]
    assert "the numbers give no verdict after 0 looks, recorded is fail after 0 looks (made up)" in said

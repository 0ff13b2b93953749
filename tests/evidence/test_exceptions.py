"""A release that went past a freeze: whoever has only its evidence sees whether people had let it."""

from __future__ import annotations

import pytest

from relman_plugins.domain.event import Kind
from relman_plugins.domain.status import Decision
from relman_plugins.ledger.api import SHOWN, canonical_subject
from relman_plugins.ledger.rules import rules_of
from tests.evidence.make import CANARY, DANA, ERIN, Story, shape
from tests.evidence.test_verify import Good, failed

GATE = "production.freeze_exception"
FREEZE = {"id": 7, "unless": "approved"}


def started(good: Good, run_id: str) -> Story:
    plain = shape()
    asks = {
        "group": "incident",
        "quorum": 2,
        "people": [DANA.model_dump(), ERIN.model_dump()],
        "rules": [{"id": "incident", "group": "incident", "quorum": 2, "people": ["dana", "erin"]}],
    }
    places = tuple(e.model_copy(update={"exceptions": asks}) for e in plain.environments)
    planned = plain.model_copy(update={"environments": places})
    return Story(good[0].ledger, good[0].clock, run_id, planned=planned).build().approve()


def let_past(story: Story, *frozen: int) -> Story:
    """Ask, and let both approve."""
    gate = story.release.plan.shape.step(GATE)
    subject = canonical_subject(story.release, gate, story.ledger.events(story.id, kinds=SHOWN))
    story.clock.forward(1)
    story.ledger.votes.open_gate(
        story.id,
        GATE,
        subject=subject | {"step": GATE, "past": list(frozen)},
        people=story.release.plan.people(GATE),
        quorum=2,
        rules=rules_of(gate.args),
        timeout_s=600,
        on_timeout="expire",
        asker=CANARY,
    )
    for person in (DANA, ERIN):
        story.clock.forward(1)
        said = story.ledger.votes.cast(
            story.id, GATE, airflow_user=person.airflow, decision=Decision.APPROVE, via="cli"
        )
        assert said.accepted, said.reason
    return story


def past(story: Story) -> Story:
    story.tell(Kind.FREEZE_PASSED, CANARY, freezes=[FREEZE], gate=GATE, round=1, approved_by=["dana"])
    return story.shift().measure(0.5)


def test_what_people_let_past_is_good(good: Good) -> None:
    story = past(let_past(started(good, "past"), 7))
    found = good[0].verify(good[0].statement(story.back()))
    assert found.good, failed(found)


@pytest.mark.parametrize("approved", [(), (8,)])
def test_what_nobody_let_past_is_told(good: Good, approved: tuple[int, ...]) -> None:
    story = started(good, f"frozen-{approved}")
    if approved:
        let_past(story, *approved)
    found = good[0].verify(good[0].statement(past(story).back()))
    assert "went past a freeze without an approval that lets it" in failed(found)["changes"]

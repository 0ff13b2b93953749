"""Change tickets in plans: where they are looked at, who must bring one, what a plan and a difference say."""

from __future__ import annotations

from typing import Any

import pytest

from relman_plugins.plan import words
from relman_plugins.plan.compile import compile_shape
from relman_plugins.plan.diff import diff, render_text
from relman_plugins.plan.model import Shape, StepKind
from tests.plan.make import GATE, WINDOW, documents, environment, pipeline

LOOK: dict[str, Any] = {"system": "servicenow"}
CREATE: dict[str, Any] = {"system": "servicenow", "create": {"planned": {"for": "4h"}}, "report": "close"}


def shape(*stages: Any, **owned: Any) -> Shape:
    """Compile stages a, b, … with these tickets; ``owned`` are those of environments."""
    names = "abc"[: len(stages)]
    spec = [
        {"environment": name, "gates": [GATE] + ([{"change_ticket": terms}] if terms else [])}
        for name, terms in zip(names, stages, strict=True)
    ]
    gates = {name: [{"change_ticket": owned[name]}] if name in owned else [] for name in names}
    return compile_shape(
        documents(pipeline(spec), [environment(n, gates=gates[n], windows=[WINDOW]) for n in names])
    )


def test_a_ticket_is_looked_at_before_people_are_asked_and_guards_every_change() -> None:
    found = shape(LOOK, None, a=LOOK)
    ids = [s.id for s in found.steps if s.stage == "a"]
    assert ids[:5] == ["a.ticket", "a.ticket_2", "a.approval", "a.window", "a.deploy"]
    assert found.step("a.approval").needs == ("a.ticket_2",)
    assert found.step("a.deploy").gates == ("a.ticket", "a.ticket_2", "a.approval", "a.window")
    assert all(s.kind is not StepKind.TICKET for s in found.steps if s.stage == "b")


@pytest.mark.parametrize(
    ("stages", "needing"),
    [
        (("required", None), ["a"]),
        ((LOOK, None), ["a"]),
        ((CREATE, None), []),
        ((CREATE, LOOK), []),
        ((LOOK, CREATE), ["a"]),
        ((CREATE, "required"), ["b"]),
    ],
)
def test_a_release_must_bring_a_ticket_unless_one_is_created_in_time(
    stages: tuple[Any, ...], needing: list[str]
) -> None:
    assert [s.stage for s in shape(*stages).steps if s.ticket] == needing


def test_what_creates_a_ticket_comes_before_what_looks_at_it() -> None:
    found = shape(CREATE, a=LOOK)
    assert [s.args["create"] is not None for s in found.steps if s.kind is StepKind.TICKET] == [True, False]
    assert found.step("a.ticket_2").needs == ("a.ticket",)
    assert not any(s.ticket for s in found.steps)


def test_only_tickets_that_are_to_be_told_have_a_route() -> None:
    assert shape(LOOK).routes == ()
    (route,) = shape(CREATE).routes
    assert (route.channel, route.connection) == ("ticket:servicenow", "relman_servicenow")
    assert (route.addresses, route.environment) == (("a.ticket",), "a")


def test_a_plan_says_what_is_asked_of_a_ticket() -> None:
    found = shape({**LOOK, "configuration_item": "Shop"}, {**CREATE, "window": False, "approved": False})
    assert words.describe(found, found.step("a.ticket")) == (
        "asks ServiceNow (connection relman_servicenow) for the release's ticket; waits until it is "
        'approved, in state scheduled or implement, for configuration item "Shop", at most 1d; its planned '
        "time must cover the change"
    )
    assert words.describe(found, found.step("b.ticket")) == (
        "asks ServiceNow (connection relman_servicenow) for the release's ticket, creates it where there is "
        'none; waits until it is in state scheduled or implement, for configuration item "shop", at most 1d'
    )


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        (LOOK, None, "! a.ticket: removed (a gate is removed: nobody looks at the ticket)"),
        (
            LOOK,
            {**LOOK, "approved": False},
            "! a.ticket approved: True -> False (less is asked of the ticket)",
        ),
        (LOOK, {**LOOK, "window": False}, "! a.ticket window: True -> False (less is asked of the ticket)"),
        (
            LOOK,
            {**LOOK, "state": ["scheduled", "new"]},
            "! a.ticket states: scheduled, implement -> scheduled, new (a ticket may be in more states)",
        ),
        (
            LOOK,
            {**LOOK, "configuration_item": "any"},
            "! a.ticket item: shop -> none (another ticket will do)",
        ),
        (LOOK, {**LOOK, "timeout": "2d"}, "~ a.ticket timeout_s: 86400 -> 172800"),
    ],
)
def test_a_difference_says_when_less_is_asked_of_a_ticket(before: Any, after: Any, line: str) -> None:
    assert line in render_text(diff(shape(before), shape(after))).splitlines()

"""What a release is started with: taken, or refused with everything that is wrong."""

from __future__ import annotations

import pytest

from relman_plugins.errors import PlanError
from relman_plugins.plan.compile import compile_shape
from relman_plugins.plan.model import Options, ReleasePlan, Shape
from relman_plugins.plan.options import options_of, plan_release
from tests.plan.make import documents, environment, pipeline

FIELDS = {
    "users": {"description": "Users", "type": "integer", "default": 50, "min": 1},
    "region": {"description": "Region", "enum": ["eu", "us"]},
    "rebuild": {"description": "Rebuild", "type": "boolean"},
    "note": {"description": "Note", "default": ""},
}


@pytest.fixture(scope="module")
def shape() -> Shape:
    return compile_shape(documents(pipeline([{"environment": "a"}], parameters=FIELDS), [environment("a")]))


def test_empty_fields_get_their_defaults(shape: Shape) -> None:
    empty = dict.fromkeys(("changes", "ticket", "emergency_reason", "note"))
    assert options_of(shape, {"version": "1.4.0", "region": "eu", **empty}) == Options(
        version="1.4.0", parameters={"users": 50, "region": "eu", "rebuild": False, "note": ""}
    )


def test_builds_and_suites_get_the_fields_as_variables(shape: Shape) -> None:
    options = options_of(
        shape, {"version": "1", "region": "us", "users": 7.0, "rebuild": True, "note": "a b"}
    )
    plan = ReleasePlan.model_validate_json(plan_release(shape, options).model_dump_json())
    assert plan.hash == plan_release(shape, options).hash
    assert plan.variables == {
        "RELMAN_PARAM_USERS": "7",
        "RELMAN_PARAM_REGION": "us",
        "RELMAN_PARAM_REBUILD": "true",
        "RELMAN_PARAM_NOTE": "a b",
    }


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"version": ""}, "'' is not a version"),
        ({"version": "../x"}, "is not a version"),
        ({"emergency": True}, "an emergency needs a reason"),
        ({"emergency": True, "emergency_reason": "  "}, "an emergency needs a reason"),
        ({"emergency_reason": "payments are down"}, "emergency is off"),
        ({"ticket": "change 42"}, "'change 42' is not a ticket: expected a number as in CHG0030001"),
        ({"ticket": "https://me:secret@tracker.example"}, "is not a ticket"),
        ({"changes": "x" * 4001}, "changes has 4001 characters"),
        ({"region": None}, r"Region \(region\) must be filled in: one of eu, us"),
        ({"region": "mars"}, r"Region \(region\) takes one of eu, us, got 'mars'"),
        ({"users": 0}, r"Users \(users\) takes a whole number from 1, got 0"),
        ({"users": "5"}, "takes a whole number"),
        ({"users": True}, "takes a whole number"),
        ({"rebuild": "yes"}, "takes true or false"),
        ({"note": "two\nlines"}, "takes one line"),
        ({"note": "a\x00b"}, "note has a character that no record"),
        ({"changes": "\ud800"}, "changes has a character that no record"),
        ({"ticket": "https://tracker.example/\x00"}, "ticket has a character that no record"),
        ({"users": -(10**400)}, "takes a whole number"),
    ],
)
def test_what_does_not_fit_is_refused(shape: Shape, given: dict[str, object], said: str) -> None:
    with pytest.raises(PlanError, match=said):
        options_of(shape, {"version": "1.4.0", "region": "eu"} | given)


@pytest.mark.parametrize(
    ("given", "hidden"),
    [
        ({"ticket": "https://me:hunter2secret@tracker.example"}, "hunter2secret"),
        ({"region": "postgres://app:hunter2secret@db.example/shop"}, "hunter2secret"),
        ({"version": "password=hunter2secret"}, "hunter2secret"),
        ({"region": "x" * 5000}, "x" * 120),
        ({"ticket": "x y" * 500}, "x y" * 50),
    ],
)
def test_a_refusal_tells_no_secret_and_no_flood(shape: Shape, given: dict[str, object], hidden: str) -> None:
    with pytest.raises(PlanError) as caught:
        options_of(shape, {"version": "1.4.0", "region": "eu"} | given)
    assert hidden not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_everything_that_is_wrong_is_said_at_once(shape: Shape) -> None:
    with pytest.raises(PlanError) as caught:
        options_of(shape, {"version": " ", "emergency": True, "ticket": "x", "users": -1})
    for said in ("not a version", "needs a reason", "not a ticket", "region", "users"):
        assert said in str(caught.value)


def test_an_approval_is_bound_to_every_option(shape: Shape) -> None:
    full = {"version": "1", "region": "eu", "emergency": True, "emergency_reason": "a"}
    more = ({}, {"ticket": "https://a.example"}, {"emergency_reason": "b"}, {"users": 1}, {"note": "x"})
    hashes = {plan_release(shape, options_of(shape, full | m)).hash for m in more}
    assert len(hashes) == len(more)


def test_a_ticket_that_is_required_is_asked_for_unless_nothing_changes() -> None:
    stages = [{"environment": "a"}, {"environment": "b", "gates": [{"change_ticket": "required"}]}]
    needing = compile_shape(documents(pipeline(stages), [environment("a"), environment("b")]))
    assert [s.id for s in needing.steps if s.ticket] == ["b.deploy"]
    with pytest.raises(PlanError, match="a change ticket is required for b"):
        options_of(needing, {"version": "1"})
    assert options_of(needing, {"version": "1", "dry_run": True}).dry_run
    assert options_of(needing, {"version": "1", "ticket": "https://tracker.example/CHG-42"}).ticket


def test_a_ticket_that_is_looked_at_must_say_its_number() -> None:
    stages = [{"environment": "a", "gates": [{"change_ticket": {"system": "servicenow"}}]}]
    looking = compile_shape(documents(pipeline(stages), [environment("a")]))
    for given in ("OPS-42", "https://tracker.example/42", "https://x.example/CHG0000001/CHG0000002"):
        with pytest.raises(PlanError, match=r"ServiceNow is asked for the ticket, and .* names no single"):
            options_of(looking, {"version": "1", "ticket": given})
    with pytest.raises(PlanError, match="a change ticket is required for a"):
        options_of(looking, {"version": "1"})
    for given in ("CHG0030001", "https://x.example/nav_to.do?number=CHG0030001"):
        assert options_of(looking, {"version": "1", "ticket": given}).ticket == given

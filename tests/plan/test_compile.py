"""What any plan promises, whatever the spec says."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman_plugins.errors import PlanError
from relman_plugins.plan import words
from relman_plugins.plan.compile import compile_shape
from relman_plugins.plan.model import Options, ReleasePlan, Shape, StepKind
from relman_plugins.plan.options import plan_release
from relman_plugins.plan.text import render_mermaid, render_text
from relman_plugins.spec.models import Monitor
from tests.plan.make import GATE, GROUP, PEOPLE, WINDOW, any_documents, documents, environment, pipeline
from tests.plan.rules import settle

CHANGES = {StepKind.DEPLOY, StepKind.ROLL, StepKind.PREVIEW, StepKind.SHIFT}
FORWARD = {StepKind.PROVISION, *CHANGES, StepKind.KEEP}


def compiled(stages, environments, **more) -> Shape:
    return compile_shape(documents(pipeline(stages, **more), environments))


def ids(shape: Shape) -> list[str]:
    return [s.id for s in shape.steps]


def above(shape: Shape, step_id: str) -> set[str]:
    """Every step that must have succeeded before, directly or not."""
    seen: set[str] = set()
    todo = [step_id]
    while todo:
        for need in shape.step(todo.pop()).needs:
            if need not in seen:
                seen.add(need)
                todo.append(need)
    return seen


@given(any_documents())
def test_the_same_documents_give_the_same_plan(docs):
    one, two = compile_shape(docs), compile_shape(docs.model_copy(deep=True))
    assert one == two
    assert one.hash == two.hash
    plan = plan_release(one, Options(version="1.0.0"))
    again = ReleasePlan.model_validate_json(plan.model_dump_json())
    assert (again, again.hash) == (plan, plan.hash)
    assert render_text(again) == render_text(plan)
    assert render_mermaid(again) == render_mermaid(one)


@given(any_documents())
def test_steps_are_listed_after_what_they_need(docs):
    seen: set[str] = set()
    for step in compile_shape(docs).steps:
        assert set(step.needs) <= seen
        seen.add(step.id)


@given(any_documents())
def test_nothing_changes_an_environment_before_all_its_gates(docs):
    shape = compile_shape(docs)
    for step in shape.steps:
        gates = {s.id for s in shape.steps if s.stage == step.stage and s.kind in ("approval", "window")}
        if step.kind in FORWARD or step.args.get("promotes"):
            assert step.changes
            assert set(step.gates) == gates
            assert gates <= above(shape, step.id)


@given(any_documents())
def test_what_goes_back_is_held_up_by_no_gate(docs):
    for step in compile_shape(docs).steps:
        if step.kind in (StepKind.ROLLBACK, StepKind.TEARDOWN, StepKind.CLOSE):
            assert not step.gates


@given(any_documents())
def test_every_environment_is_unlocked_where_its_stage_ends(docs):
    shape = compile_shape(docs)
    for stage in docs.pipeline.stages:
        steps = [s for s in shape.steps if s.stage == stage.id]
        forward = [s for s in steps if s.kind is not StepKind.ROLLBACK]
        assert any(s.unlocks for s in forward)
        for step in (s for s in forward if s.unlocks):
            after = [s.id for s in forward if step.id in above(shape, s.id)]
            assert not after, f"{step.id} unlocks, but {after} still come"


@given(any_documents())
def test_exactly_one_step_of_a_stage_promotes_and_it_is_after_all_traffic_moved(docs):
    shape = compile_shape(docs)
    for stage in docs.pipeline.stages:
        steps = [s for s in shape.steps if s.stage == stage.id]
        promoting = [s for s in steps if s.args.get("promotes")]
        assert len(promoting) == 1
        shifts = {s.id for s in steps if s.kind in CHANGES}
        assert shifts <= above(shape, promoting[0].id) | {promoting[0].id}


@given(any_documents())
def test_the_next_stage_waits_for_success_but_not_for_the_teardown(docs):
    shape = compile_shape(docs)
    names = [s.id for s in docs.pipeline.stages]
    for before, after in pairwise(names):
        first = next(s for s in shape.steps if s.stage == after)
        must = {
            s.id
            for s in shape.steps
            if s.stage == before and s.kind not in (StepKind.TEARDOWN, StepKind.ROLLBACK)
        }
        assert must <= above(shape, first.id)
        assert f"{before}.teardown" not in above(shape, first.id)


@given(any_documents(), st.data())
def test_close_never_starts_while_another_step_can_still_run(docs, data):
    shape = compile_shape(docs)
    others = st.sampled_from([s.id for s in shape.steps if s.id not in ("open", "close")])
    failed, running = data.draw(others), data.draw(others)
    state = settle(shape, failed, running)
    if "running" in state.values():
        assert "close" not in state
    else:
        assert set(state) == set(ids(shape))


@given(any_documents())
def test_a_stage_that_is_watched_and_the_last_one_can_roll_back(docs):
    shape = compile_shape(docs)
    for stage in docs.pipeline.stages:
        stepwise = stage.strategy.kind != "recreate"
        last = stage is docs.pipeline.stages[-1]
        watched = stage.monitor is not None or isinstance(stage.soak, Monitor)
        stays = not docs.environments[stage.environment].ephemeral
        wanted = (stepwise or watched or last) and stays
        assert (f"{stage.id}.rollback" in ids(shape)) == wanted
        if wanted:
            changes = [s.id for s in shape.steps if s.stage == stage.id and s.kind in CHANGES]
            assert shape.step(f"{stage.id}.rollback").args == {"steps": changes}
            assert f"{stage.id}.rollback" in above(shape, "close")


def test_a_stage_reads_gates_changes_suites_monitor():
    stage = {
        "environment": "prod",
        "suites": ["smoke", "load"],
        "gates": [GATE],
        "strategy": {"canary": {"steps": [5, 100], "analysis": "signals"}},
        "monitor": {"for": "1h", "analysis": "signals"},
    }
    shape = compiled([stage], [environment("prod", gates=[GATE], windows=[WINDOW])])
    assert ids(shape) == [
        "open",
        "build",
        *(
            f"prod.{n}"
            for n in (
                *("approval", "approval_2", "window", "canary_5", "canary_100"),
                *("smoke", "load", "monitor", "rollback"),
            )
        ),
        "close",
    ]
    assert shape.step("prod.monitor").needs == ("prod.smoke", "prod.load")
    assert shape.step("prod.approval").args["people"][1] == {
        "id": "bob",
        "airflow": "bob",
        "name": "",
        "slack": "U01BOB",
    }
    assert shape.step("prod.window").args["windows"] == [WINDOW]


def test_a_first_environment_without_gates_is_made_while_the_artifact_is_built():
    shape = compiled([{"environment": "qa"}], [environment("qa", ephemeral=True)])
    assert shape.step("qa.provision").needs == ("open",)
    assert shape.step("qa.deploy").needs == ("build", "qa.provision")
    gated = compiled([{"environment": "qa", "gates": [GATE]}], [environment("qa", ephemeral=True)])
    assert gated.step("qa.provision").needs == ("qa.approval",)


def test_a_later_ephemeral_stage_waits_for_the_one_before():
    shape = compiled(
        [{"environment": "a", "suites": ["unit"]}, {"environment": "b"}],
        [environment("a"), environment("b", ephemeral=True)],
    )
    assert shape.step("b.provision").needs == ("a.unit",)
    assert shape.step("b.deploy").needs == ("b.provision",)


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ([{"environment": "open"}], "every release has"),
        ([{"environment": "a"}, {"environment": "a"}], '"a.deploy"'),
        ([{"environment": "a", "gates": [{**GATE, "quorum": 3}]}], "there are 2 people"),
    ],
)
def test_what_cannot_be_one_plan_says_why(stages, words):
    with pytest.raises(PlanError, match=words):
        compiled(stages, [environment("a"), environment("open")])


def test_a_suite_may_not_take_the_name_of_a_step():
    spec = pipeline([{"environment": "a", "suites": ["deploy"]}])
    spec["suites"]["deploy"] = spec["suites"]["unit"]
    with pytest.raises(PlanError, match=r'"a\.deploy".*rename the suite'):
        compile_shape(documents(spec, [environment("a")]))


@pytest.mark.parametrize("version", ["", "1.0 ", "../1", "1..0", "a" * 65, "1/2", "-1"])
def test_a_version_that_nothing_could_carry_is_refused(version):
    shape = compiled([{"environment": "a"}], [environment("a")])
    with pytest.raises(PlanError, match="is not usable"):
        plan_release(shape, Options(version=version))


def test_the_hash_sees_the_options():
    shape = compiled([{"environment": "a"}], [environment("a")])
    plans = [
        plan_release(shape, o)
        for o in (
            Options(version="1"),
            Options(version="2"),
            Options(version="1", changes="x"),
            Options(version="1", emergency=True),
            Options(version="1", dry_run=True),
        )
    ]
    assert len({p.hash for p in plans}) == 5
    assert len({p.shape.hash for p in plans}) == 1


def test_a_rolling_stage_is_one_step_with_its_bounds_as_counts():
    rolling = {"rolling": {"max_surge": "30%", "max_unavailable": "50%"}}
    shape = compiled([{"environment": "a", "strategy": rolling}], [environment("a", replicas=5)])
    assert ids(shape) == ["open", "build", "a.roll", "a.rollback", "close"]
    assert shape.step("a.roll").args == {"max_surge": 2, "max_unavailable": 2, "promotes": True}
    assert shape.step("a.rollback").args == {"steps": ["a.roll"]}


def test_a_rolling_stage_that_cannot_move_is_no_plan():
    rolling = {"rolling": {"max_surge": 0, "max_unavailable": 1}}
    with pytest.raises(PlanError, match=r"stage a cannot be rolled: .*leaves nobody to serve.*use recreate"):
        compiled([{"environment": "a", "strategy": rolling}], [environment("a", replicas=1)])


def test_a_blue_green_stage_reads_preview_switch_suites_monitor_keep():
    stage = {
        "environment": "prod",
        "suites": ["smoke"],
        "gates": [GATE],
        "strategy": {"blue_green": {"analysis": "signals", "interval": "2s", "count": 3, "keep": "1h"}},
        "monitor": {"for": "1m", "analysis": "signals"},
    }
    shape = compiled([stage], [environment("prod")])
    names = ("approval", "preview", "switch", "smoke", "monitor", "keep", "rollback")
    assert ids(shape) == ["open", "build", *(f"prod.{n}" for n in names), "close"]
    switch = {"weight": 100, "analysis": "signals", "interval_s": 2, "count": 3, "promotes": False}
    assert shape.step("prod.switch").args == switch
    assert shape.step("prod.keep").args == {"keep_s": 3600, "promotes": True}
    assert [s.id for s in shape.steps if s.unlocks] == ["prod.keep", "prod.rollback", "close"]
    assert shape.step("prod.rollback").args == {"steps": ["prod.preview", "prod.switch"]}


def test_a_preview_can_be_left_out():
    stage = {"environment": "a", "strategy": {"blue_green": {"preview": False}}}
    shape = compiled([stage], [environment("a")])
    assert ids(shape) == ["open", "build", "a.switch", "a.keep", "a.rollback", "close"]


def test_a_checklist_asks_one_of_its_group_after_the_deployment():
    monitor = {"for": "10s", "analysis": "signals"}
    spec = pipeline([{"environment": "a", "suites": ["unit", "hands"], "monitor": monitor}])
    shape = compile_shape(documents(spec, [environment("a")]))
    step = shape.step("a.hands")
    assert (step.kind, step.needs, step.changes) == (StepKind.CHECKLIST, ("a.deploy",), False)
    assert step.args["items"] == [
        {"id": "item-1", "item": "It looks right"},
        {"id": "feel", "item": "It feels right"},
    ]
    assert [p["airflow"] for p in step.args["people"]] == ["alice", "bob"]
    assert set(shape.step("a.monitor").needs) == {"a.unit", "a.hands"}
    assert "a.hands" in shape.step("a.rollback").needs
    assert words.describe(shape, step) == (
        "asks 1 of release-managers (alice, bob) to go through 2 items of hands; after 1d: reject"
    )


def test_environments_are_compared_before_people_are_asked():
    parity = {
        "with": "a",
        "on_difference": "gate",
        "group": "release-managers",
        "schema": {"path": "/schema"},
    }
    stages = [{"environment": "a"}, {"environment": "b", "parity": parity, "gates": [GATE]}]
    shape = compile_shape(documents(pipeline(stages), [environment("a"), environment("b")]))
    step = shape.step("b.parity")
    assert (step.needs, step.changes, step.args["of"]) == (
        ("a.deploy",),
        False,
        ["config", "versions", "drift", "schema"],
    )
    assert shape.step("b.approval").needs == ("b.parity",)
    assert "b.parity" not in shape.step("b.rollback").needs
    assert words.describe(shape, step) == (
        "compares config, versions, drift, schema of a and b; 1 of release-managers (alice, bob) must accept "
        "differences; after 1d: reject"
    )


def test_the_owners_gates_come_first_and_no_pipeline_weakens_them():
    strict = {"approval": GROUP, "quorum": 1, "comment": "required", "timeout": "1h", "valid_for": "2h"}
    own = {"approval": GROUP, "self_approval": "allowed", "timeout": "9d"}
    alone, beside = (
        compile_shape(
            documents(
                pipeline([{"environment": "prod", "gates": gates}]), [environment("prod", gates=[strict])]
            )
        )
        for gates in ([], [own, own])
    )
    assert beside.step("prod.approval") == alone.step("prod.approval").model_copy(
        update={"needs": beside.step("prod.approval").needs}
    )
    args = beside.step("prod.approval").args
    (rule,) = args["rules"]
    assert (rule["comment"], rule["self_approval"], args["timeout_s"], args["valid_for_s"]) == (
        "required",
        "refused",
        3600,
        7200,
    )
    asked = ("prod.approval", "prod.approval_2", "prod.approval_3")
    assert beside.step("prod.deploy").gates == asked
    assert beside.step("prod.approval_2").args["rules"][0]["self_approval"] == "allowed"


def test_rules_know_groups_and_named_people_and_what_is_to_be_said():
    rules = [
        {"approval": GROUP},
        {
            "approval": ["bob"],
            "comment": "required",
            "fields": {"change": {"description": "Its number", "pattern": "CHG[0-9]+"}},
        },
    ]
    shape = compile_shape(
        documents(
            pipeline([{"environment": "prod", "gates": [{"rules": rules, "timeout": "2h"}]}]),
            [environment("prod")],
        )
    )
    args = shape.step("prod.approval").args
    assert (args["quorum"], [p["id"] for p in args["people"]]) == (2, ["alice", "bob"])
    assert [(r["id"], r["group"], r["people"]) for r in args["rules"]] == [
        (GROUP, GROUP, ["alice", "bob"]),
        ("people", "", ["bob"]),
    ]
    assert words.answerers(shape.step("prod.approval")) == (
        "1 of release-managers (alice, bob) and 1 of bob; with a comment, change"
    )
    with pytest.raises(PlanError, match="each counts once"):
        compile_shape(
            documents(
                pipeline(
                    [
                        {
                            "environment": "prod",
                            "gates": [{"rules": [{"approval": ["bob"]}, {"approval": ["bob"]}]}],
                        }
                    ]
                ),
                [environment("prod")],
            )
        )


@pytest.mark.parametrize("assessed", [True, False])
def test_reviewers_of_an_emergency_are_known_as_authors_where_these_are_looked_at(monkeypatch, assessed):
    people = {"alice": {"airflow": "alice", "email": "a@shop.example"}}
    people |= {"bob": {"airflow": "17", "username": "bob"}}
    monkeypatch.setitem(PEOPLE, "people", people)
    glass = {"group": GROUP, "follow_up": {"approval": GROUP}}
    place = environment("prod", gates=[{**GATE, "waivable": True}], break_glass=glass)
    spec = pipeline([{"environment": "prod"}], **({"assess": {}} if assessed else {}))
    found = compile_shape(documents(spec, [place])).environment("prod").break_glass
    assert found is not None
    assert found.usernames == {"bob": "bob"}
    assert found.emails == ({"alice": "a@shop.example"} if assessed else {})

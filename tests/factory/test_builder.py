"""The DAG of a pipeline: edges, rules, form, docs."""

from __future__ import annotations

import hypothesis
import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import ParamValidationError
from airflow.serialization.serialized_objects import DagSerialization
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relman_plugins.factory.builder import build_dag
from relman_plugins.factory.params import release_params
from relman_plugins.plan.compile import compile_shape
from relman_plugins.plan.model import StepKind
from relman_plugins.spec.api import load_pipeline
from tests.factory.fakes import CATALOG, FakeStep
from tests.plan.make import any_documents, documents, environment, pipeline

SCHEDULE = {"days": ["tue"], "at": "10:00", "zone": "Europe/Berlin", "version": {"file": "../shop/VERSION"}}


PARAMETERS = {
    "users": {"description": "Users", "type": "integer", "default": 50, "min": 1, "max": 500},
    "share": {"description": "Share", "type": "number", "default": 0.5, "min": 0.0, "max": 1.0},
    "region": {"description": "Region", "enum": ["eu", "us"]},
    "team": {"description": "Team", "default": "a"},
    "loud": {"description": "Loud", "type": "boolean"},
    "note": {"description": "Note", "type": "text", "default": ""},
}
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-1, 502),
    st.floats(-1, 502),
    st.sampled_from(
        ["", "eu", "us", "1", "a\nb", "a\rb", "a\n", "x" * 200, "x" * 201, "x" * 4000, "x" * 4001]
    ),
    st.text(max_size=5),
)


@pytest.fixture
def example(specs) -> DAG:
    loaded = load_pipeline(specs / "checkout.yaml")
    assert loaded.documents
    return build_dag(compile_shape(loaded.documents), loaded.documents.texts, catalog=CATALOG)


def simple(**more) -> DAG:
    spec = pipeline([{"environment": "a"}], **more)
    return build_dag(compile_shape(documents(spec, [environment("a")])), {}, catalog=CATALOG)


PIPELINE = simple(parameters=PARAMETERS)
SHAPE = PIPELINE.task_dict["open"].shape


def upstream(dag: DAG, task_id: str) -> set[str]:
    return {t.task_id for t in dag.task_dict[task_id].get_flat_relatives(upstream=True)}


def test_the_example_has_the_plans_tasks_in_groups_by_stage(example):
    assert list(example.task_dict) == [
        *("open", "build"),
        *("qa.provision", "qa.deploy", "qa.unit", "qa.api", "qa.teardown"),
        *("staging.deploy", "staging.smoke", "production.approval", "production.window"),
        *("production.canary_10", "production.canary_50", "production.canary_100"),
        *("production.monitor", "production.rollback", "close"),
    ]
    groups = example.task_group.get_task_group_dict()
    assert set(groups) == {None, "qa", "staging", "production"}
    assert groups["production"].tooltip.startswith("Environment production on sandbox")
    assert example.task_dict["qa.unit"].label == "unit"


def test_the_run_goes_on_without_waiting_for_the_teardown(example):
    assert example.task_dict["staging.deploy"].upstream_task_ids == {"qa.unit", "qa.api"}
    assert "qa.teardown" not in upstream(example, "production.monitor")


def test_environments_are_set_up_and_torn_down(example):
    provision, teardown = example.task_dict["qa.provision"], example.task_dict["qa.teardown"]
    assert provision.is_setup
    assert teardown.is_teardown
    assert not teardown.on_failure_fail_dagrun
    assert teardown.upstream_task_ids == {"qa.provision", "qa.deploy", "qa.unit", "qa.api"}


def test_close_is_the_teardown_of_open_and_comes_after_everything(example):
    close = example.task_dict["close"]
    assert example.task_dict["open"].is_setup
    assert close.is_teardown
    assert close.on_failure_fail_dagrun
    assert upstream(example, "close") == set(example.task_dict) - {"close"}
    assert {"production.rollback", "qa.teardown", "production.monitor"} <= close.upstream_task_ids
    assert not close.downstream_task_ids


def test_rollback_follows_any_failure_of_its_stage_and_only_that(example):
    rollback = example.task_dict["production.rollback"]
    assert rollback.trigger_rule == "one_failed"
    assert rollback.upstream_task_ids == {
        f"production.{n}" for n in ("canary_10", "canary_50", "canary_100", "monitor")
    }
    assert rollback.downstream_task_ids == {"close"}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(any_documents())
def test_any_plan_is_a_valid_dag_with_the_plans_edges(docs):
    shape = compile_shape(docs)
    dag = build_dag(shape, {}, catalog=CATALOG)
    assert set(dag.task_dict) == {s.id for s in shape.steps}
    for step in shape.steps:
        task = dag.task_dict[step.id]
        extra = {"open"} if step.kind is StepKind.CLOSE else set()
        assert task.upstream_task_ids == set(step.needs) | extra
        assert task.step_id == step.id
        assert task.shape is shape
        assert task.retries == (0 if step.kind is StepKind.SUITE else 3)
        assert task.doc_md
    restored = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    assert set(restored.task_dict) == set(dag.task_dict)


def test_the_plan_is_not_written_into_every_task(example):
    stored = DagSerialization.to_json(example)
    assert stored.count("golden-signals") < 20
    for task in DagSerialization.to_dict(example)["dag"]["tasks"]:
        assert "shape" not in task["__var"]
        assert "params" not in task["__var"]


def test_runs_are_neither_caught_up_nor_cut_off(example):
    assert (example.catchup, example.dagrun_timeout, example.max_active_runs) == (False, None, 16)
    assert example.is_paused_upon_creation is False
    assert example.tags == {"relman", "team-payments"}
    assert example.task_dict["open"].owner == "team-payments"
    assert example.timetable.can_be_scheduled is False


class TestForm:
    def form(self, dag: DAG):
        """The form as the server reads it from the serialised DAG."""
        return DagSerialization.from_dict(DagSerialization.to_dict(dag)).params

    def test_is_the_same_as_if_it_had_been_there_from_the_start(self):
        late = simple()
        shape = late.task_dict["open"].shape
        early = DAG("early", schedule=None, params=release_params(shape))
        FakeStep(task_id="t", step_id="t", shape=shape, dag=early)

        def written(dag: DAG) -> list:
            return DagSerialization.to_dict(dag)["dag"]["params"]

        assert written(late) == written(early)

    def test_asks_for_a_version(self):
        form = self.form(simple())
        with pytest.raises(ParamValidationError):
            form.deep_merge({"changes": "x"}).validate()

    @pytest.mark.parametrize("version", ["1.4.0", "2026-01-02", "v1+build.7"])
    def test_takes_versions(self, version):
        values = self.form(simple()).deep_merge({"version": version}).validate()
        assert values == {
            "version": version,
            "changes": "",
            "ticket": "",
            "emergency": False,
            "emergency_reason": "",
            "dry_run": False,
        }

    @pytest.mark.parametrize("version", ["", "1 0", "../x", None, 1.1])
    def test_refuses_what_is_no_version(self, version):
        with pytest.raises(ParamValidationError):
            self.form(simple()).deep_merge({"version": version}).validate()

    def test_every_field_says_what_it_is_for(self):
        form = self.form(simple(parameters=PARAMETERS))
        for name in form:
            param = form.get_param(name)
            assert param.description, name
            assert param.schema["title"], name

    def test_what_must_be_filled_in_is_in_view_and_the_rest_is_folded_up(self):
        form = self.form(simple(parameters=PARAMETERS))
        sections: dict[str, list[str]] = {}
        for name in form:
            sections.setdefault(form.get_param(name).schema.get("section", ""), []).append(name)
        assert sections == {
            "": ["version", "changes", "ticket", "region"],
            "More about shop": ["users", "share", "team", "loud", "note"],
            "Emergency, dry run": ["emergency", "emergency_reason", "dry_run"],
        }

    def test_a_ticket_that_is_required_is_said_to_be(self):
        spec = pipeline([{"environment": "a", "gates": [{"change_ticket": "required"}]}])
        dag = build_dag(compile_shape(documents(spec, [environment("a")])), {}, catalog=CATALOG)
        text = self.form(dag).get_param("ticket").description
        assert text.endswith("Required for a: without it only a dry run starts.")
        assert "Required" not in self.form(simple()).get_param("ticket").description

    @pytest.mark.parametrize(
        "ticket", ["change 42", "ftp://x", "https://me:secret@x.example/1", "https:// x"]
    )
    def test_a_ticket_is_a_number_or_a_link(self, ticket):
        form = self.form(simple())
        with pytest.raises(ParamValidationError):
            form.deep_merge({"version": "1", "ticket": ticket}).validate()
        for number in ("CHG0030001", "OPS-42"):
            assert form.deep_merge({"version": "1", "ticket": number}).validate()["ticket"] == number
        given = form.deep_merge({"version": "1", "ticket": "https://tracker.example/a?b=1#c"}).validate()
        assert given["ticket"] == "https://tracker.example/a?b=1#c"

    @given(st.sampled_from([*PARAMETERS]), VALUES)
    @hypothesis.example("share", 1)
    @hypothesis.example("users", 5.0)
    def test_takes_for_a_field_what_the_plan_takes(self, name, value):
        dag = self.form(PIPELINE)
        field = next(p for p in SHAPE.parameters if p.name == name)
        try:
            field.taken(value)
        except ValueError:
            with pytest.raises(ParamValidationError):
                dag.deep_merge({"version": "1", "region": "eu", name: value}).validate()
        else:
            dag.deep_merge({"version": "1", "region": "eu", name: value}).validate()

    def test_empty_text_is_no_error(self):
        assert self.form(simple()).deep_merge({"version": "1", "changes": None}).validate()["changes"] is None


def test_a_schedule_leaves_the_pipelines_own_dag_to_whoever_starts_it():
    dag = simple(schedule=SCHEDULE)
    assert not dag.timetable.can_be_scheduled
    assert (
        "Starts by itself: departs Tue at 10:00 (Europe/Berlin) with what ../shop/VERSION says" in dag.doc_md
    )


class TestDocs:
    def test_show_the_plan_by_stage_and_the_spec(self, example):
        docs = example.doc_md
        for step in example.task_dict["open"].shape.steps:
            assert f"`{step.id.rpartition('.')[2]}`" in docs
        stage = docs.index("| **production** | **Environment production on sandbox")
        assert docs.index("| `approval` | waits for 2 of release-managers (alice, bob, carol)", stage) > stage
        assert "```yaml\n" in docs
        assert "strategy:\n" in docs
        assert "`environments/production.yaml`" in docs
        assert "people.yaml" not in docs

    def test_of_tasks_say_what_they_do(self, example):
        canary = example.task_dict["production.canary_10"].doc_md
        assert canary.startswith("Gives the new version 10 % of the traffic and compares it with")
        assert "`production.approval`, `production.window`" in canary
        assert "Never held up" in example.task_dict["production.rollback"].doc_md

    def test_survive_markdown_in_specs(self):
        suite = {"command": ["sh", "-c", "a | b"], "junit": "r.xml"}
        spec = pipeline([{"environment": "a", "suites": ["unit"]}], suites={"unit": suite})
        shape = compile_shape(documents(spec, [environment("a")]))
        docs = build_dag(shape, {"shop.yaml": "x: |\n  ```\n  ````\n"}, catalog=CATALOG).doc_md
        assert r"a \| b" in docs
        assert "\n`````yaml\nx: |\n  ```\n  ````\n`````\n" in docs


class TestPools:
    def dag(self, **more) -> DAG:
        stage = {
            "environment": "lab",
            "suites": ["unit"],
            "gates": [{"approval": "release-managers"}],
            "strategy": {"canary": {"steps": [50, 100], "analysis": "signals"}},
        }
        return build_dag(
            compile_shape(documents(pipeline([stage]), [environment("lab", **more)])), {}, catalog=CATALOG
        )

    def test_work_takes_slots_and_neither_waiting_for_people_nor_going_back_does(self):
        tasks = self.dag(pool="scarce", slots=2).task_dict
        pools = {name: (t.pool, t.pool_slots) for name, t in tasks.items() if t.pool != "default_pool"}
        assert pools == dict.fromkeys(["lab.canary_50", "lab.canary_100", "lab.unit"], ("scarce", 2))

    def test_without_a_pool_all_share_the_default_one(self):
        assert {t.pool for t in self.dag().tasks} == {"default_pool"}

    def test_no_release_goes_first_because_much_comes_after_it(self):
        tasks = self.dag(pool="scarce").task_dict
        assert {t.weight_rule for t in tasks.values()} == {"absolute"}
        assert {n for n, t in tasks.items() if t.priority_weight != 1} == {"lab.rollback"}
        assert tasks["lab.rollback"].priority_weight > 1

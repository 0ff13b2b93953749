"""The loader: one broken spec hurts nobody else, and only the wanted DAG is built."""

from __future__ import annotations

import gc
import logging
import os
from pathlib import Path

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException
from airflow.serialization.serialized_objects import DagSerialization

from relman_plugins.factory.loader import LoadResult, load_dags, specs_folder
from tests.factory.fakes import CATALOG, FakeMaintenance

RELEASES = ("release__checkout", "release__hello")


def load(folder: Path, **more) -> tuple[dict[str, DAG], LoadResult]:
    dags: dict[str, DAG] = {}
    return dags, load_dags(
        dags, folder, **{"catalog": CATALOG, "maintenance_operator": FakeMaintenance, **more}
    )


@pytest.fixture
def wanted(monkeypatch):
    """Say which DAG Airflow wants, the way it says so to a task's process."""

    def want(dag_id: str) -> None:
        monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", dag_id)

    return want


@pytest.fixture
def opened(monkeypatch) -> list[str]:
    """Names of the YAML files that are opened from here on."""
    names: list[str] = []
    original = os.open

    def spy(path, *args, **kwargs):
        names.append(os.path.basename(os.fspath(path)))
        return original(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", spy)
    for name in ("read_bytes", "read_text"):
        real = getattr(Path, name)
        monkeypatch.setattr(
            Path, name, lambda self, *a, real=real, **k: names.append(self.name) or real(self, *a, **k)
        )
    return names


def test_every_spec_becomes_a_dag(specs):
    dags, result = load(specs)
    assert result == LoadResult(RELEASES, ())
    assert set(dags) == {*RELEASES, "train__checkout", "relman_maintenance", "relman_rollback"}


def test_a_broken_spec_is_shown_and_its_siblings_are_well(specs, caplog):
    (specs / "checkout.yaml").write_text((specs / "checkout.yaml").read_text().replace("stages:", "stagges:"))
    with caplog.at_level(logging.INFO):
        dags, result = load(specs)
    assert result == LoadResult(("release__hello",), ("relman_invalid__checkout",))
    sentinel = dags["relman_invalid__checkout"]
    assert sentinel.is_paused_upon_creation is True
    assert sentinel.tags == {"relman", "relman-invalid"}
    assert 'unknown key "stagges"' in sentinel.doc_md
    assert "release_specs/checkout.yaml:" in sentinel.doc_md
    assert str(specs.parent) not in sentinel.doc_md
    (task,) = sentinel.tasks
    with pytest.raises(AirflowFailException, match='unknown key "stagges"'):
        task.execute({})
    assert DagSerialization.to_dict(sentinel)
    assert "2 specs, 1 valid, 1 invalid" in caplog.text


BROKEN = {
    "empty": b"",
    "not-utf8": b"\xff\xfe\x00",
    "nul": b"a: \x00",
    "syntax": b"a: [1, 2\nb: }",
    "list": b"- 1\n- 2\n",
    "bomb": b"a: &a [1]\n" + b"".join(b"b%d: [*a, *a]\n" % n for n in range(5000)),
    "deep": b"[" * 100_000,
    "missing-environment": b"apiVersion: relman/v1\nkind: ReleasePipeline\nstages: [{environment: no}]\n",
    "plan": b"apiVersion: relman/v1\nkind: ReleasePipeline\nmetadata: {name: plan, owner: o}\n"
    b"artifact: {source: .}\nstages: [{environment: staging, name: open}]\n",
}


@pytest.mark.parametrize("stem", BROKEN)
def test_nothing_in_a_spec_makes_the_loader_raise(specs, stem):
    (specs / f"{stem}.yaml").write_bytes(BROKEN[stem])
    dags, result = load(specs)
    assert result.valid == ("release__checkout", "release__hello")
    assert result.invalid == (f"relman_invalid__{stem}",)
    assert DagSerialization.to_dict(dags[f"relman_invalid__{stem}"])


def test_odd_file_names_are_no_trouble(specs):
    for name in ("a b", "ü", "x" * 240, os.fsdecode(b"\xff")):
        (specs / f"{name}.yaml").write_text("x: 1")
    (specs / "folder.yaml").mkdir()
    (specs / "gone.yaml").symlink_to(specs / "nowhere")
    dags, result = load(specs)
    assert result.valid == ("release__checkout", "release__hello")
    assert "relman_invalid__a_b" in result.invalid
    for dag_id in result.invalid:
        assert DagSerialization.to_json(dags[dag_id]).encode()


def test_an_incomplete_installation_is_said_and_not_raised(specs):
    dags, result = load(specs, catalog=dict.fromkeys(CATALOG, "relman_plugins.nowhere.Nothing"))
    assert result.valid == ()
    assert "relman_plugins.nowhere" in dags["relman_invalid__hello"].doc_md
    dags, _ = load(specs, maintenance_operator="relman_plugins.errors.Nothing")
    assert "has no Nothing" in dags["relman_invalid__relman_maintenance"].doc_md


def test_only_the_wanted_dag_is_built_and_only_its_file_is_read(specs, wanted, opened):
    wanted("release__hello")
    dags, result = load(specs)
    assert set(dags) == {"release__hello"} == set(result.valid)
    assert "hello.yaml" in opened
    assert not {"checkout.yaml", "production.yaml"} & set(opened)


def test_a_task_of_a_healthy_pipeline_does_not_notice_a_broken_one(specs, wanted):
    (specs / "checkout.yaml").write_text("]")
    wanted("release__hello")
    assert set(load(specs)[0]) == {"release__hello"}


def test_a_broken_spec_that_is_wanted_says_why_in_the_tasks_log(specs, wanted, caplog):
    (specs / "checkout.yaml").write_text("stagges: 1")
    wanted("release__checkout")
    dags, _ = load(specs)
    assert set(dags) == {"relman_invalid__checkout"}
    assert 'release_specs/checkout.yaml:1:1: missing key "apiVersion"' in caplog.text


@pytest.mark.parametrize(
    ("dag_id", "built"),
    [
        ("relman_maintenance", {"relman_maintenance"}),
        ("relman_rollback", {"relman_rollback"}),
        ("relman_invalid__checkout", {"relman_invalid__checkout"}),
        ("release__gone", set()),
        ("release__../release_specs/hello", set()),
        ("release__environments/qa", set()),
        ("someone_elses", set()),
    ],
)
def test_other_wishes(specs, wanted, dag_id, built):
    (specs / "checkout.yaml").write_text("]")
    wanted(dag_id)
    assert set(load(specs)[0]) == built


def test_a_missing_folder_means_no_specs(tmp_path, caplog):
    dags, result = load(tmp_path / "none")
    assert (set(dags), result) == ({"relman_maintenance", "relman_rollback"}, LoadResult((), ()))
    assert "no release specs in" in caplog.text


def test_maintenance_runs_every_minute_and_alone(tmp_path):
    dag = load(tmp_path)[0]["relman_maintenance"]
    assert (dag.timetable.expression, dag.catchup, dag.max_active_runs) == ("* * * * *", False, 1)
    assert dag.task_ids == ["maintain"]


def test_a_rollback_on_request_waits_for_nothing_but_a_request(tmp_path):
    dag = load(tmp_path)[0]["relman_rollback"]
    assert (dag.timetable.can_be_scheduled, dag.is_paused_upon_creation) == (False, False)
    (task,) = dag.tasks
    assert task.pool == "default_pool"
    assert task.priority_weight > 1
    assert task.retries > 1
    assert not dag.params


def test_where_the_specs_are_can_be_said(monkeypatch, tmp_path):
    assert specs_folder(tmp_path) == tmp_path
    monkeypatch.setenv("RELMAN_SPECS", "/specs/env")
    assert specs_folder(tmp_path) == Path("/specs/env")
    monkeypatch.setenv("AIRFLOW__RELMAN__SPECS_FOLDER", "~/specs")
    assert specs_folder(tmp_path) == Path.home() / "specs"


def test_a_spec_with_thousands_of_mistakes_does_not_fill_the_database(specs):
    with (specs / "checkout.yaml").open("a") as spec:
        spec.writelines(f"k{i}: 1\n" for i in range(5000))
    dags, _ = load(specs)
    shown = dags["relman_invalid__checkout"].doc_md
    assert "relman validate" in shown.splitlines()[-2]
    assert len(shown) < 100_000


def test_what_is_wrong_with_a_shared_document_is_said_of_every_pipeline(specs):
    environment = specs / "environments" / "staging.yaml"
    environment.write_text(environment.read_text() + "windws: []\n")
    dags: dict[str, DAG] = {}
    result = load_dags(dags, specs, catalog=CATALOG, maintenance_operator=FakeMaintenance)
    staged = [f.stem for f in specs.glob("*.yaml") if "environment: staging" in f.read_text()]
    assert len(staged) > 1
    assert set(result.invalid) == {f"relman_invalid__{stem}" for stem in staged}
    for name in result.invalid:
        assert 'did you mean "windows"' in (dags[name].doc_md or "")


def test_the_garbage_collector_is_left_as_it_was(specs):
    for wanted in (gc.disable, gc.enable):
        wanted()
        before = gc.isenabled()
        load_dags({}, specs, catalog=CATALOG, maintenance_operator=FakeMaintenance)
        assert gc.isenabled() is before


def test_what_somebody_froze_stays_frozen_and_nothing_else_does(specs):
    def load() -> None:
        load_dags({}, specs, catalog=CATALOG, maintenance_operator=FakeMaintenance)

    gc.unfreeze()
    load()
    assert gc.get_freeze_count() == 0
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()
        load()
        assert gc.get_freeze_count() >= frozen
    finally:
        gc.unfreeze()

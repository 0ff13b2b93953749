"""A service's manifests as part of the plan: what is compiled, hashed and compared."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from relman_plugins.plan.compile import compile_shape
from relman_plugins.plan.diff import diff, render_text
from relman_plugins.plan.model import Shape
from relman_plugins.plan.words import environment
from relman_plugins.spec.api import load_pipeline

OK = Path(__file__).parents[1] / "spec" / "ok"


@pytest.fixture
def specs(tmp_path: Path) -> Path:
    for name in ("kubernetes.yaml", "environments/cluster.yaml", "manifests/kubernetes.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(OK / name, tmp_path / name)
    return tmp_path


def shape(specs: Path) -> Shape:
    loaded = load_pipeline(specs / "kubernetes.yaml")
    assert loaded.documents is not None, loaded.diagnostics
    return compile_shape(loaded.documents)


def edited(specs: Path, name: str, old: str, new: str) -> Shape:
    text = (specs / name).read_text()
    assert old in text
    (specs / name).write_text(text.replace(old, new))
    return shape(specs)


def test_a_plan_has_the_objects_the_namespace_and_the_container(specs: Path) -> None:
    workload = shape(specs).environment("cluster").workload
    assert workload is not None
    assert (workload.namespace, workload.container, workload.url) == ("shop", "app", "https://shop.example")
    assert (workload.timeout_s, workload.drain_s) == (120.0, 10.0)
    assert [o["kind"] for o in workload.objects] == ["Deployment", "Service", "HTTPRoute"]
    assert workload.routed
    assert shape(specs).step("build").args["image"] == "image.txt"
    assert Shape.model_validate_json(shape(specs).model_dump_json()) == shape(specs)


def test_the_text_of_a_plan_names_the_namespace(specs: Path) -> None:
    said = environment(shape(specs), "cluster")
    assert "on kubernetes (connection production_cluster) in namespace shop, 4 replicas" in said


def test_an_edited_manifest_is_another_plan_and_shown_field_by_field(specs: Path) -> None:
    before = shape(specs)
    after = edited(specs, "manifests/kubernetes.yaml", '{name: app, args: ["---"]}', "{name: app, tty: true}")
    assert after.hash != before.hash
    where = "environment cluster Deployment checkout spec.template.spec.containers[app]"
    assert render_text(diff(before, after)).splitlines()[1:] == [
        f"~ {where}.args: --- -> none",
        f"~ {where}.tty: none -> True",
    ]


def test_a_comment_in_the_manifests_is_no_other_plan(specs: Path) -> None:
    before = shape(specs)
    assert edited(specs, "manifests/kubernetes.yaml", "# Comments", "# Remarks").hash == before.hash


def test_an_object_that_comes_is_shown(specs: Path) -> None:
    before = shape(specs)
    text = (specs / "manifests/kubernetes.yaml").read_text()
    extra = "{apiVersion: v1, kind: ConfigMap, metadata: {name: settings}, data: {colour: blue}}\n"
    (specs / "manifests/kubernetes.yaml").write_text(f"{text}{extra}")
    told = render_text(diff(before, shape(specs)))
    assert "~ environment cluster ConfigMap settings data.colour: none -> blue\n" in told

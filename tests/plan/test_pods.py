"""Suites as pods in the plan: only where they are, in words, and compared."""

from __future__ import annotations

from typing import Any

from relman_plugins.plan.compile import compile_shape
from relman_plugins.plan.diff import diff, render_text
from relman_plugins.plan.model import Shape
from relman_plugins.plan.words import describe
from tests.plan.make import documents, environment, pipeline

IMAGE = "shop/tests@sha256:" + "7" * 64


def shape(**more: Any) -> Shape:
    suite = {"command": ["./smoke"], "junit": "smoke.xml", **more}
    spec = pipeline([{"environment": "prod", "suites": ["smoke"]}], suites={"smoke": suite})
    return compile_shape(documents(spec, [environment("prod")]))


def test_a_suite_on_a_worker_is_as_it_was() -> None:
    assert "pod" not in shape().step("prod.smoke").args


def test_it_is_said_where_it_runs() -> None:
    made = shape(pod={"image": IMAGE, "memory": "1Gi"})
    step = made.step("prod.smoke")
    assert step.args["pod"] == {
        "image": IMAGE,
        "collector": None,
        "cpu": None,
        "memory": "1Gi",
        "service_account": None,
        "user": None,
    }
    assert "runs suite smoke in a pod: `./smoke`" in describe(made, step)


def test_what_changes_is_told_field_by_field() -> None:
    one, two = shape(), shape(pod={"image": IMAGE})
    text = render_text(diff(one, two))
    assert "on a worker" in text
    assert "in a pod" in text
    text = render_text(diff(two, shape(pod={"image": IMAGE, "service_account": "admin"})))
    assert "pod service_account" in text
    assert "admin" in text

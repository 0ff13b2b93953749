"""What the middleware catches is exactly what Airflow's router would hand to its endpoint."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.routing import Match, Route

from relman_plugins.plugin.native import Target, target

PATTERN = "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/{map_index}/hitlDetails"
ROUTE = Route(PATTERN, endpoint=lambda request: None, methods=["PATCH"])
PATH = "/api/v2/dags/release__checkout/dagRuns/manual__1/taskInstances/production.approval/-1/hitlDetails"
GATE = Target("release__checkout", "manual__1", "production.approval")


def test_an_answer_is_recognised() -> None:
    assert target("PATCH", PATH) == GATE


@pytest.mark.parametrize("root_path", ["/af", "/a/b"])
def test_the_path_of_the_public_address_is_left_out(root_path: str) -> None:
    assert target("PATCH", root_path + PATH, root_path) == GATE
    assert target("PATCH", PATH, root_path) == GATE


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", PATH),
        ("POST", PATH),
        ("PATCH", PATH.replace("release__checkout", "nightly")),
        ("PATCH", PATH + "/"),
        ("PATCH", PATH + "/tries/1"),
        ("PATCH", "/elsewhere" + PATH),
        ("PATCH", PATH.replace("/hitlDetails", "")),
        ("PATCH", "/"),
    ],
)
def test_anything_else_is_left_alone(method: str, path: str) -> None:
    assert target(method, path) is None


def test_a_trailing_newline_is_no_way_around() -> None:
    # Starlette's "$" matches before a final newline, so Airflow would answer this path too.
    assert target("PATCH", PATH + "\n") == GATE


segment = st.text(st.characters(codec="utf-8"), max_size=6) | st.sampled_from(
    ["release__a", "-1", "a/b", "%2F", "\n"]
)


@given(st.tuples(segment, segment, segment, segment), st.sampled_from(["", "/", "\n"]))
def test_the_router_and_the_middleware_agree(parts: tuple[str, ...], tail: str) -> None:
    dag, run, task, index = parts
    path = f"/api/v2/dags/{dag}/dagRuns/{run}/taskInstances/{task}/{index}/hitlDetails{tail}"
    match, scope = ROUTE.matches({"type": "http", "method": "PATCH", "path": path, "headers": []})
    routed = match is Match.FULL and scope["path_params"]["dag_id"].startswith("release__")
    assert (target("PATCH", path) is not None) == routed

"""Which defects that commits name are open, asked of servers that answer as Jira, GitHub and GitLab do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from airflow.sdk import Connection

from relman_plugins.domain.defect import DefectSource
from relman_plugins.errors import ClientRejected
from relman_plugins.hooks.defects import defects_of
from tests.clients.trackers import Trackers


@pytest.fixture
def server() -> Iterator[Trackers]:
    with Trackers() as made:
        yield made


def asked(server: Trackers, tracker: str, *issues: str, connection: Any = None, **more: Any) -> Any:
    project = {"github": "shop/checkout", "gitlab": "shop/checkout"}.get(tracker, "")
    source = DefectSource(**({"tracker": tracker, "connection": "c", "project": project} | more))
    client = defects_of(source, connection or server.connection())
    try:
        found, unknown = client.open_among(issues)
    finally:
        client.close()
    return [defect.line() for defect in found], unknown


def test_jira_tells_defects_by_type_and_what_is_done_by_its_category(server: Trackers) -> None:
    server.jira("OPS-1", "Cart is  empty\n")
    server.jira("OPS-2", category="done")
    server.jira("OPS-3", kind="Story")
    server.jira("OPS-4", category="indeterminate", kind="bug")
    issues = ("#7", "OPS-1", "OPS-2", "OPS-3", "OPS-4", "OPS-5", "UTF-8")
    assert asked(server, "jira", *issues) == (["OPS-1 Cart is empty", "OPS-4 Cart"], "")
    assert "/rest/api/2/issue/UTF-8" not in server.asked


def test_of_one_project_in_jira_the_others_are_not_asked_about(server: Trackers) -> None:
    server.jira("OPS-1")
    server.jira("UTF-8", "Umlauts")
    assert asked(server, "jira", "OPS-1", "UTF-8", project="UTF") == (["UTF-8 Umlauts"], "")
    assert server.asked == ["/rest/api/2/issue/UTF-8"]


def test_github_tells_defects_by_label_and_no_pull_request_is_one(server: Trackers) -> None:
    server.github(1, "Bug")
    server.github(2, "bug", state="closed")
    server.github(3, "bug", pull=True)
    server.github(4, "feature")
    assert asked(server, "github", "#1", "#2", "#3", "#4", "OPS-1") == (["#1 Cart"], "")
    assert asked(server, "github", "#4", kinds=("feature",)) == (["#4 Cart"], "")


def test_gitlab_tells_defects_by_label(server: Trackers) -> None:
    server.gitlab(1, "bug", "p1")
    server.gitlab(2, "bug", state="closed")
    token = server.connection(login="", extra_dejson={"token": "secret"})
    assert asked(server, "gitlab", "#1", "#2", connection=token) == (["#1 Cart"], "")


def test_what_names_nothing_asks_nothing(server: Trackers) -> None:
    assert asked(server, "github", "OPS-1") == ([], "")
    assert server.asked == []


@pytest.mark.parametrize("tracker", ["jira", "github", "gitlab"])
@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (500, "it answered 500"),
        (403, "the connection's account may not ask"),
        (302, "it answered 302"),
        ("<html>", "is not understood"),
        ("[]", "is not understood"),
        ("{}", "is not understood"),
        ('{"state": "?", "labels": [], "fields": null}', "is not understood"),
        ("[" * 100_000, "is not understood"),
    ],
)
def test_no_answer_is_not_known_and_no_word_of_the_server_is_repeated(
    server: Trackers, tracker: str, broken: Any, why: str
) -> None:
    server.broken = broken
    found, unknown = asked(server, tracker, "#1", "OPS-1")
    assert found == []
    assert why in unknown
    assert "hunter2" not in unknown


def test_a_wrong_login_a_dead_server_and_a_foreign_project_are_not_known(server: Trackers) -> None:
    wrong = server.connection(password="x")
    assert "does not take the connection's login" in asked(server, "jira", "OPS-1", connection=wrong)[1]
    dead = server.connection(port=1)
    assert asked(server, "jira", "OPS-1", connection=dead)[1] == "Jira at 127.0.0.1 can't be asked: no answer"
    assert asked(server, "jira", "OPS-1")[1] == "Jira shows no OPS-1: may its account see them?"


def test_an_issue_that_is_not_shown_is_not_known_where_only_one_project_is_meant(server: Trackers) -> None:
    server.github(1)
    server.jira("OPS-1")
    assert asked(server, "github", "#1", "#2")[1] == "GitHub shows no #2: may its account see them?"
    assert asked(server, "jira", "OPS-1", "OPS-2", project="OPS")[1].startswith("Jira shows no OPS-2")
    assert asked(server, "jira", "OPS-1", "UTF-8")[1] == "", "that only looks like an issue"


def test_no_login_goes_anywhere_when_the_connection_names_no_host() -> None:
    source = DefectSource(tracker="github", connection="aws_default", project="shop/checkout")
    with pytest.raises(ClientRejected, match="connection 'aws_default' has no host"):
        defects_of(source, Connection(conn_id="aws_default", conn_type="aws", login="AKIA", password="x"))


def test_of_more_issues_than_are_asked_about_not_all_are_known(server: Trackers) -> None:
    for n in range(60):
        server.github(n)
    found, unknown = asked(server, "github", *(f"#{n}" for n in range(60)))
    assert (found, len(server.asked)) == ([], 50)
    assert unknown == "60 issues are named; GitHub was asked about 50 of them"

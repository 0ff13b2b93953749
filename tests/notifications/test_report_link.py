"""From the message of a release that has ended to its report."""

from __future__ import annotations

from collections.abc import Callable

from relman_plugins.domain.event import Kind
from relman_plugins.notifications.about import About
from relman_plugins.notifications.release import release_message
from relman_plugins.notifications.thread import thread_message
from relman_plugins.plan.model import ReleasePlan
from relman_plugins.testing.slack_rules import check_message
from tests.notifications.test_messages import event


def test_a_judged_analysis_leads_to_its_picture_unless_nothing_was_measured() -> None:
    known = About(base_url="https://airflow.example", dag_id="release__checkout", run_id="r")
    page = "https://airflow.example/relman/api/v1/releases/checkout-1.1.0-1/pictures/production.canary_10.svg"
    said = {"analysis": "signals", "weight": 10, "verdict": "fail", "reason": "harm"}
    for looks, there in ((2, True), (0, False)):
        told = thread_message(
            event(Kind.ANALYSIS_FINISHED, "production.canary_10", **said, looks=looks), known
        )
        assert told is not None
        check_message(told.text, told.blocks, None)
        assert (f"<{page}|See the picture>" in str(told.blocks)) is there
        assert "harm" in str(told.blocks)
    assert "picture" not in str(thread_message(event(Kind.ANALYSIS_FINISHED, "s", **said, looks=2)))


def test_a_closed_release_leads_to_its_report_and_an_open_one_does_not(
    plan: Callable[..., ReleasePlan],
) -> None:
    known = About(base_url="https://airflow.example", dag_id="release__checkout", run_id="r")
    opened = event(Kind.RELEASE_OPENED, None)
    closed = event(Kind.RELEASE_CLOSED, "close", outcome="failed", reason="no")
    page = "https://airflow.example/relman/api/v1/releases/checkout-1.1.0-1/report?format=html"
    going = release_message("checkout-1.1.0-1", plan("1.1.0"), [opened], known)
    ended = release_message("checkout-1.1.0-1", plan("1.1.0"), [opened, closed], known)
    check_message(ended.text, ended.blocks, None)
    assert "report" not in str(going.blocks)
    assert f"<{page}|Read the report>" in str(ended.blocks)
    told = thread_message(closed, known)
    assert told is not None
    assert f"<{page}|Read the report>" in str(told.blocks)
    assert "report" not in str(release_message("checkout-1.1.0-1", plan("1.1.0"), [opened, closed])), (
        "no link without an address to link to"
    )

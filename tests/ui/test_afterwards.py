"""What people see in a browser when a release is over: the question for follow-ups, and the report."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from relman_plugins.domain.event import Kind
from tests.ui.conftest import Site
from tests.waiting import eventually

if TYPE_CHECKING:
    from playwright.sync_api import Page

DAG, GATE, AFTER = "release__after", "live.approval", "follow_up"


def kept(page: Page, name: str) -> None:
    """Keep a picture for people to look at, when they say where."""
    if folder := os.environ.get("RELMAN_PICTURES"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


@pytest.fixture(scope="module")
def ended(site: Site) -> str:
    """A release that somebody rejected on a phone, and whose follow-ups are asked for."""
    eventually(lambda: site.admin.has_dag(DAG), DAG)
    run_id = site.admin.trigger(DAG, {"version": "1.1.0"})
    eventually(lambda: site.admin.required_action(DAG, run_id, GATE), "the gate")
    release = site.ledger.release_of_run(DAG, run_id)
    assert release is not None
    phone = site.login("bob", 390, 844)
    phone.goto(f"{site.url}/relman/gates/{release.release_id}/{GATE}")
    kept(phone, "gate")
    wide = phone.evaluate("document.documentElement.scrollWidth")
    assert wide <= 390, "it has to be pushed to and fro"
    phone.on("dialog", lambda asked: asked.accept())
    phone.fill("textarea[name=comment]", "not <b>now</b>")
    phone.get_by_role("button", name="Reject").click()
    phone.get_by_text("rejected by Bob Example").wait_for()
    assert "not <b>now</b>" in phone.locator("body").inner_text()
    kept(phone, "gate-rejected")
    (vote,) = site.ledger.votes.gate(release.release_id, GATE).votes
    assert (vote.person, vote.decision, vote.comment, vote.via) == ("bob", "reject", "not <b>now</b>", "page")
    eventually(lambda: site.admin.required_action(DAG, run_id, AFTER), "the question")
    return release.release_id


def test_follow_ups_are_written_into_the_form_of_the_question(site: Site, ended: str) -> None:
    release = site.ledger.release(ended)
    assert release is not None
    alice = site.login("alice")
    alice.goto(f"{site.url}/dags/{DAG}/runs/{release.run_id}/tasks/{AFTER}/required_actions")
    give = alice.get_by_role("button", name="Record follow-ups", exact=True)
    give.wait_for()
    assert "has ended as rejected" in alice.locator("body").inner_text()
    kept(alice, "follow-ups")
    alice.locator("[name=element_what_1]").fill("Ask <b>before</b> the build")
    alice.locator("[name=element_who_1]").fill("Bob")
    alice.locator("[name=element_by_1]").fill("2026-03-09")
    kept(alice, "follow-ups-filled")
    give.click()
    (event,) = eventually(lambda: site.ledger.events(ended, kinds=[Kind.FOLLOW_UP]), "the answer")
    assert event.data["items"] == [{"what": "Ask <b>before</b> the build", "who": "Bob", "by": "2026-03-09"}]
    assert (
        eventually(
            lambda: s if (s := site.admin.run_state(DAG, release.run_id)) != "running" else None, "the end"
        )
        == "failed"
    )


def test_a_report_opened_without_a_session_comes_after_the_login(site: Site, ended: str) -> None:
    page = site.browser.new_context().new_page()
    page.set_default_timeout(60_000)
    page.goto(f"{site.url}/relman/api/v1/releases/{ended}/report?format=html")
    page.fill("input[name=username]", "bob")
    page.fill("input[name=password]", "bob")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="after 1.1.0").wait_for()
    kept(page, "report")
    assert page.url.endswith(f"/relman/api/v1/releases/{ended}/report?format=html")
    assert "Ask <b>before</b> the build" in page.locator("body").inner_text()

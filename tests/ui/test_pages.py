"""What people see and do in Airflow's own pages, in a browser."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest

from tests.ui.conftest import Site
from tests.waiting import eventually

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

DAG, GATE = "release__shop", "live.approval"
TICKET = "https://tracker.example/CHG-42"
HOSTILE = (
    """Rounds prices up, see https://tickets.example/PAY-17?a=1&b=2.
</script><script>document.title = "owned"</script> <img src=x onerror="document.title='owned'">
# no heading | no | cells | `no code` **not bold** [no link](javascript:alert(1)) ~~kept~~ &amp;
- """
    + "word " * 120
)


def form(site: Site, page: Page) -> Locator:
    page.goto(f"{site.url}/dags/{DAG}")
    page.get_by_role("button", name="Trigger Dag", exact=True).click()
    page.locator("input[name=element_version]").wait_for()
    return page.get_by_role("dialog")


def fill_in(field: Locator, text: str) -> None:
    """Type into a field until it keeps that: what the page loads late replaces what was typed early."""

    def keeps() -> bool:
        if field.input_value() == text:
            return True
        field.fill(text)
        return False

    eventually(keeps, f"{text[:20]!r} in the form", every_s=0.5)


def told(page: Page, words: str) -> None:
    """Wait for a toast that says so; on a busy machine the page may also complain of something else."""
    page.locator("[data-scope=toast][data-part=root]").filter(has_text=words).first.wait_for()


@pytest.fixture(scope="module")
def alice(site: Site) -> Page:
    return site.login("alice")


def test_the_form_describes_its_fields_and_refuses_what_is_no_version(site: Site, alice: Page) -> None:
    dialog = form(site, alice)
    start = dialog.get_by_role("button", name="Trigger", exact=True)
    dialog.get_by_text("This field is required").wait_for()
    assert start.is_disabled()
    sections = {
        "Run Parameters": (
            "letters, digits and . _ + -",
            "the people who approve",
            "its number, or a link to it",
        ),
        "More about shop": ("Users that the load test simulates",),
        "Emergency, dry run": (
            "release windows",
            "Required for an emergency",
            "without changing any environment",
        ),
    }
    for section, words in sections.items():
        if section != "Run Parameters":
            dialog.get_by_role("button", name=section).click()
        for text in words:
            dialog.get_by_text(text).wait_for()
    dialog.get_by_role("button", name="Run Parameters").click()
    dialog.locator("input[name=element_version]").fill("../1")
    start.click()
    dialog.get_by_text("'../1' does not match").first.wait_for()
    assert site.ledger.releases() == []


def test_docs_show_the_plan_by_stage_and_the_spec(site: Site, alice: Page) -> None:
    said = site.docs(alice, DAG)
    assert (
        said.index("trial") < said.index("live") < said.index("close") < said.index("kind: ReleasePipeline")
    )
    assert "waits for 1 of managers (alice, bob)" in said
    for cell in ("provision", "|---|", "```"):
        assert cell not in said


def test_a_broken_spec_says_what_is_wrong_in_its_docs(site: Site, alice: Page) -> None:
    said = site.docs(alice, "relman_invalid__broken")
    assert "broken.yaml is not valid" in said
    assert 'unknown key "stagges"' in said
    assert 'did you mean "stages"?' in said
    assert str(site.stack.repo) not in said


def test_from_the_form_over_the_gate_to_green(site: Site, alice: Page) -> None:
    dialog = form(site, alice)
    fill_in(dialog.locator("input[name=element_version]"), "1.1.0")
    fill_in(dialog.locator("textarea").first, HOSTILE)
    fill_in(dialog.locator("input[name=element_ticket]"), TICKET)
    dialog.get_by_role("button", name="More about shop").click()
    fill_in(dialog.get_by_role("spinbutton").or_(dialog.locator("[name=element_users]")).first, "7")
    dialog.get_by_role("button", name="Trigger", exact=True).click()
    alice.wait_for_url("**/runs/**")
    run_id = unquote(alice.url.rpartition("/")[2])
    eventually(lambda: site.admin.required_action(DAG, run_id, GATE), "the gate")
    release = site.ledger.release_of_run(DAG, run_id)
    assert release is not None
    gate_url = f"{site.url}/dags/{DAG}/runs/{run_id}/tasks/{GATE}/required_actions"

    # Somebody who may not answer is told so, before and after trying.
    stranger = site.login("admin")
    stranger.goto(gate_url)
    stranger.get_by_role("button", name="Approve", exact=True).click()
    told(stranger, "admin may not answer")
    assert site.ledger.votes.gate(release.release_id, GATE).votes == ()

    # Nor may whoever started it.
    alice.goto(gate_url)
    alice.get_by_role("button", name="Approve", exact=True).click()
    told(alice, "own release")
    assert site.ledger.votes.gate(release.release_id, GATE).votes == ()

    bob = site.login("bob")
    bob.goto(f"{site.url}/required_actions")
    bob.get_by_role("link", name="shop 1.1.0 → live: approve?").click()
    bob.get_by_role("button", name="Approve", exact=True).wait_for()
    bob.get_by_text("one of them decides").wait_for()
    said = bob.locator("main, body").last.inner_text()
    assert "Alice Example (alice), Bob Example (bob); one of them decides" in said
    assert "Can't approve, as it is their own release: Alice Example" in said
    built = next(e for e in site.ledger.events(release.release_id) if e.kind.value == "artifact.built")
    for value in (
        "1.1.0",
        release.plan_hash,
        release.spec_digest,
        built.data["revision"]["digest"],
        "trial.unit",
        TICKET,
    ):
        assert value in said.replace(" ", "")
    assert re.search(r"Users\s+7\b", said)
    assert release.plan.options.parameters == {"users": 7}
    assert "18 tests, 0 failed, 0 skipped" in said
    quoted = bob.locator("blockquote")
    # What the requester wrote is all there, and nothing of it became markup but the address.
    assert " ".join(quoted.inner_text().split()) == " ".join(HOSTILE.split())
    assert quoted.locator("script, img, code, strong, h1, h2, del, li, table").count() == 0
    assert [a.get_attribute("href") for a in quoted.locator("a").all()] == [
        "https://tickets.example/PAY-17?a=1&b=2"
    ]
    assert bob.title() != "owned"
    link = bob.get_by_role("link", name=release.release_id, exact=True)
    assert unquote(link.get_attribute("href") or "").endswith(f"/dags/{DAG}/runs/{run_id}")

    bob.get_by_role("button", name="Approve", exact=True).click()
    told(bob, "response successful")
    eventually(lambda: site.admin.run_state(DAG, run_id) != "running", "the end of the run")
    site.run_with_all_tasks(bob, DAG, run_id)
    bob.get_by_text("Success", exact=True).first.wait_for()
    assert bob.get_by_text("Failed", exact=True).count() == 0
    for place in ("open", "group/trial", "trial.unit", "group/live", GATE, "close"):
        bob.locator(f"a[href$='/dags/{DAG}/tasks/{place}']").first.wait_for()

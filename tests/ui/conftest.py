"""A whole Airflow, and a real browser that looks at it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

from relman_plugins.ledger.api import Ledger, open_ledger
from relman_plugins.testing.demo_api import AirflowUser
from relman_plugins.testing.stack import Stack
from tests.conftest import missing
from tests.waiting import eventually

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parents[2]
SPECS = Path(__file__).parent / "specs"
PATIENCE_S = 150.0
CHROMIUM = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
T = TypeVar("T")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.real)
            item.add_marker(pytest.mark.timeout(1200))


@dataclass
class Site:
    """The running Airflow, and browsers in front of it."""

    stack: Stack
    admin: AirflowUser
    browser: Browser

    @property
    def url(self) -> str:
        return self.stack.addresses.airflow

    @property
    def ledger(self) -> Ledger:
        return open_ledger(f"sqlite:///{self.stack.folders.ledger}")

    def login(self, user: str, width: int = 1400, height: int = 1000) -> Page:
        """Log a person in through the form, in a browser of their own; return the home page."""
        page = self.browser.new_context(viewport={"width": width, "height": height}).new_page()
        page.set_default_timeout(PATIENCE_S * 1000)
        page.goto(self.url)
        page.fill("input[name=username]", user)
        page.fill("input[name=password]", user)
        page.keyboard.press("Enter")
        page.get_by_text("Welcome").wait_for()
        return page

    def docs(self, page: Page, dag_id: str) -> str:
        """Open a DAG's docs as a reader does; return what they say."""
        page.goto(f"{self.url}/dags/{dag_id}")
        page.get_by_role("button", name="Dag Docs", exact=True).click()
        return page.get_by_role("dialog").inner_text()

    def run_with_all_tasks(self, page: Page, dag_id: str, run_id: str) -> None:
        """Open a run with the groups of its tasks expanded.

        The button for that is there once the page has the structure of the DAG, and can't be pressed when all
        groups are open already, which the browser remembers. A page whose request was refused (SQLite under
        many writers) stays without it, and is loaded again as a reader would.
        """
        from playwright.sync_api import TimeoutError as NotYet

        def has_structure() -> bool:
            try:
                with page.expect_response(lambda r: "structure_data" in r.url, timeout=60_000) as answer:
                    page.goto(f"{self.url}/dags/{dag_id}/runs/{run_id}")
                button.wait_for(timeout=30_000)
            except NotYet:
                return False
            return answer.value.ok

        button = page.get_by_role("button", name="Expand all task groups", exact=True)
        eventually(has_structure, "the structure of the DAG")
        if button.is_enabled():
            button.click()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("Playwright", "pip install playwright")
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        missing("Chromium", "apt-get install -y chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=list(CHROMIUM))
        yield started
        started.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Site]:
    repo = tmp_path_factory.mktemp("repo")
    shutil.copytree(ROOT / "dags", repo / "dags")
    shutil.copytree(SPECS, repo / "release_specs")
    shutil.copytree(ROOT / "examples" / "checkout", repo / "checkout")
    with Stack(repo / "state", repo, ready_timeout_s=2 * PATIENCE_S) as stack:
        admin = AirflowUser(stack.addresses.airflow, "admin", "admin")
        eventually(lambda: admin.has_dag("release__shop"), "release__shop")
        yield Site(stack, admin, browser)
        admin.close()

"""Somebody who has not signed in learns nothing of the ledger, and costs it nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

ANSWER = """
import asyncio, httpx
from relman_plugins.plugin.native import NativeAnswers

async def airflow(scope, receive, send):
    raise AssertionError("forwarded")

async def main():
    path = "/api/v2/dags/release__shop/dagRuns/r/taskInstances/production.approval/-1/hitlDetails"
    transport = httpx.ASGITransport(NativeAnswers(airflow))
    async with httpx.AsyncClient(transport=transport, base_url="http://airflow") as http:
        answer = await http.patch(path, json={"chosen_options": ["Approve"]})
    print(answer.status_code, answer.text)

asyncio.run(main())
"""

BODY = """
import asyncio, httpx
from relman_plugins.plugin.app import application

sent = 0

async def much():
    global sent
    for _ in range(1000):
        sent += 1
        yield b" " * 10_000

async def main():
    transport = httpx.ASGITransport(application())
    async with httpx.AsyncClient(transport=transport, base_url="http://airflow") as http:
        small = await http.post("/api/v1/releases/r/abort", json={"reason": "x"})
        large = await http.post("/api/v1/releases/r/abort", content=much())
    print(small.status_code, large.status_code, sent < 100, large.headers["X-Content-Type-Options"])

asyncio.run(main())
"""

PAGE = """
import asyncio, httpx
from relman_plugins.plugin.app import application

async def main():
    transport = httpx.ASGITransport(application())
    browser = {"Accept": "text/html,application/xhtml+xml"}
    path = "/api/v1/releases/shop-1.0.0-1"
    asked = [
        (path + "/report?format=html", browser),
        (path + "/report", {"Accept": "application/json"}),
        (path, browser),
    ]
    async with httpx.AsyncClient(transport=transport, base_url="http://inside:8080") as http:
        answers = [await http.get(url, headers=headers) for url, headers in asked]
    print(*(a.status_code for a in answers), answers[0].headers["location"])

asyncio.run(main())
"""


def said(script: str, home: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ
        | {
            "AIRFLOW_HOME": str(home),
            "PYTHONPATH": str(ROOT),
            "AIRFLOW__RELMAN__LEDGER_CONN_ID": "there_is_no_such_connection",
            "AIRFLOW__API__BASE_URL": "https://airflow.example/team",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def test_a_stranger_is_not_told_what_is_wrong_with_the_ledger(tmp_path: Path) -> None:
    answer = said(ANSWER, tmp_path)
    assert answer.startswith("401 ")
    assert "there_is_no_such_connection" not in answer


def test_a_strangers_body_is_not_read_to_its_end(tmp_path: Path) -> None:
    assert said(BODY, tmp_path) == "401 413 True nosniff"


def test_a_browser_that_opens_a_report_is_sent_to_the_login_and_back(tmp_path: Path) -> None:
    page = "%2Fteam%2Frelman%2Fapi%2Fv1%2Freleases%2Fshop-1.0.0-1%2Freport%3Fformat%3Dhtml"
    assert said(PAGE, tmp_path) == f"303 401 401 /team/api/v2/auth/login?next={page}"

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


def said(script: str, home: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ
        | {
            "AIRFLOW_HOME": str(home),
            "PYTHONPATH": str(ROOT),
            "AIRFLOW__RELMAN__LEDGER_CONN_ID": "there_is_no_such_connection",
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

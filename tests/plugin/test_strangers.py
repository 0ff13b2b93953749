"""Somebody who has not signed in learns nothing of the ledger, and costs it nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """
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


def test_a_stranger_is_not_told_what_is_wrong_with_the_ledger(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=os.environ
        | {
            "AIRFLOW_HOME": str(tmp_path),
            "PYTHONPATH": str(ROOT),
            "AIRFLOW__RELMAN__LEDGER_CONN_ID": "there_is_no_such_connection",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()[-1]
    assert said.startswith("401 ")
    assert "there_is_no_such_connection" not in said

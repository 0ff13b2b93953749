"""What the guides say to type at a server does, at a real one, what the guides say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
import yaml

from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.domain.identity import Actor
from relman_plugins.domain.status import Decision
from relman_plugins.plan.model import Options, ReleasePlan
from tests.conftest import Postgres
from tests.plugin.airflow_server import GATE, PEOPLE, SHAPE, Server, subject
from tests.plugin.glass import rejected
from tests.repo import markdown, tree

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

_BLOCKS = [b for page in markdown.guides() for b in markdown.blocks(page) if b.words[:1] == ["run"]]
_ID = re.compile(r"\b(?:checkout|shop)-\d+\.\d+\.\d+-\d+(?!\.html)\b")
_ADDRESS = re.compile(r"'postgres://[^']*database\.example[^']*'")


def done(script: list[str], folder: Path, env: dict[str, str]) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ran = subprocess.run(
        ["bash", "-e", "-c", "\n".join(map(answered, script))],
        cwd=folder,
        env={**env, "PATH": path, "PYTHONPATH": str(tree.ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ran.returncode == 0, f"{script}\n{ran.stdout}\n{ran.stderr}"


def answered(line: str) -> str:
    """Return what is typed at a terminal, where somebody says yes when asked, for a shell without one."""
    return re.sub(r"^(relman approve\b[^#]*?)\s*(#.*)?$", r"\1 --yes", line)


def items(page: Path) -> dict[str, str]:
    """Return the items of the checklist that a page shows, by id."""
    for block in markdown.blocks(page):
        for suite in (
            (yaml.safe_load(block.text).get("suites") or {}).values() if block.mark == "spec" else ()
        ):
            listed = enumerate(suite.get("checklist") or (), 1)
            return {
                i["id"] if isinstance(i, dict) else f"item-{n}": i["item"] if isinstance(i, dict) else i
                for n, i in listed
            }
    raise AssertionError(f"{page.name} shows no checklist")


@contextmanager
def ready(server: Server, block: markdown.Block) -> Iterator[str]:
    """Have a release that waits, or has ended well, and holds its environment; give its id."""
    quorum = 2 if "voted" in block.words else 1
    if "owed" in block.words:
        record = rejected(server, "3.1.0")
    elif "shipped" in block.words:
        record = server.shipped("3.0.0", "3.1.0")
    else:
        record = server.release("3.1.0", quorum)
    if quorum > 1:
        said = {"airflow_user": "alice", "decision": Decision.APPROVE, "via": "api"}
        assert server.ledger.votes.cast(record.release_id, GATE, **said).accepted
    gate = next((w.removeprefix("gate=") for w in block.words if w.startswith("gate=")), None)
    if gate is not None:
        listed = [{"id": name, "item": item} for name, item in items(block.page).items()]
        server.ledger.votes.open_gate(
            record.release_id,
            gate,
            subject=subject(record) | {"checklist": listed},
            people=PEOPLE,
            quorum=1,
            timeout_s=600,
            on_timeout="reject",
        )
    assert not isinstance(
        server.ledger.locks.acquire("production", "checkout", record.release_id, 600), type(None)
    )
    try:
        yield record.release_id
    finally:
        server.ledger.locks.release("production", "checkout", record.release_id)


@contextmanager
def played(server: Server) -> Iterator[None]:
    """Open the release of every new run, and close it: what scheduler and workers would do."""
    stop, known = Event(), runs(server)

    def play() -> None:
        while not stop.wait(0.2):
            for run_id, conf in runs(server).items():
                if run_id not in known:
                    known[run_id] = conf
                    record = server.ledger.open_release(
                        plan=ReleasePlan(shape=SHAPE, options=Options(version=conf["version"])),
                        dag_id="release__checkout",
                        run_id=run_id,
                        started_by=Actor(kind="person", id="admin", via="airflow"),
                        conf=conf,
                    )
                    ended = {"outcome": "succeeded", "reason": "all steps ended well"}
                    closed = NewEvent(kind=Kind.RELEASE_CLOSED, key=f"{record.release_id}:closed", data=ended)
                    server.ledger.record(record.release_id, closed)

    thread = Thread(target=play, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)


def runs(server: Server) -> dict[str, Any]:
    answer = server.ask("GET", "/api/v2/dags/release__checkout/dagRuns?limit=100&order_by=-id", "admin")
    return {run["dag_run_id"]: run["conf"] for run in answer.json()["dag_runs"]}


@pytest.fixture
def pools(server: Server) -> Iterator[None]:
    """Have the pool that a test DAG takes slots of: the guides' Airflow is in good order."""
    pool = {"name": "lab", "slots": 2, "include_deferred": False}
    server.ask("POST", "/api/v2/pools", "admin", json=pool).raise_for_status()
    yield
    server.ask("DELETE", "/api/v2/pools/lab", "admin").raise_for_status()


@pytest.mark.usefixtures("pools")
@pytest.mark.parametrize("block", [b for b in _BLOCKS if "server" in b.words], ids=lambda b: b.place)
def test_what_a_guide_types_at_a_server(server: Server, block: markdown.Block, tmp_path: Path) -> None:
    login = {"RELMAN_URL": server.url, "RELMAN_USER": "alice", "RELMAN_PASSWORD": "alice"}
    folder = markdown.workplace(block, tmp_path)
    scripts = [[line] for line in block.commands] if "each" in block.words else [block.commands]
    for script in scripts:
        with ready(server, block) as release_id:
            here = [_ID.sub(release_id, line).replace("http://localhost:8080", server.url) for line in script]
            if "played" in block.words:
                with played(server):
                    done(here, folder, server.env | login)
            else:
                done(here, folder, server.env | login)


@pytest.mark.parametrize("block", [b for b in _BLOCKS if "postgres" in b.words], ids=lambda b: b.place)
def test_what_a_guide_types_with_a_database(
    postgres: Postgres, block: markdown.Block, tmp_path: Path
) -> None:
    with postgres.database() as url:
        name, host = re.match(r".*@/(\w+)\?host=(.*)", url).groups()  # type: ignore[union-attr]
        address = f"'postgres://postgres@/{name}?host={host.replace('/', '%2F')}'"
        script = [_ADDRESS.sub(lambda _: address, line) for line in block.commands]
        assert script != block.commands, "the page names no database to replace"
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("RELMAN", "AIRFLOW"))}
        done(script, markdown.workplace(block, tmp_path), kept | {"AIRFLOW_HOME": str(tmp_path / "airflow")})

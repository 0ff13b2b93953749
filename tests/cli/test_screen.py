"""What other people wrote is shown on a terminal, and does not steer it."""

from __future__ import annotations

import io
import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from rich.console import Console

from relman_plugins.cli import show, words
from tests.cli.command import relman

UP_AND_OVER = "fixes\x1b[2A\x1b[2Kartifact  sha256:good\x9b1m\u202e"


def event(**data: Any) -> dict[str, Any]:
    return {"at": "2026-01-05T10:00:00+00:00", "kind": "step.failed", "step": "qa.unit", "data": data}


def test_an_event_is_one_entry_and_steers_nothing() -> None:
    forged = f"red\n10:00:01  production.approval       gate.decided: approved {UP_AND_OVER}"
    first, *rest = words.event_line(event(message=forged)).split("\n")
    assert first.endswith("step.failed: red")
    assert rest, "the message has a second line"
    assert all(line.startswith("          ") for line in rest)
    assert not set("\x1b\x9b\u202e") & set("".join(rest))


def test_what_is_approved_is_shown_as_it_is() -> None:
    gate = {
        "gate": "production.approval", "state": "open", "votes": [], "missing": 1,
        "subject_digest": "sha256:0",
        "people": [{"id": "alice", "name": UP_AND_OVER}],
        "subject": {"pipeline": "shop", "version": "1", "environment": "production", "changes": UP_AND_OVER}
        | {"parameters": {"city": "Paris", "note": ""}}
        | {"verdict": "no_data", "reason": f"0 requests after 25 {UP_AND_OVER}"},
    }  # fmt: skip
    said = io.StringIO()
    Console(file=said, width=200, color_system=None).print(show.gate_table(gate))
    assert not set("\x1b\x9b\u202e") & set(said.getvalue())
    assert "fixes\\u001b[2A" in said.getvalue()
    assert "city: Paris" in said.getvalue()
    assert "no_data: neither good nor bad" in said.getvalue()
    assert "0 requests after 25" in said.getvalue()


def test_what_is_owed_is_listed_with_how_it_stands(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    owed = {
        "release_id": "shop-1-1", "gate": "production.break_glass", "state": "open", "overdue": True,
        "people": [{"id": "erin", "name": "Erin", "airflow": "e"}], "own": {}, "comment": "",
        "decided_by": "", "expires_at": "2026-01-05T10:00:00+00:00",
        "subject": {"waived": [{"quorum": 1, "group": "managers"}], "emergency_reason": "the shop is down"},
    }  # fmt: skip
    said = {"state": "rejected", "overdue": False, "decided_by": "erin", "comment": "no need"}
    show.print_debts([owed, owed | {"overdue": False}, owed | said])
    late, still_open, rejected = capsys.readouterr().out.strip().split("\n")[1:]
    assert "OVERDUE" in late
    assert " open " in still_open
    assert "rejected by erin: no need" in rejected
    show.print_debts([])
    assert "no debts" in capsys.readouterr().out


def test_a_plan_of_somebody_elses_spec_steers_nothing(tmp_path: Path) -> None:
    (tmp_path / "environments").mkdir()
    (tmp_path / "shop.yaml").write_text(
        "apiVersion: relman/v1\nkind: ReleasePipeline\nmetadata: {name: shop, owner: team}\n"
        'artifact: {source: ., build: [python, "-c", "\\e]0;owned\\a"]}\nstages: [{environment: qa}]\n'
    )
    (tmp_path / "environments" / "qa.yaml").write_text(
        "apiVersion: relman/v1\nkind: Environment\nmetadata: {name: qa, owner: x}\n"
        "platform: sandbox\nconnection: relman_sandbox\n"
    )
    done = relman("plan", tmp_path / "shop.yaml")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert "\\u001b]0;owned" in done.stdout


def test_data_for_programs_steers_nothing_when_a_person_looks_at_it(tmp_path: Path) -> None:
    """JSON escapes what ASCII terminals obey; what others do is up to whoever writes it."""
    odd = "\u009b2J \u202e \u2028 \u200b é"
    (tmp_path / "shop.yaml").write_text(
        "apiVersion: relman/v1\nkind: ReleasePipeline\n"
        f"metadata: {{name: shop, owner: team, description: {json.dumps(odd)}}}\n"
        f"artifact: {{source: ., build: [python, {json.dumps(odd)}]}}\nstages: [{{environment: qa}}]\n"
    )
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments" / "qa.yaml").write_text(
        "apiVersion: relman/v1\nkind: Environment\nmetadata: {name: qa, owner: x}\n"
        "platform: sandbox\nconnection: relman_sandbox\n"
    )
    done = relman("plan", tmp_path / "shop.yaml", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert not set("\u009b\u202e\u2028\u200b") & set(done.stdout)
    assert "é" in done.stdout
    assert json.loads(done.stdout)["shape"]["description"] == odd
    for form in ("json", "sarif"):
        broken = tmp_path / f"{form}.yaml"
        broken.write_text(f"kind: ReleasePipeline\n{json.dumps(odd)}: 1\n")
        done = relman("validate", broken, "--format", form)
        assert (done.returncode, not set("\u009b\u202e") & set(done.stdout)) == (1, True)
        json.loads(done.stdout)


LONG = "not yet: " + ", ".join(f"person-{n}" for n in range(400)) + "\n\nask one of them"


class _Refusing(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps({"detail": UP_AND_OVER if self.path.endswith("/shop-1-1") else LONG}).encode()
        self.send_response(404)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_refusal_steers_nothing() -> None:
    with HTTPServer(("127.0.0.1", 0), _Refusing) as server:
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        done = relman("status", "shop-1-1", "--url", f"http://127.0.0.1:{server.server_port}", "--token", "t")
        server.shutdown()
    assert done.returncode == 1
    assert "fixes" in done.stderr
    assert "\x1b" not in done.stderr


def test_what_relman_says_is_shown_to_its_end_and_what_airflow_repeats_is_not() -> None:
    with HTTPServer(("127.0.0.1", 0), _Refusing) as server:
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        there = ("--url", f"http://127.0.0.1:{server.server_port}", "--token", "t")
        own = relman("status", "shop-2-1", *there)
        airflows = relman("release", "shop", "1.0.0", *there)
        server.shutdown()
    assert LONG in own.stderr
    assert airflows.returncode == 1
    assert "person-0" in airflows.stderr
    assert "person-200" not in airflows.stderr


def test_a_record_names_who_voted_once_and_says_why_a_vote_did_not_count() -> None:
    data = {"decision": "approve", "person": "alice", "reason": "she started it", "comment": ""}
    actor = {"kind": "person", "id": "alice", "name": "Alice Example", "via": "page"}
    at = "2026-01-05T10:00:00+00:00"
    voted = words.record_line({"kind": "gate.voted", "at": at, "actor": actor, "data": data})
    assert voted.endswith("  approve (by Alice Example via page)")
    unsigned = words.record_line({"kind": "gate.voted", "at": at, "data": data})
    assert unsigned.endswith("  approve (by alice)")
    refused = words.record_line({"kind": "vote.refused", "at": at, "actor": actor, "data": data})
    assert refused.endswith("  approve did not count: she started it (by Alice Example via page)")

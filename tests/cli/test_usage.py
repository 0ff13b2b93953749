"""What can be said without a server is said first, and a server that is none of relman's is recognised."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.cli.command import ROOT, here

NOWHERE = ("--url", "http://127.0.0.1:9", "--token", "t")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["release", "shop", "1", "--set", "novalue"], "--set 'novalue': expected NAME=VALUE"),
        (["approve", "shop-1-1", "--field", "novalue"], "--field novalue: write NAME=VALUE"),
        (["approve", "shop-1-1", "--field", "a=1", "--field", "a=2"], "--field a twice"),
        (
            ["metrics", "--from", "2026-03-02", "--to", "2026-03-01"],
            "--from 2026-03-02 is after --to 2026-03-01",
        ),
        (
            ["freeze", "--reason", "r", "--until", "2020-01-01T10:00"],
            "--until 2020-01-01T10:00: that is over",
        ),
        (
            ["freeze", "--reason", "r", "--label", "tier=critical", "--label", "tier=high"],
            "--label: tier is given twice, 'critical' and 'high'",
        ),
        (
            ["thaw", "--reason", "r", "--label", "tier=critical", "--label", "tier=high"],
            "--label: tier is given twice, 'critical' and 'high'",
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_slip_is_said_also_when_the_server_is_down(args: list[str], said: str) -> None:
    done = here(*args, *NOWHERE)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize("token", ["s3cr3t ", "s3cr3t\n", "s3cr3té"])
def test_a_token_that_can_be_none_is_not_shown(token: str) -> None:
    done = here("status", "shop-1-1", *NOWHERE[:2], "--token", token)
    assert (done.returncode, "--token: this is no token" in done.stderr) == (2, True), done.stderr
    assert "s3cr3t" not in done.stderr + done.stdout


@pytest.fixture(params=["{}", "[]", '"hello"', "no JSON"])
def stranger(request: pytest.FixtureRequest) -> Iterator[str]:
    """Serve the same to whoever asks, as JSON; give the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(request.param.encode())

        do_POST = do_GET  # noqa: N815 - as http.server names them

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_server_that_is_no_relman_is_recognised(stranger: str, tmp_path: Path) -> None:
    file = tmp_path / "e.json"
    for asked in (
        ["doctor"],
        ["status"],
        ["status", "shop-1-1"],
        ["locks"],
        ["freezes"],
        ["ledger", "show", "shop-1-1"],
        ["release", "shop", "1"],
        ["approve", "shop-1-1", "--yes"],
        ["evidence", "export", "shop-1-1", "-o", file],
        ["metrics"],
        ["report", "shop-1-1"],
        ["judge", "replay", "shop-1-1"],
    ):
        done = here(*asked, "--url", stranger, "--token", "t")
        assert done.returncode == 3, (asked, done.stdout, done.stderr)
        assert f"{stranger} answers, but not as relman's API; is it another program" in done.stderr, asked
        assert done.stderr.count("\n") == 1, done.stderr
    assert not file.exists()


@pytest.mark.parametrize(
    ("args", "wanted"),
    [
        (["plan"], "a pipeline file"),
        (["diff", ROOT / "release_specs" / "checkout.yaml"], "a pipeline file, or a plan as JSON"),
        (["judge"], "a JSON file"),
    ],
    ids=["plan", "diff", "judge"],
)
def test_a_folder_is_called_one(args: list[object], wanted: str) -> None:
    folder = ROOT / "release_specs"
    done = here(*args, folder)
    assert (done.returncode, done.stderr) == (2, f"relman: {folder} is a folder; give {wanted}\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", "it has no shape and no options"),
        ("[]", "expected an object, got list"),
        ("x", "it is no JSON"),
        ('{"shape": 1, "options": {}}', "shape: "),
    ],
)
def test_what_is_no_plan_is_said_in_words(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "e.json"
    file.write_text(text)
    done = here("diff", file, file)
    assert done.returncode == 2
    assert f"{file}: not a plan as `relman plan FILE --format json` prints it: {said}" in done.stderr


def test_a_plan_for_programs_has_what_people_are_told_of_its_times() -> None:
    file = ROOT / "release_specs" / "checkout.yaml"
    data = json.loads(here("plan", file, "--format", "json").stdout)
    text = here("plan", file).stdout
    assert data["minimum_time_s"] > 0
    assert data["rollback_time_s"] > 0
    assert "minimum time to promote" in text
    assert data["plan_hash"] in text

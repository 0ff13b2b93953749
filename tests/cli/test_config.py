"""Where address and login come from, and that secrets stay where they belong."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.cli.command import relman

COMMAND = json.dumps([sys.executable, "-c", "print('from-a-command')"])


class Asked:
    """A server that lets everybody in and remembers by what they came."""

    def __init__(self) -> None:
        self.logins: list[Any] = []
        asked = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                asked.logins.append((body["username"], body["password"]))
                self._say({"access_token": f"token-of-{body['username']}"})

            def do_GET(self) -> None:
                asked.logins.append(self.headers.get("Authorization"))
                self._say({"releases": []})

            def _say(self, body: dict[str, Any]) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.http = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def by(self, *args: object, **variables: str) -> Any:
        """Run ``relman status``; return the login it came with, or its code and complaint."""
        self.logins.clear()
        done = relman("status", *args, **variables)
        if done.returncode:
            return done.returncode, done.stderr
        return self.logins[0]


@pytest.fixture
def server() -> Iterator[Asked]:
    asked = Asked()
    with asked.http:
        Thread(target=asked.http.serve_forever, args=(0.02,), daemon=True).start()
        yield asked
        asked.http.shutdown()


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    path = tmp_path / "relman" / "config.toml"
    path.parent.mkdir()
    path.touch(0o600)
    return path


def test_options_outrank_the_environment_which_outranks_the_file(server: Asked, file: Path) -> None:
    file.write_text(f'[default]\nurl = "{server.url}"\nuser = "fay"\npassword = "of-fay"\n')
    assert server.by() == ("fay", "of-fay")
    assert server.by(RELMAN_USER="eve", RELMAN_PASSWORD="of-eve") == ("eve", "of-eve")
    assert server.by("--user", "ola", "--password", "x", RELMAN_USER="eve") == ("ola", "x")
    assert server.by(RELMAN_PASSWORD="changed") == ("fay", "changed")
    assert server.by(RELMAN_TOKEN="t") == "Bearer t"
    assert server.by("--user", "ola", RELMAN_TOKEN="t", RELMAN_PASSWORD="x") == ("ola", "x")
    assert server.by("--user", "ola") == ("ola", ""), "the password of another user is not given away"


def test_a_login_is_used_only_at_its_own_address(server: Asked, file: Path) -> None:
    file.write_text(
        f'[default]\nurl = "https://airflow.example"\ntoken = "hunter2"\n\n[other]\nurl = "{server.url}"\n'
    )
    assert server.by("--url", server.url) is None
    assert server.by("--profile", "other") is None
    doctor = relman("doctor", "--url", "http://127.0.0.1:9")
    assert "is for https://airflow.example, so it is not used" in doctor.stdout
    assert "hunter2" not in doctor.stdout + doctor.stderr


def test_a_login_of_the_environment_goes_only_to_the_environments_address(server: Asked, file: Path) -> None:
    file.write_text(
        f'[default]\nurl = "{server.url}"\n\n[bare]\nurl = "{server.url}"\n\n'
        f'[half]\nurl = "{server.url}"\nuser = "kim"\n\n'
        '[gone]\nurl = "http://127.0.0.1:9"\n\n'
        f'[other]\nurl = "{server.url}"\nuser = "fay"\npassword = "of-fay"\n'
    )
    elsewhere = {"RELMAN_URL": "http://127.0.0.1:9", "RELMAN_TOKEN": "hunter2"}
    assert server.by("--profile", "other", **elsewhere) == ("fay", "of-fay"), "what is typed outranks"
    assert server.by("--profile", "bare", **elsewhere) is None
    assert server.by("--url", server.url, **elsewhere) is None
    assert server.by("--profile", "bare", RELMAN_USER="eve", RELMAN_PASSWORD="of-eve") is None
    assert server.by("--profile", "bare", RELMAN_PROFILE="default", RELMAN_TOKEN="hunter2") is None
    assert server.by("--profile", "bare", "--token", "typed", **elsewhere) == "Bearer typed"
    assert server.by("--profile", "bare", RELMAN_URL=f"{server.url}/", RELMAN_TOKEN="t") == "Bearer t"
    same = {"RELMAN_URL": server.url, "RELMAN_USER": "eve", "RELMAN_PASSWORD": "of-eve"}
    assert server.by("--profile", "other", **same) == ("fay", "of-fay"), "also at the same address"
    assert server.by("--profile", "half", **same) == ("kim", ""), "eve's password is not kim's"
    assert server.by("--profile", "half", RELMAN_URL=server.url, RELMAN_PASSWORD="x") == ("kim", "x")
    assert server.by("--profile", "other", "--user", "ola", **same) == ("ola", "")
    assert server.by("--url", server.url, RELMAN_TOKEN="t") == "Bearer t"
    assert server.by(RELMAN_PROFILE="bare", RELMAN_TOKEN="t") == "Bearer t"
    assert server.by(RELMAN_TOKEN="t") == "Bearer t"
    doctor = relman("doctor", "--profile", "gone", RELMAN_URL=server.url, RELMAN_TOKEN="hunter2")
    assert f"RELMAN_TOKEN: for {server.url}, so not used" in doctor.stdout
    assert "hunter2" not in doctor.stdout + doctor.stderr


def test_others_may_not_say_where_to_log_in(server: Asked, file: Path) -> None:
    file.write_text(f'[default]\nurl = "{server.url}"\n')
    file.chmod(0o666)
    code, said = server.by("--user", "ola", "--password", "x")
    assert (code, f"chmod go-w {file}" in said, server.logins) == (2, True, [])
    file.chmod(0o644)
    assert server.by("--user", "ola", "--password", "x") == ("ola", "x")


@pytest.mark.parametrize(
    ("key", "login"), [("token", "Bearer from-a-command"), ("password", ("fay", "from-a-command"))]
)
def test_a_command_may_know_the_secret(server: Asked, file: Path, key: str, login: Any) -> None:
    file.chmod(0o644)
    file.write_text(f'[ci]\nurl = "{server.url}"\nuser = "fay"\n{key}_command = {COMMAND}\n')
    assert server.by("--profile", "ci") == login
    assert server.by(RELMAN_PROFILE="ci") == login
    file.chmod(0o666)
    code, said = server.by("--profile", "ci")
    assert (code, "chmod go-w" in said) == (2, True)
    file.chmod(0o600)
    file.write_text(f'[ci]\nurl = "{server.url}"\nuser = "fay"\n{key}_command = ["false"]\n')
    code, said = server.by("--profile", "ci")
    assert (code, f"{key}_command (false) ended with exit code 1" in said) == (3, True)


def test_a_secret_that_others_can_read_is_refused_with_the_remedy(server: Asked, file: Path) -> None:
    file.write_text(f'[default]\nurl = "{server.url}"\ntoken = "hunter2"\n')
    file.chmod(0o640)
    code, said = server.by()
    assert (code, f"chmod 600 {file}" in said, "hunter2" in said) == (2, True, False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[default", "is not TOML"),
        ('url = "http://localhost"\n', "outside a profile"),
        ('[default]\nulr = "http://localhost"\n', "did you mean 'url'"),
        ("[default]\nurl = 1\n", "expected text"),
        ('[default]\nurl = "http://x"\ntoken_command = "pass x"\n', "a list of program and arguments"),
        ('[default]\nuser = "x"\n', "no url"),
        ('[default]\nurl = "no-address"\n', "profile default of"),
    ],
)
def test_a_bad_file_is_a_usage_error_that_says_where(file: Path, text: str, said: str) -> None:
    file.write_text(text)
    done = relman("status")
    assert (done.returncode, str(file) in done.stderr, said in done.stderr) == (2, True, True), done.stderr


def test_a_profile_that_is_not_there_is_named(file: Path) -> None:
    file.write_text("[staging]\n[live]\n")
    done = relman("status", "--profile", "prod")
    assert (done.returncode, "it has: live, staging" in done.stderr) == (2, True)
    gone = relman("status", RELMAN_CONFIG=str(file.parent / "none.toml"))
    assert (gone.returncode, "no such configuration file" in gone.stderr) == (2, True)


def test_the_doctor_says_where_every_value_came_from(file: Path) -> None:
    file.write_text('[default]\nurl = "http://127.0.0.1:9"\nuser = "fay"\npassword = "secret"\n')
    done = relman("doctor", RELMAN_PASSWORD="hidden")
    first = done.stdout.splitlines()[0]
    assert f"url from profile default of {file}, user from profile default" in first
    assert "password from RELMAN_PASSWORD" in first
    assert not {"secret", "hidden"} & set(done.stdout.split())

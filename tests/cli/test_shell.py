"""What shells and pipes do with the command."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.cli.command import ROOT, command, environment, relman


def completed(line: str, cwd: Path = ROOT, **extra: str) -> list[str]:
    """Return what bash offers at the end of a command line."""
    words = line.split(" ")
    done = subprocess.run(
        command(),
        env=environment(
            _RELMAN_COMPLETE="complete_bash", COMP_WORDS=line, COMP_CWORD=str(len(words) - 1), **extra
        ),
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_commands_options_and_what_files_know_are_completed() -> None:
    assert "approve" in completed("relman ap")
    assert "--environment" not in completed("relman status --")
    assert completed("relman release che") == ["checkout"]
    assert "hello" in completed("relman status --pipeline ")


@pytest.mark.parametrize("line", ["relman status ", "relman approve x --gate ", "relman abort "])
def test_a_server_that_does_not_answer_is_no_matter(line: str) -> None:
    assert completed(line, RELMAN_URL="http://127.0.0.1:9") == []
    assert completed(line, RELMAN_CONFIG="/nowhere") == []


@pytest.mark.parametrize("what", ["token", "password"])
def test_tab_runs_no_command_of_a_profile(tmp_path: Path, what: str) -> None:
    ran, file = tmp_path / "ran", tmp_path / "config.toml"
    program = f'["touch", "{ran}"]'
    file.write_text(f'[default]\nurl = "http://127.0.0.1:9"\nuser = "fay"\n{what}_command = {program}\n')
    file.chmod(0o600)
    assert completed("relman status ", RELMAN_CONFIG=str(file)) == []
    assert not ran.exists()
    assert relman("status", RELMAN_CONFIG=str(file)).returncode == 3
    assert ran.exists()


def test_what_a_shell_would_run_is_not_offered(tmp_path: Path) -> None:
    specs = tmp_path / "release_specs"
    specs.mkdir()
    for name in ("shop", "shop$(touch owned)", "shop;ls", "shop\x1b[2J", "shop`id`"):
        (specs / f"{name}.yaml").write_text("kind: ReleasePipeline\n")
    assert completed("relman release sh", cwd=tmp_path) == ["shop"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell_is_shown(shell: str) -> None:
    shown = relman("--show-completion", shell)
    assert (shown.returncode, "_RELMAN_COMPLETE" in shown.stdout) == (0, True)


@pytest.mark.parametrize("args", [["schema"], ["plan", "release_specs/checkout.yaml"]])
def test_a_reader_that_goes_away_is_no_error(args: list[str]) -> None:
    with subprocess.Popen(
        command(*args), env=environment(), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""
        process.wait(60)


def test_arguments_that_are_no_text_are_refused_without_a_traceback() -> None:
    for args in (["status", "\udcff"], ["validate", "\udcff.yaml"], ["release", "\udcff", "1.0.0"]):
        done = relman(*args, RELMAN_URL="http://127.0.0.1:9", RELMAN_TOKEN="t")
        assert done.returncode in {2, 3}
    assert relman("status", "--token", "\N{SNOWMAN}").returncode == 2

"""Commands that need no server, and every command without one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command import ROOT, environment, relman
from tests.clients.test_git import Source

GOOD = """\
apiVersion: relman/v1
kind: ReleasePipeline
metadata: {name: shop, owner: team-shop}
artifact: {source: src}
stages:
  - environment: staging
"""

STAGING = """\
apiVersion: relman/v1
kind: Environment
metadata: {name: staging, owner: platform}
platform: sandbox
connection: relman_sandbox
replicas: 1
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "environments").mkdir()
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "app.py").write_text("")
    (tmp_path / "environments" / "staging.yaml").write_text(STAGING)
    (tmp_path / "shop.yaml").write_text(GOOD)
    return tmp_path


def test_good_specs_are_clean(folder: Path) -> None:
    done = relman("validate", folder)
    assert (done.returncode, done.stdout) == (0, "1 pipeline checked, no errors\n")


def test_a_mere_name_is_that_of_a_pipeline_in_the_folder_of_the_specs(folder: Path, tmp_path: Path) -> None:
    specs = {"RELMAN_SPECS": str(folder)}
    assert relman("validate", **specs).stdout == "1 pipeline checked, no errors\n"
    assert relman("plan", "shop", **specs).stdout == relman("plan", folder / "shop.yaml").stdout
    lost = relman("validate", RELMAN_SPECS=str(tmp_path / "nowhere"))
    assert lost.returncode == 2
    assert "nowhere: no such file or folder; give pipeline files" in lost.stderr
    assert relman("plan", "shoe", **specs).stderr == f"relman: shoe: no such file, nor {folder}/shoe.yaml\n"


def test_a_misspelt_key_is_a_finding_with_its_place(folder: Path) -> None:
    spec = folder / "shop.yaml"
    spec.write_text(GOOD + "    suitez: [unit]\n")
    done = relman("validate", spec)
    assert done.returncode == 1
    assert f"{spec}:7:5: " in done.stdout
    assert 'did you mean "suites"' in done.stdout
    found = json.loads(relman("validate", spec, "--format", "json").stdout)
    assert [(f["line"], f["column"], f["severity"]) for f in found] == [(7, 5, "error")]
    assert relman("validate", spec, "--format", "github").stdout.startswith("::error ")


@pytest.mark.parametrize(
    "text", [b"a: [", b"\xff\xfe", b"&a [*a]", b"", b"\x00", b"- 1", b"a: !!python/object:os.x {}"]
)
def test_bad_yaml_is_a_finding(folder: Path, text: bytes) -> None:
    spec = folder / "shop.yaml"
    spec.write_bytes(text)
    for form in ("text", "json", "github", "sarif"):
        assert relman("validate", folder, "--format", form).returncode == 1
    done = relman("plan", spec)
    assert (done.returncode, done.stdout) == (1, "")
    assert str(spec) in done.stderr


def test_only_what_was_read_as_a_spec_is_shown(folder: Path) -> None:
    outside = folder.parent / "outside.yaml"
    outside.write_text("password: hunter2\n")
    (folder / "shop.yaml").unlink()
    (folder / "shop.yaml").symlink_to(outside)
    os.mkfifo(folder / "pipe.yaml")  # opened the ordinary way it would wait for ever
    done = relman("validate", folder)
    assert done.returncode == 1
    assert (done.stdout.count("RM008"), "hunter2" in done.stdout) == (2, False)
    outside.unlink()


def test_findings_are_written_for_code_hosts_too(folder: Path) -> None:
    assert json.loads(relman("validate", folder, "--format", "sarif").stdout)["runs"][0]["results"] == []
    (folder / "shop.yaml").write_text(GOOD + "    suitez: [unit]\n")
    done = relman("validate", folder, "--format", "sarif")
    assert done.returncode == 1
    assert [r["ruleId"] for r in json.loads(done.stdout)["runs"][0]["results"]] == ["RM102"]


def test_the_schema_is_that_of_the_reference() -> None:
    done = relman("schema")
    committed = ROOT / "docs" / "reference" / "release-pipeline.schema.json"
    assert (done.returncode, done.stdout) == (0, committed.read_text())


def test_what_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    for args in (["validate", tmp_path / "no.yaml"], ["plan", tmp_path / "no.yaml"], ["validate", tmp_path]):
        done = relman(*args)
        assert (done.returncode, done.stdout) == (2, "")
        assert str(tmp_path) in done.stderr


def test_a_plan_says_what_changed_and_what_the_owners_of_environments_make_of_it(folder: Path) -> None:
    source = Source(folder / "src")
    source.commit("First", app_dot_py="1\n")
    source.tag("v1.0.0")
    source.commit("Data", migrations__1_dot_sql="x\n")
    source.tag("v1.1.0")
    spec = folder / "shop.yaml"
    spec.write_text(GOOD.replace("stages:", "assess: {risk: {weights: {migrations: 0}}}\nstages:"))
    (folder / "people.yaml").write_text(
        "apiVersion: relman/v1\nkind: People\npeople: {bob: {airflow: bob}, ann: {airflow: ann}}\n"
        "groups: {board: [bob, ann]}\n"
    )
    rule = "gates: [{approval: board, when: risk > low}]\n"
    (folder / "environments" / "staging.yaml").write_text(STAGING + rule)
    said = relman("plan", spec, "--version", "1.1.0", "--since", "1.0.0").stdout
    assert "1 of board (bob, ann); only if risk > low by the weights of staging" in said
    assert "since 1.0.0: low risk (0 points)" in said
    assert "by the weights of staging, of what is checked out: medium risk (30 points)" in said


def test_a_plan_is_shown_in_three_forms(folder: Path) -> None:
    spec = folder / "shop.yaml"
    text = relman("plan", spec, "--version", "1.2.3")
    assert (text.returncode, text.stdout.splitlines()[0]) == (0, "shop 1.2.3")
    plan = json.loads(relman("plan", spec, "--version", "1.2.3", "--format", "json").stdout)
    assert plan["plan_hash"] in text.stdout
    assert [s["id"] for s in plan["shape"]["steps"]][:3] == ["open", "build", "staging.deploy"]
    assert relman("plan", spec, "--format", "mermaid").stdout.startswith("flowchart")
    assert relman("plan", spec, "--version", "../1").returncode == 2


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["frobnicate"],
        ["validate", "nowhere"],
        ["validate", ".", "--format", "xml"],
        ["abort", "shop-1-1"],
        ["abort", "shop-1-1", "--reason", " "],
        ["release", "shop"],
        ["release", "Not A Name", "1.0.0"],
        ["release", "shop", "no version"],
        ["status", "--url", "no-address"],
        ["status", "--limit", "0"],
    ],
)
def test_usage_errors(args: list[str]) -> None:
    assert relman(*args).returncode == 2


@pytest.mark.parametrize(
    "args",
    [
        ["status"],
        ["status", "shop-1-1", "--watch"],
        ["release", "shop", "1.0.0"],
        ["approve", "shop-1-1"],
        ["reject", "shop-1-1"],
        ["abort", "shop-1-1", "--reason", "r"],
        ["hold", "shop-1-1"],
        ["resume", "shop-1-1"],
        ["doctor"],
    ],
)
def test_an_unreachable_server_is_the_environments_fault(args: list[str]) -> None:
    # Port 9 (discard) answers on no sane machine.
    done = relman(*args, RELMAN_URL="http://user:secret@127.0.0.1:9")
    assert done.returncode == 3
    assert "no answer from http://127.0.0.1:9" in done.stdout + done.stderr
    assert "secret" not in done.stdout + done.stderr


def test_the_ledger_is_made_and_checked(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    nowhere = relman("ledger", "verify", "--ledger-url", url, "--archives", tmp_path / "nope")
    assert (nowhere.returncode, "no such folder" in nowhere.stderr) == (2, True)
    before = relman("ledger", "verify", "--ledger-url", url)
    assert (before.returncode, "relman ledger migrate" in before.stderr) == (3, True)
    assert relman("ledger", "migrate", RELMAN_LEDGER_URL=url).returncode == 0
    again = relman("ledger", "migrate", "--ledger-url", url, "--format", "json")
    assert json.loads(again.stdout) == {"ledger": url, "current": True}
    went = relman("ledger", "archive", "--to", tmp_path, "--ledger-url", url, "--format", "json")
    assert json.loads(went.stdout)["files"] == []
    assert relman("ledger", "verify", "--ledger-url", url).returncode == 0
    (tmp_path / "ledger.db").write_text("not a database, and longer than a header " * 30)
    for old in tmp_path.glob("ledger.db-*"):
        old.unlink()
    broken = relman("ledger", "verify", "--ledger-url", url)
    assert broken.returncode in {1, 3}


def test_version_and_help() -> None:
    assert relman("--version").stdout.startswith("relman ")
    helped = relman("--help")
    assert (helped.returncode, "Exit codes: 0 clean" in helped.stdout) == (0, True)


def test_validate_imports_neither_airflow_nor_a_database(folder: Path) -> None:
    script = f"""
import sys
sys.argv = ["relman", "validate", {str(folder)!r}]
from relman_plugins.cli.main import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
heavy = ("airflow", "sqlalchemy", "alembic", "httpx", "fastapi", "rich.console", "relman_plugins.ledger")
found = [name for name in heavy if name in sys.modules]
assert not found, found
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr

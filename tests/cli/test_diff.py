"""``relman diff`` as a process of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command import relman

SPEC = """\
apiVersion: relman/v1
kind: ReleasePipeline
metadata: {name: shop, owner: team-shop}
artifact: {source: src}
stages:
  - {environment: staging, gates: [{approval: owners, quorum: 2}]}
"""
STAGING = """\
apiVersion: relman/v1
kind: Environment
metadata: {name: staging, owner: platform}
platform: sandbox
connection: relman_sandbox
"""
PEOPLE = """\
apiVersion: relman/v1
kind: People
people: {alice: {airflow: alice}, bob: {airflow: bob}}
groups: {owners: [alice, bob]}
"""


def folder(at: Path, spec: str) -> Path:
    (at / "environments").mkdir(parents=True)
    (at / "src").mkdir()
    (at / "environments" / "staging.yaml").write_text(STAGING)
    (at / "people.yaml").write_text(PEOPLE)
    (at / "shop.yaml").write_text(spec)
    return at / "shop.yaml"


@pytest.fixture
def before(tmp_path: Path) -> Path:
    return folder(tmp_path / "before", SPEC)


def test_two_specs(before: Path, tmp_path: Path) -> None:
    after = folder(tmp_path / "after", SPEC.replace("quorum: 2", "quorum: 1"))
    same = relman("diff", before, before)
    assert (same.returncode, same.stdout) == (0, "shop: no difference\n")
    done = relman("diff", before, after)
    assert done.returncode == 1
    assert done.stdout.splitlines()[1:] == [
        "! staging approval of owners quorum: 2 -> 1 (quorum lowered: fewer people decide)"
    ]
    assert relman("diff", after, before).returncode == 0
    found = json.loads(relman("diff", before, after, "--format", "json").stdout)
    assert found["dangerous"]
    assert (found["differences"][0]["before"], found["differences"][0]["after"]) == (2, 1)


def test_a_copy_is_read_with_what_the_original_refers_to(before: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    copy = tmp_path / "elsewhere" / "of-main.yaml"
    copy.write_text(SPEC.replace("quorum: 2", "quorum: 1"))
    for files in ((copy, before), (before, copy)):
        done = relman("diff", *files)
        assert (done.returncode, "approval of owners quorum" in done.stdout) == (int(files[1] == copy), True)
        assert f"{copy} is read with the environments, people and policies of {before.parent}" in done.stderr
    plan = tmp_path / "elsewhere" / "before.json"
    plan.write_text(relman("plan", before, "--format", "json").stdout)
    lost = relman("diff", plan, copy)
    assert (lost.returncode, "--folder names the folder of specs" in lost.stderr) == (1, True)
    assert relman("diff", plan, copy, "--folder", before.parent).returncode == 1
    assert relman("diff", plan, copy, RELMAN_SPECS=str(before.parent)).stdout.startswith("shop: 1 difference")
    # It stays a file that must be what it says it is.
    copy.unlink()
    copy.symlink_to(before)
    assert "leads out of the folder" in relman("diff", before, copy).stderr


def test_two_versions_of_a_plan(before: Path, tmp_path: Path) -> None:
    files = []
    for version in ("1.0.0", "1.1.0"):
        files.append(tmp_path / f"{version}.json")
        files[-1].write_text(relman("plan", before, "--version", version, "--format", "json").stdout)
    done = relman("diff", *files)
    assert (done.returncode, done.stdout.splitlines()[1]) == (0, "~ release version: 1.0.0 -> 1.1.0")
    assert relman("diff", files[0], before).stdout == "shop: no difference\n"


def test_what_cannot_be_compared_says_why(before: Path, tmp_path: Path) -> None:
    (tmp_path / "odd.json").write_text("[]")
    odd = relman("diff", before, tmp_path / "odd.json")
    assert (odd.returncode, "not a plan" in odd.stderr) == (2, True)
    assert relman("diff", before, tmp_path / "none.yaml").returncode == 2
    broken = folder(tmp_path / "broken", SPEC + "    suitez: []\n")
    done = relman("diff", before, broken)
    assert (done.returncode, done.stdout, "[RM" in done.stderr) == (1, "", True)

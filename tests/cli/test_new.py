"""``relman new``: what it writes is valid at once, and nothing that was there is touched."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from relman_plugins.cli.new import new
from relman_plugins.domain.identity import NAME_PATTERN
from relman_plugins.plan.compile import compile_shape
from relman_plugins.spec.api import check, load_pipeline
from tests.cli.command import ROOT, relman

POLICIES = sorted(file.stem for file in (ROOT / "release_specs" / "policies").glob("*.yaml"))
NAMES = st.from_regex(NAME_PATTERN, fullmatch=True).filter(lambda name: name != "people")


def contents(folder: Path) -> dict[str, Any]:
    return {str(p.relative_to(folder)): p.read_text() for p in sorted(folder.rglob("*")) if p.is_file()}


@settings(max_examples=30, deadline=None)
@given(
    name=NAMES,
    policy=st.sampled_from([*POLICIES, "none"]),
    environments=st.lists(NAMES, min_size=1, max_size=4, unique=True),
    approvers=st.sampled_from(["", "alice,bob", "42,Ünal Öz", "alice,bob,carol"]),
    owner=st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=40),
)
@example(name="yes", policy="none", environments=["on", "no"], approvers="", owner="true")
@example(name="null", policy="agile", environments=["open", "build", "close"], approvers="", owner="- a: {b")
def test_any_name_gives_a_folder_that_validates(
    name: str, policy: str, environments: list[str], approvers: str, owner: str
) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "specs")
        more: dict[str, Any] = {"policy": policy, "approvers": approvers, "owner": owner, "folder": folder}
        # Of two people one may start the release, and a policy may ask for both: that is warned of.
        warned = {"RM512"} if approvers.count(",") == 1 else set()
        new(name, environments=",".join(environments), **more)
        assert {d.code for d in check([folder]).diagnostics} <= warned
        other = "other" if name != "other" else "another"
        before = contents(folder)
        # Who is named is used where there is no people.yaml yet.
        more["approvers"] = "" if (folder / "people.yaml").exists() else approvers
        new(other, environments=",".join(environments), **more)
        assert {d.code for d in check([folder]).diagnostics} <= warned
        assert contents(folder).items() >= before.items()


def test_what_is_written_says_what_to_do_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    done = relman("new", "shop", "--profile", "regulated", "--approvers", "alice,bob")
    assert done.returncode == 0, done.stderr
    assert "wrote release_specs/policies/regulated.yaml" in done.stdout
    assert "relman plan release_specs/shop.yaml" in done.stdout
    people = yaml.safe_load((tmp_path / "release_specs" / "people.yaml").read_text())
    assert people["groups"] == {"release-managers": ["alice", "bob"]}
    for file in (tmp_path / "release_specs").rglob("*.yaml"):
        first = file.read_text().splitlines()[0]
        schema = first.removeprefix("# yaml-language-server: $schema=")
        assert (file.parent / schema).is_file(), f"{file}: {first}"
    again = json.loads(relman("new", "till", "--format", "json").stdout)
    assert again["written"] == ["release_specs/policies/agile.yaml", "release_specs/till.yaml"]
    assert "release_specs/people.yaml" in again["kept"]
    third = relman("new", "desk", "--approvers", "carol")
    assert (third.returncode, (tmp_path / "release_specs" / "desk.yaml").exists()) == (2, False)
    assert "is there and is kept; give one of its groups (release-managers)" in " ".join(third.stderr.split())


def test_named_approvers_are_asked_without_a_policy_too(tmp_path: Path) -> None:
    specs = tmp_path / "specs"
    args = ("--policy", "none", "--approvers", "alice,bob", "--folder", specs)
    done = relman("new", "shop", *args)
    assert done.returncode == 0, done.stderr
    found = load_pipeline(specs / "shop.yaml")
    assert found.documents is not None
    [gate] = [s for s in compile_shape(found.documents).steps if s.kind == "approval"]
    assert (gate.environment, gate.args["group"]) == ("production", "approvers")
    assert [person["id"] for person in gate.args["people"]] == ["alice", "bob"]


PEOPLE = """\
apiVersion: relman/v1
kind: People
people: {alice: {airflow: alice}, bob: {airflow: bob}, carol: {airflow: carol}}
groups: {leads: [alice, bob], release-managers: [alice, bob, carol]}
"""


@pytest.mark.parametrize("environments", ["qa,production", "production"])
@pytest.mark.parametrize(
    ("policy", "group", "asked"),
    [
        ("none", "leads", ["leads"]),
        ("agile", "leads", ["release-managers", "leads"]),
        ("agile", "release-managers", ["release-managers"]),
    ],
)
def test_a_group_there_is_may_approve(
    tmp_path: Path, policy: str, group: str, asked: list[str], environments: str
) -> None:
    specs = tmp_path / "specs"
    specs.mkdir()
    (specs / "people.yaml").write_text(PEOPLE)
    args = ("--policy", policy, "--environments", environments, "--approvers", group, "--folder", specs)
    done = relman("new", "shop", *args)
    assert done.returncode == 0, done.stderr
    found = load_pipeline(specs / "shop.yaml")
    assert found.documents is not None
    steps = compile_shape(found.documents).steps
    assert {s.environment for s in steps if s.kind == "approval"} == {"production"}
    assert sorted(s.args["group"] for s in steps if s.kind == "approval") == sorted(asked)
    assert (specs / "people.yaml").read_text() == PEOPLE


def test_a_group_is_given_alone(tmp_path: Path) -> None:
    specs = tmp_path / "specs"
    specs.mkdir()
    (specs / "people.yaml").write_text(PEOPLE)
    mixed = relman("new", "shop", "--approvers", "leads,carol", "--folder", specs)
    assert (mixed.returncode, "a group is given alone" in " ".join(mixed.stderr.split())) == (2, True)
    users = relman("new", "shop", "--approvers", "carol", "--folder", specs)
    said = " ".join(users.stderr.split())
    assert (users.returncode, "one of its groups (leads, release-managers)" in said) == (2, True)


def test_what_is_there_stays_as_it_is(tmp_path: Path) -> None:
    specs = tmp_path / "specs"
    specs.mkdir()
    (specs / "shop.yaml").write_text("mine")
    (specs / "people.yaml").write_text("apiVersion: relman/v1\nkind: People\npeople: {}\n")
    taken = relman("new", "shop", "--folder", specs)
    assert (taken.returncode, "nothing is overwritten" in taken.stderr) == (1, True)
    before = contents(specs)
    unfit = relman("new", "till", "--folder", specs)
    assert (unfit.returncode, unfit.stdout, "release-managers" in unfit.stderr) == (1, "", True)
    assert contents(specs) == before
    os.symlink(tmp_path / "nowhere.yaml", specs / "till.yaml")
    assert relman("new", "till", "--folder", specs, "--policy", "none").returncode == 1
    assert not (tmp_path / "nowhere.yaml").exists()


@pytest.mark.parametrize(
    "args",
    [
        ["Shop"],
        ["people"],
        ["../shop"],
        ["shop\n"],
        ["shop", "--policy", "chaotic"],
        ["shop", "--environments", " , "],
        ["shop", "--environments", "qa,qa"],
        ["shop", "--environments", "QA"],
        ["shop", "--source", "no/such/folder"],
    ],
)
def test_usage_errors(tmp_path: Path, args: list[str]) -> None:
    done = relman("new", *args, "--folder", tmp_path / "specs")
    assert (done.returncode, done.stdout, (tmp_path / "specs").exists()) == (2, "", False)

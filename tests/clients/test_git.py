"""What a real Git repository says of the way from one version to another."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman_plugins.clients.dependencies import changed, is_manifest
from relman_plugins.clients.git import Wanted, change_set
from relman_plugins.errors import ClientError

porcelain = pytest.importorskip("dulwich.porcelain")

PATTERNS = ("*migrations/*", "*.sql")


class Source:
    """A repository under a test's hands."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.first = ""
        porcelain.init(str(path))

    def commit(self, message: str, author: str = "Ann <ann@example.org>", **files: str | None) -> str:
        for name, text in files.items():
            file = self.path / name.replace("__", "/").replace("_dot_", ".")
            if text is None:
                file.unlink()
                porcelain.remove(str(self.path), [str(file)])
                continue
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            porcelain.add(str(self.path), [str(file)])
        who = author.encode()
        return porcelain.commit(str(self.path), message=message.encode(), author=who, committer=who).decode()

    def tag(self, name: str, *, annotated: bool = False) -> None:
        porcelain.tag_create(
            str(self.path), name.encode(), annotated=annotated, author=b"T <t@example.org>", message=b"m"
        )


@pytest.fixture
def source(tmp_path: Path) -> Source:
    made = Source(tmp_path / "repo")
    made.first = made.commit(
        "First", app__main_dot_py="one\ntwo\n", requirements_dot_txt="httpx==0.27\nrich==13\n"
    )
    made.tag("v1.0.0", annotated=True)
    return made


def wanted(**more: object) -> Wanted:
    return Wanted(**({"version": "1.1.0", "live": "1.0.0", "migrations": PATTERNS} | more))  # type: ignore[arg-type]


def test_commits_authors_files_dependencies_and_migrations(source: Source) -> None:
    source.commit("OPS-12: Prices\n\nCo-authored-by: Bo B <Bo@Example.org>", app__main_dot_py="one\nthree\n")
    source.commit("Move data (#34)", "Cy <cy@example.org>", db__migrations__1_dot_py="x\n")
    head = source.commit("Newer client", requirements_dot_txt="httpx==0.28\nattrs==24\n")
    source.tag("v1.1.0")
    found = change_set(source.path / "app", wanted())
    assert (found.head, found.head_by, found.unknown, found.backwards) == (head, "tag v1.1.0", "", False)
    assert [c.subject for c in found.commits] == ["Newer client", "Move data (#34)", "OPS-12: Prices"]
    assert [a.email for a in found.authors] == ["ann@example.org", "bo@example.org", "cy@example.org"]
    assert found.files == ("app/main.py", "db/migrations/1.py", "requirements.txt")
    assert (found.commit_count, found.file_count, found.lines) == (3, 3, 2 + 1 + 4)
    assert found.migrations == ("db/migrations/1.py",)
    assert found.issues == ("#34", "OPS-12")
    assert [d.line() for d in found.dependencies] == [
        "attrs 24 is new (requirements.txt)",
        "httpx 0.27 → 0.28 (requirements.txt)",
        "rich 13 is gone (requirements.txt)",
    ]


def test_only_the_paths_of_the_service_count(source: Source) -> None:
    source.commit("Ours", app__a_dot_py="a\n")
    source.commit("Theirs", "Cy <cy@example.org>", other__b_dot_py="b\n")
    source.tag("v1.1.0")
    found = change_set(source.path, wanted(paths=["app"]))
    assert [c.subject for c in found.commits] == ["Ours"]
    assert (found.files, [a.name for a in found.authors]) == (("app/a.py",), ["Ann"])


def test_a_version_without_a_tag_is_head_and_says_so(source: Source) -> None:
    head = source.commit("More", app__a_dot_py="a\n")
    found = change_set(source.path, wanted())
    assert (found.head, found.head_by, found.commit_count) == (head, "HEAD", 1)


def test_a_version_may_be_the_id_of_a_commit_and_a_tag_needs_no_prefix(source: Source) -> None:
    first = source.commit("More", app__a_dot_py="a\n")
    source.commit("Not released", app__b_dot_py="b\n")
    found = change_set(source.path, wanted(version=first))
    assert (found.head, found.head_by, found.commit_count) == (first, "its id", 1)
    source.tag("1.1.0")
    assert change_set(source.path, wanted()).head_by == "tag 1.1.0"


def test_a_commit_on_record_counts_more_than_a_tag_that_moved(source: Source) -> None:
    first = source.first
    source.commit("More", app__a_dot_py="a\n")
    source.tag("v1.1.0")
    porcelain.tag_delete(str(source.path), b"v1.0.0")
    source.tag("v1.0.0")
    assert change_set(source.path, wanted()).commit_count == 0
    assert change_set(source.path, wanted(live_commit=first)).commit_count == 1


def test_a_commit_on_record_that_is_gone_is_not_replaced_by_what_a_tag_says(source: Source) -> None:
    source.commit("More", app__main_dot_py="x\n")
    found = change_set(source.path, wanted(live_commit="a" * 40))
    assert found.unknown.startswith("the commit on record for 1.0.0, which is live, is not in the history")
    assert not found.is_known


def test_a_submodule_that_moves_hides_what_changed_in_it(source: Source) -> None:
    from dulwich.repo import Repo

    with Repo(str(source.path)) as repo:
        tree = repo[repo[repo.head()].tree]
        tree.add(b"db", 0o160000, b"1" * 40)
        repo.object_store.add_object(tree)
        who = b"Ann <ann@example.org>"
        repo.get_worktree().commit(message=b"Newer db", tree=tree.id, author=who, committer=who)
    found = change_set(source.path, wanted())
    assert (found.files, found.unknown) == (("db",), "what changed in submodules is not looked at: db")


def test_all_issues_are_counted_though_not_all_are_named(source: Source) -> None:
    source.commit(" ".join(f"#{n}" for n in range(1, 301)) + " OPS-1", app__main_dot_py="x\n")
    found = change_set(source.path, wanted())
    assert (len(found.issues), found.issue_count) == (200, 301)


def test_an_older_version_is_told_from_a_newer_one(source: Source) -> None:
    source.commit("More", app__a_dot_py="a\n")
    source.tag("v1.1.0")
    found = change_set(source.path, wanted(version="1.0.0", live="1.1.0"))
    assert (found.backwards, found.commit_count, found.file_count) == (True, 0, 1)


def test_what_is_not_known_is_said(source: Source, tmp_path: Path) -> None:
    assert "which commit 9.9.9, which is live" in change_set(source.path, wanted(live="9.9.9")).unknown
    assert change_set(source.path, wanted(live="")).unknown == ""
    with pytest.raises(ClientError, match="no Git history could be read"):
        change_set(tmp_path, wanted())
    broken = tmp_path / "broken" / ".git"
    broken.mkdir(parents=True)
    (broken / "HEAD").write_text("nonsense")
    with pytest.raises(ClientError, match="no Git history could be read"):
        change_set(broken.parent, wanted())


def test_nothing_of_the_repository_is_run(source: Source, tmp_path: Path) -> None:
    proof = tmp_path / "ran"
    config = source.path / ".git" / "config"
    config.write_text(
        config.read_text() + f'[core]\n\tfsmonitor = "touch {proof}"\n\tpager = "touch {proof}"\n'
    )
    hook = source.path / ".git" / "hooks" / "post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {proof}\n")
    os.chmod(hook, 0o755)
    source.commit("More", app__a_dot_py="a\n")
    change_set(source.path, wanted())
    assert not proof.exists()


REQUIRED = "require example.com/a v1.0.0\n"
LOCKED = {"packages": {"node_modules/y": {"version": "3"}}}
MANIFESTS: list[tuple[str, object, object, list[str]]] = [
    ("a/package.json", {"dependencies": {"x": "^1"}}, {"dependencies": {"x": "^2"}}, ["x ^1 → ^2"]),
    ("package-lock.json", {"packages": {}}, LOCKED, ["y 3 is new"]),
    ("Cargo.lock", '[[package]]\nname="s"\nversion="1"', '[[package]]\nname="s"\nversion="2"', ["s 1 → 2"]),
    ("pyproject.toml", '[project]\ndependencies=["z>=1"]\n', "[project]\n", ["z >=1 is gone"]),
    ("go.mod", REQUIRED, "require (\n\texample.com/a v1.2.0\n)\n", ["example.com/a v1.0.0 → v1.2.0"]),
    ("pom.xml", "<a/>", "<b/>", ["pom.xml changed"]),
    ("uv.lock", "[[", "[[package]]", ["uv.lock changed"]),
]


@pytest.mark.parametrize(("name", "before", "after", "lines"), MANIFESTS, ids=[m[0] for m in MANIFESTS])
def test_manifests_are_compared_by_what_they_say(
    name: str, before: object, after: object, lines: list[str]
) -> None:
    sides = [s if isinstance(s, str) else json.dumps(s) for s in (before, after)]
    assert is_manifest(name)
    found = [d.line().partition(" (")[0] for d in changed(name, *(s.encode() for s in sides))]
    assert found == lines


READ = ["requirements.txt", "pyproject.toml", "uv.lock", "package.json", "package-lock.json", "go.mod"]
ANYTHING = st.binary(max_size=300) | st.text(max_size=300).map(str.encode)


@given(st.sampled_from([*READ, "yarn.lock"]), ANYTHING, st.none() | ANYTHING)
def test_no_manifest_can_break_it(name: str, before: bytes, after: bytes | None) -> None:
    assert isinstance(changed(name, before, after), list)


OTHERWISE = ["[]", "1", '{"dependencies": 3}', '{"packages": [1]}', "project = 3", "package = 3", "[" * 9999]


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("text", OTHERWISE, ids=lambda t: t[:20])
def test_a_manifest_of_another_shape_is_one_change(name: str, text: str) -> None:
    assert len(changed(name, b"", text.encode())) <= 1

"""What hostile files get, to the letter. They are made here: nobody wants them in a repository.

``RELMAN_UPDATE_GOLDEN=1 pytest tests/spec/test_hostile_golden.py`` writes ``hostile/<case>.out`` anew.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from relman_plugins.spec.api import load_pipeline
from relman_plugins.spec.render import render_text

GOLDEN = Path(__file__).parent / "hostile"
HEAD = "apiVersion: relman/v1\nkind: ReleasePipeline\nmetadata: {name: p, owner: o}\nartifact: {source: .}\n"
STAGES = "stages: [{environment: e}]\n"
ENVIRONMENT = (
    "apiVersion: relman/v1\nkind: Environment\nmetadata: {name: e, owner: o}\nplatform: x\nconnection: c\n"
)
POLICY = "apiVersion: relman/v1\nkind: Policy\nmetadata: {{name: {0}, owner: o}}\n{1}"

LAUGHS = "a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)
)
TOWER = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [[[[*a{n - 1}]]]]\n" for n in range(1, 20))

TEXTS: dict[str, bytes] = {
    "alias-bomb": LAUGHS.encode(),
    "alias-tower": TOWER.encode(),
    "alias-many": ("a: &a x\nb: [" + "*a, " * 101 + "]\n").encode(),
    "alias-itself": b"a: &a {b: [*a]}\n",
    "merge-bomb": b"a: &a {x: 1}\n" + HEAD.encode() + STAGES.encode() + b"<<: [*a, *a]\n",
    "tag-python": b"a: !!python/object/apply:os.system [id]\n",
    "tag-own": b"%TAG ! tag:evil.example,2000:\n---\na: !run id\n",
    "tag-binary": b"a: !!binary aWQ=\n",
    "duplicate-keys": (HEAD + STAGES + 'stages: []\n"stages": []\n').encode(),
    "ten-megabytes": HEAD.encode() + b"# " + b"x" * 10_000_000,
    "one-byte-too-large": b"#" * 1_000_001,
    "deep-lists": b"a: " + b"[" * 100_000,
    "deep-mappings": b"{a: " * 100_000,
    "deep-blocks": b"".join(b" " * n + b"a:\n" for n in range(1_000)),
    "many-values": b"a: [" + b"x," * 50_000 + b"]\n",
    "many-documents": (HEAD + STAGES + "---\n" * 1_000).encode(),
    "nul": HEAD.encode() + b"stages:\n  - environment: e\x00vil\n",
    "escape-sequence": HEAD.encode() + b'"\\e[2J\\e]0;pwned": 1\n' + STAGES.encode(),
    "right-to-left": (HEAD + STAGES + "notify\u202e: 1\n").encode(),
    "latin-1": HEAD.encode() + b"# K\xf6ln\n" + STAGES.encode(),
    "utf-16": (HEAD + STAGES).encode("utf-16"),
    "surrogate": b'a: "\\ud800"\n',
    "number-long": b"a: " + b"9" * 100_000 + b"\n",
    "number-infinite": b"a: 1e999\n",
    "key-list": b"? [a, b]\n: c\n",
    "line-long": HEAD.encode() + b"x: " + b"y" * 100_000 + b"\n" + STAGES.encode(),
    "environment-climbs": (HEAD + "stages: [{environment: ../../etc/passwd}]\n").encode(),
    "policy-climbs": (HEAD + "extends: [../secret, /etc/passwd, .]\n" + STAGES).encode(),
}


def link_out(folder: Path) -> None:
    (folder / "p.yaml").symlink_to(_outside(folder))


def link_out_environment(folder: Path) -> None:
    (folder / "p.yaml").write_text(HEAD + STAGES)
    (folder / "environments" / "e.yaml").unlink()
    (folder / "environments" / "e.yaml").symlink_to(_outside(folder))


def link_out_policy(folder: Path) -> None:
    (folder / "p.yaml").write_text(HEAD + "extends: [q]\n" + STAGES)
    (folder / "policies" / "q.yaml").symlink_to(_outside(folder))


def link_out_folder(folder: Path) -> None:
    (folder.parent / "elsewhere").mkdir()
    (folder.parent / "elsewhere" / "q.yaml").write_text(POLICY.format("q", ""))
    (folder / "policies").rmdir()
    (folder / "policies").symlink_to("../elsewhere")
    (folder / "p.yaml").write_text(HEAD + "extends: [q]\n" + STAGES)


def link_to_itself(folder: Path) -> None:
    (folder / "p.yaml").symlink_to("p.yaml")


def link_to_nothing(folder: Path) -> None:
    (folder / "p.yaml").symlink_to("absent.yaml")


def link_to_device(folder: Path) -> None:
    (folder / "p.yaml").symlink_to("/dev/zero")


def named_pipe(folder: Path) -> None:
    os.mkfifo(folder / "p.yaml")


def directory(folder: Path) -> None:
    (folder / "p.yaml").mkdir()


def policy_bomb(folder: Path) -> None:
    (folder / "p.yaml").write_text(HEAD + "extends: [q]\n" + STAGES)
    (folder / "policies" / "q.yaml").write_text(LAUGHS)


def policies_without_end(folder: Path) -> None:
    for n in range(100):
        text = POLICY.format(f"q{n}", f"extends: [q{n + 1}]\n")
        (folder / "policies" / f"q{n}.yaml").write_text(text)
    (folder / "p.yaml").write_text(HEAD + "extends: [q0]\n" + STAGES)


def policies_in_a_ring(folder: Path) -> None:
    for n in range(3):
        names = ", ".join(f"q{m}" for m in range(3))
        (folder / "policies" / f"q{n}.yaml").write_text(POLICY.format(f"q{n}", f"extends: [{names}]\n"))
    (folder / "p.yaml").write_text(HEAD + "extends: [q0]\n" + STAGES)


FOLDERS: dict[str, Callable[[Path], None]] = {
    made.__name__.replace("_", "-"): made
    for made in (
        link_out, link_out_environment, link_out_policy, link_out_folder, link_to_itself, link_to_nothing,
        link_to_device, named_pipe, directory, policy_bomb, policies_without_end, policies_in_a_ring,
    )
}  # fmt: skip


def _outside(folder: Path) -> Path:
    outside = folder.parent / "outside.yaml"
    outside.write_text("password: hunter2\n")
    return outside


@pytest.mark.parametrize("case", [*TEXTS, *FOLDERS])
def test_hostile_files_get_this_text(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "specs"
    for inner in ("environments", "policies"):
        (folder / inner).mkdir(parents=True)
    (folder / "environments" / "e.yaml").write_text(ENVIRONMENT)
    if case in TEXTS:
        (folder / "p.yaml").write_bytes(TEXTS[case])
    else:
        FOLDERS[case](folder)
    monkeypatch.chdir(folder)
    loaded = load_pipeline(Path("p.yaml"))
    text = render_text(loaded.diagnostics, loaded.sources)
    golden = GOLDEN / f"{case}.out"
    if os.environ.get("RELMAN_UPDATE_GOLDEN") == "1":
        golden.write_text(text)
    assert loaded.documents is None
    assert "hunter2" not in text
    assert text == golden.read_text()


def test_every_golden_file_has_its_case() -> None:
    assert sorted(p.stem for p in GOLDEN.glob("*.out")) == sorted([*TEXTS, *FOLDERS])

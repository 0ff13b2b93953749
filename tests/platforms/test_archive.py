"""Artifacts: the same content is the same digest, and nothing hostile gets out of one."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relman_plugins.errors import PlatformRejected
from relman_plugins.platforms import archive


def source(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def hostile(tmp_path: Path, *members: tarfile.TarInfo, content: bytes = b"x") -> tuple[Path, str]:
    """Write an archive as an attacker would; return its path and its true digest."""
    path = tmp_path / "hostile.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for member in members:
            if member.isreg():
                member.size = len(content)
            tar.addfile(member, io.BytesIO(content) if member.isreg() else None)
    return path, "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def test_the_same_content_is_the_same_digest(tmp_path):
    files = {"b.py": "b", "a/c.txt": "c", "a/b/d": "d"}
    one = source(tmp_path / "one", files)
    two = source(tmp_path / "two", dict(reversed(files.items())))
    os.utime(two / "b.py", (1, 1))
    (two / "b.py").chmod(0o600)
    first, second = archive.pack(one, tmp_path / "store"), archive.pack(two, tmp_path / "store")
    assert first == second
    assert first.files == 3
    assert first.path.name == f"sha256-{first.digest.removeprefix('sha256:')}.tar.gz"
    assert [p.name for p in (tmp_path / "store").iterdir()] == [first.path.name]


def test_other_content_is_another_digest(tmp_path):
    one = archive.pack(source(tmp_path / "one", {"a": "1"}), tmp_path)
    assert one.digest != archive.pack(source(tmp_path / "two", {"a": "2"}), tmp_path).digest
    assert one.digest != archive.pack(source(tmp_path / "three", {"b": "1"}), tmp_path).digest


NAMES = st.lists(
    st.text("abcé._-", min_size=1, max_size=8).filter(lambda n: n.strip(".")), min_size=1, max_size=3
)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(NAMES.map("/".join), st.binary(max_size=64), min_size=1, max_size=6))
def test_what_goes_in_comes_out(tmp_path_factory, files):
    tmp_path = tmp_path_factory.mktemp("roundtrip")
    written = {}
    for name, content in files.items():
        path = tmp_path / "in" / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            continue
        written[name] = content
    packed = archive.pack(tmp_path / "in", tmp_path / "store")
    archive.unpack(packed.path, packed.digest, tmp_path / "out")
    found = {p.relative_to(tmp_path / "out").as_posix(): p for p in (tmp_path / "out").rglob("*")}
    assert {n: p.read_bytes() for n, p in found.items() if p.is_file()} == written


def test_scripts_stay_executable_and_caches_stay_out(tmp_path):
    folder = source(
        tmp_path / "in", {"run.sh": "#!/bin/sh", "a.py": "1", "__pycache__/a.pyc": "", "b.pyc": ""}
    )
    (folder / "run.sh").chmod(0o700)
    packed = archive.pack(folder, tmp_path)
    archive.unpack(packed.path, packed.digest, tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").rglob("*")) == ["a.py", "run.sh"]
    assert os.access(tmp_path / "out" / "run.sh", os.X_OK)
    assert (
        not os.access(tmp_path / "out" / "a.py", os.X_OK)
        or (tmp_path / "out/a.py").stat().st_mode & 0o111 == 0
    )


def test_a_link_is_not_packed(tmp_path):
    folder = source(tmp_path / "in", {"a": "1"})
    (folder / "secret").symlink_to("/etc/passwd")
    with pytest.raises(PlatformRejected, match="neither a file nor a directory"):
        archive.pack(folder, tmp_path)


def test_what_could_not_be_unpacked_again_is_not_packed(tmp_path):
    folder = source(tmp_path / "in", {"a": "1"})
    with (folder / "huge").open("wb") as file:
        file.truncate(archive.MAX_BYTES)  # takes no room on the disk, and would take minutes to compress
    with pytest.raises(PlatformRejected, match="an archive may have"):
        archive.pack(folder, tmp_path / "store")
    assert not (tmp_path / "store").exists()
    with pytest.raises(PlatformRejected, match="an archive may have"):
        archive.pack(source(tmp_path / "many", {"a": "1", "b": "2"}), tmp_path / "store", max_files=1)


def test_an_empty_directory_is_no_artifact(tmp_path):
    (tmp_path / "in").mkdir()
    with pytest.raises(PlatformRejected, match="no files"):
        archive.pack(tmp_path / "in", tmp_path)


def test_one_changed_byte_is_refused(tmp_path):
    packed = archive.pack(source(tmp_path / "in", {"a": "1"}), tmp_path)
    data = bytearray(packed.path.read_bytes())
    data[-1] ^= 1
    packed.path.write_bytes(data)
    with pytest.raises(PlatformRejected, match="its digest is sha256:"):
        archive.unpack(packed.path, packed.digest, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([member("../evil")], "leaves the directory"),
        ([member("a/../../evil")], "leaves the directory"),
        ([member("/evil")], "leaves the directory"),
        ([member("a\\..\\evil")], "leaves the directory"),
        ([member("link", tarfile.SYMTYPE, "/etc")], "neither a file nor a directory"),
        ([member("link", tarfile.SYMTYPE, ".."), member("link/evil")], "neither a file nor a directory"),
        ([member("link", tarfile.LNKTYPE, "/etc/passwd")], "neither a file nor a directory"),
        ([member("null", tarfile.CHRTYPE)], "neither a file nor a directory"),
        ([member("disk", tarfile.BLKTYPE)], "neither a file nor a directory"),
        ([member("pipe", tarfile.FIFOTYPE)], "neither a file nor a directory"),
        ([member("a"), member("a")], "comes twice"),
        ([member("a"), member("./a")], "comes twice"),
        ([member("."), member("b")], "neither|name"),
        ([member("a"), member("a/b")], "cannot be unpacked"),
    ],
    ids=lambda v: v if isinstance(v, str) else "+".join(m.name for m in v),
)
def test_a_hostile_archive_is_refused_whole(tmp_path, members, reason):
    path, digest = hostile(tmp_path, *members)
    inside = tmp_path / "inside"
    with pytest.raises(PlatformRejected, match=reason):
        archive.unpack(path, digest, inside / "out")
    assert not list(inside.iterdir())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["hostile.tar.gz", "inside"]


def test_a_bomb_is_refused_by_what_it_says(tmp_path):
    path, digest = hostile(tmp_path, member("a"), content=b"\0" * 200_000)
    with pytest.raises(PlatformRejected, match="100000 bytes"):
        archive.unpack(path, digest, tmp_path / "out", max_bytes=100_000)
    archive.unpack(path, digest, tmp_path / "out", max_bytes=300_000)


def test_a_bomb_is_refused_by_what_it_does(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MAX_FILES", 10)
    path = tmp_path / "padding.tar.gz"
    path.write_bytes(gzip.compress(tar_of_nothing() + b"\0" * 5_000_000))
    digest = archive.digest_of_file(path)
    long_name = tmp_path / "name.tar.gz"
    with tarfile.open(long_name, "w:gz", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(member("n" * 5_000_000))
    with pytest.raises(PlatformRejected):
        archive.unpack(long_name, archive.digest_of_file(long_name), tmp_path / "out", max_bytes=100_000)
    assert not (tmp_path / "out").exists()
    archive.unpack(path, digest, tmp_path / "padded", max_bytes=100_000)
    assert not list((tmp_path / "padded").iterdir())


def tar_of_nothing() -> bytes:
    return b"\0" * 10_240


def test_too_many_entries_are_refused(tmp_path):
    path, digest = hostile(tmp_path, *(member(f"f{i}") for i in range(20)))
    with pytest.raises(PlatformRejected, match="more than 10 entries"):
        archive.unpack(path, digest, tmp_path / "out", max_files=10)


@pytest.mark.parametrize("keep", [0, 10, 60])
def test_a_truncated_archive_is_refused(tmp_path, keep):
    packed = archive.pack(source(tmp_path / "in", {"a": "1" * 5000}), tmp_path)
    packed.path.write_bytes(packed.path.read_bytes()[:keep])
    with pytest.raises(PlatformRejected, match="cannot be unpacked"):
        archive.unpack(packed.path, archive.digest_of_file(packed.path), tmp_path / "out")


@pytest.mark.parametrize("digest", ["", "sha256:", "md5:" + "0" * 32, "sha256:" + "G" * 64, "sha256:../../x"])
def test_what_is_no_digest_names_no_file(tmp_path, digest):
    with pytest.raises(PlatformRejected, match="is no digest"):
        archive.store_path(tmp_path, digest)


def test_an_absent_artifact_is_said_to_be_absent(tmp_path):
    with pytest.raises(PlatformRejected, match="cannot read the artifact"):
        archive.unpack(tmp_path / "no", "sha256:" + "0" * 64, tmp_path / "out")

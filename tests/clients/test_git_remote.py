"""A repository elsewhere, served by Git itself over HTTP; and servers and repositories that mean harm."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from relman_plugins.clients.git_remote import Limits, remote_change_set
from relman_plugins.domain.change_set import ChangeSet
from relman_plugins.errors import ClientError, ClientRejected, ClientUnavailable
from relman_plugins.hooks.git import headers_of
from tests.clients.git_http import LOGIN, GitServer
from tests.clients.test_git import Source, porcelain, wanted


@pytest.fixture
def source(tmp_path: Path) -> Source:
    (tmp_path / "served").mkdir()
    made = Source(tmp_path / "served" / "checkout")
    made.first = made.commit("First", app__main_dot_py="one\n", requirements_dot_txt="httpx==0.27\n")
    made.tag("v1.0.0", annotated=True)
    return made


@pytest.fixture
def server(source: Source) -> Iterator[GitServer]:
    with GitServer(source.path.parent) as made:
        yield made


def read(server: GitServer, tmp_path: Path, **more: Any) -> ChangeSet:
    asked = {"wanted": wanted(), "folder": tmp_path / "mirrors"} | more
    return remote_change_set(f"{server.url}/checkout", **asked)


def test_the_change_is_read_as_from_a_directory_and_fetched_on_from_what_is_there(
    server: GitServer, source: Source, tmp_path: Path
) -> None:
    source.commit("OPS-7 Newer", "Bo <bo@example.org>", requirements_dot_txt="httpx==0.28\n")
    head = source.commit("More", db__migrations__1_dot_sql="x\n")
    source.tag("v1.1.0")
    found = read(server, tmp_path)
    assert (found.head, found.head_by, found.unknown) == (head, "tag v1.1.0", "")
    assert [c.subject for c in found.commits] == ["More", "OPS-7 Newer"]
    assert (found.issues, found.migrations) == (("OPS-7",), ("db/migrations/1.sql",))
    assert [d.line() for d in found.dependencies] == ["httpx 0.27 → 0.28 (requirements.txt)"]
    source.commit("Later", app__b_dot_py="b\n")
    source.tag("v1.2.0")
    assert read(server, tmp_path, wanted=wanted(version="1.2.0")).commit_count == 3
    assert [path.suffix for path in (tmp_path / "mirrors").iterdir() if path.is_dir()] == [""]
    assert stat.S_IMODE((tmp_path / "mirrors").stat().st_mode) == 0o700


def test_without_a_tag_the_servers_head_counts_and_a_tag_that_is_gone_is_forgotten(
    server: GitServer, source: Source, tmp_path: Path
) -> None:
    source.commit("More", app__a_dot_py="a\n")
    source.tag("v1.1.0")
    assert read(server, tmp_path).head_by == "tag v1.1.0"
    porcelain.tag_delete(str(source.path), b"v1.1.0")
    assert read(server, tmp_path).head_by == "HEAD"


def test_a_server_that_is_gone_leaves_what_was_known_marked_with_its_age(
    server: GitServer, source: Source, tmp_path: Path
) -> None:
    source.commit("More", app__a_dot_py="a\n")
    source.tag("v1.1.0")
    read(server, tmp_path)
    server.stop()
    found = read(server, tmp_path)
    assert found.commit_count == 1
    assert found.unknown.startswith("the repository can't be asked now (no answer); this is how it was at 2")
    with pytest.raises(ClientUnavailable, match="no answer"):
        read(server, tmp_path, folder=tmp_path / "others")


def test_a_login_goes_to_the_connections_own_server_only(
    server: GitServer, source: Source, tmp_path: Path
) -> None:
    server.login = LOGIN
    source.tag("v1.1.0")
    with pytest.raises(ClientRejected, match="it wants another login"):
        read(server, tmp_path)
    address = f"{server.url}/checkout"
    mine = connection(port=server.port)
    assert read(server, tmp_path, headers=headers_of("git", mine, address)).head_by == "tag v1.1.0"
    for other in (
        connection(port=server.port + 1),
        connection(host="git.example", port=server.port),
        connection(host="", port=None),
        connection(schema="https", port=server.port),
    ):
        with pytest.raises(ClientRejected, match="not for the repository"):
            headers_of("git", other, address)


def connection(**more: Any) -> Any:
    said = {"host": "127.0.0.1", "schema": "http", "port": 80, "login": "bot", "password": "secret"}
    return SimpleNamespace(**({"extra_dejson": {}} | said | more))


@pytest.mark.parametrize(
    "address",
    [
        "ext::sh -c touch% /tmp/relman-was-here",
        "--upload-pack=touch /tmp/relman-was-here",
        "ssh://-oProxyCommand=touch/x",
        "git@git.example:shop/checkout.git",
        "file:///etc",
        "git://git.example/shop",
        "https://bot:secret@git.example/shop",
        "https://git.example/shop?x=1",
        "https://git.example/../etc",
        "https://git.example/.git/config\n",
        "https://git.example",
        "https://git.example/" + "a" * 300,
    ],
)
def test_addresses_that_are_none_are_refused_unasked(address: str, tmp_path: Path) -> None:
    with pytest.raises(ClientRejected) as refused:
        remote_change_set(address, wanted(), tmp_path)
    assert "secret" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_what_a_server_says_instead_of_git_is_refused_and_never_followed(
    server: GitServer, source: Source, tmp_path: Path
) -> None:
    def redirect(handler: BaseHTTPRequestHandler) -> bool:
        handler.send_response(302)
        handler.send_header("Location", f"{server.url}/stolen")
        handler.end_headers()
        return True

    def page(handler: BaseHTTPRequestHandler) -> bool:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/html")
        handler.end_headers()
        handler.wfile.write(b"<h1>Sign in</h1>")
        return True

    for twist, why in ((redirect, "sends elsewhere"), (page, "no Git server that speaks smart HTTP")):
        server.twist = twist
        with pytest.raises(ClientRejected, match=why):
            read(server, tmp_path, headers={"Authorization": "Bearer secret"})
    assert not any("stolen" in path for path in server.asked)


def test_a_transfer_that_is_too_large_or_too_slow_is_given_up(
    server: GitServer, source: Source, tmp_path: Path
) -> None:
    (source.path / "noise").write_bytes(os.urandom(3_000_000))
    porcelain.add(str(source.path), [str(source.path / "noise")])
    source.commit("Noise")
    source.tag("v1.1.0")
    with pytest.raises(ClientRejected, match="sends more than relman takes"):
        read(server, tmp_path, limits=Limits(transfer=1_000_000))

    def hang(handler: BaseHTTPRequestHandler) -> bool:
        handler.rfile.read(1)
        return True

    server.twist = hang
    with pytest.raises(ClientUnavailable, match=r"within 2 s"):
        read(server, tmp_path, limits=Limits(seconds=2.0))
    server.twist = lambda _: False
    assert read(server, tmp_path).file_count == 1


def test_an_object_that_grows_beyond_the_memory_ends_nothing_but_the_reading(
    server: GitServer, source: Source, tmp_path: Path
) -> None:
    """A hundred kilobytes on the wire, eighty megabytes unpacked."""
    limits = Limits(memory=230_000_000)
    source.tag("v1.1.0")
    assert read(server, tmp_path, limits=limits).head_by == "tag v1.1.0"
    (source.path / "bomb").write_bytes(bytes(80_000_000))
    porcelain.add(str(source.path), [str(source.path / "bomb")])
    source.commit("Bomb")
    source.tag("v1.2.0")
    with pytest.raises(ClientError, match="takes more"):
        read(server, tmp_path, wanted=wanted(version="1.2.0"), limits=limits)


def test_names_of_refs_never_become_paths(server: GitServer, source: Source, tmp_path: Path) -> None:
    source.commit("More", app__a_dot_py="a\n")
    source.tag("v1.1.0")
    packed = source.path / ".git" / "packed-refs"
    sha = source.first
    packed.write_text(f"{sha} refs/heads/../../../evil\n{sha} refs/tags/v9/../../x\n")
    with suppress(ClientError):  # Git itself may refuse to serve such a thing
        read(server, tmp_path)
    names = {p.relative_to(tmp_path / "mirrors").parts[1:] for p in (tmp_path / "mirrors").rglob("refs/**/*")}
    assert all("evil" not in "/".join(parts) for parts in names)
    assert not (tmp_path / "evil").exists()


def test_a_damaged_mirror_is_begun_anew(server: GitServer, source: Source, tmp_path: Path) -> None:
    source.commit("More", app__a_dot_py="a\n")
    source.tag("v1.1.0")
    before = read(server, tmp_path)
    for pack in (tmp_path / "mirrors").rglob("*.pack"):
        pack.chmod(0o644)
        pack.write_bytes(b"PACK" + bytes(100))
    assert read(server, tmp_path) == before


def test_a_folder_that_others_can_write_is_not_used(
    server: GitServer, source: Source, tmp_path: Path
) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(ClientUnavailable, match="can be written by others"):
        read(server, tmp_path, folder=folder)


def test_the_history_is_fetched_to_its_depth_only(server: GitServer, source: Source, tmp_path: Path) -> None:
    for n in range(6):
        source.commit(f"Commit {n}", app__a_dot_py=f"{n}\n")
    source.tag("v1.1.0")
    found = read(server, tmp_path, wanted=replace(wanted(), live=""), limits=Limits(depth=2))
    assert found.head_by == "tag v1.1.0"

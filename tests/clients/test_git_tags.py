"""The tags of a repository: on this machine, and elsewhere by Git's own server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from relman_plugins.clients.git_tags import remote_tags, tags
from relman_plugins.errors import ClientError, ClientRejected, ClientUnavailable
from tests.clients.git_http import GitServer
from tests.clients.test_git import Source


@pytest.fixture
def source(tmp_path: Path) -> Source:
    (tmp_path / "served").mkdir()
    made = Source(tmp_path / "served" / "checkout")
    made.commit("First", a_dot_py="one\n")
    made.tag("v1.0.0", annotated=True)
    made.commit("Second", a_dot_py="two\n")
    made.tag("v1.10.0")
    made.tag("nightly/1")
    return made


def test_tags_are_those_of_the_repository_that_a_folder_lies_in(source: Source) -> None:
    (source.path / "deep").mkdir()
    assert tags(source.path / "deep") == ["nightly/1", "v1.0.0", "v1.10.0"]


def test_a_folder_without_a_repository_is_said(tmp_path: Path) -> None:
    with pytest.raises(ClientError, match="no Git tags could be read"):
        tags(tmp_path)


def test_a_server_lists_the_same_tags_once_each(source: Source) -> None:
    with GitServer(source.path.parent) as server:
        assert remote_tags(f"{server.url}/checkout") == tags(source.path)
        with pytest.raises(ClientError):
            remote_tags(f"{server.url}/missing")


@contextmanager
def answering(body: bytes, kind: str = "application/x-git-upload-pack-advertisement") -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/x.git"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("body", [b"zzzz", b"00", b"0003", b"ffffabc", b"-001"])
def test_what_is_no_list_of_references_is_refused(body: bytes) -> None:
    with answering(body) as address, pytest.raises(ClientUnavailable, match="is not understood"):
        remote_tags(address)


def test_a_page_is_no_git_server_and_odd_addresses_are_not_asked() -> None:
    with answering(b"<html>", "text/html") as address, pytest.raises(ClientRejected, match="no Git server"):
        remote_tags(address)
    for address in ("file:///etc", "http://me:secret@forge.example/x", "ext::sh"):
        with pytest.raises(ClientRejected, match="the repository must"):
            remote_tags(address)

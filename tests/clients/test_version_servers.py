"""Servers that list versions: an OCI registry and a package index, as their protocols say, and odd ones."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from relman_plugins.clients.package_index import package_versions
from relman_plugins.clients.registry import image_tags
from relman_plugins.errors import ClientRejected, ClientUnavailable

Answer = tuple[int, dict[str, str], Any]
SIGNED = {"Authorization": "Basic bWU6c2VjcmV0"}


@contextmanager
def serving(answer: Callable[[str, dict[str, str]], Answer]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = answer(self.path, dict(self.headers))
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


class Registry:
    """Gives tags by pages of two, to whoever has a token; that gets who signs in, or everybody."""

    def __init__(self, tags: list[str], anonymous: bool = False, realm: str = "") -> None:
        self.tags, self.anonymous, self.realm, self.seen = tags, anonymous, realm, []

    def __call__(self, path: str, headers: dict[str, str]) -> Answer:
        asked, said = urlsplit(path), headers.get("Authorization", "")
        self.seen.append((asked.path, said))
        query = {key: values[0] for key, values in parse_qs(asked.query).items()}
        if asked.path == "/token":
            assert query == {"service": "reg", "scope": "repository:shop/checkout:pull"}
            good = self.anonymous or said == SIGNED["Authorization"]
            return (200, {}, {"token": "t0k"}) if good else (401, {}, {})
        if said != "Bearer t0k":
            realm = self.realm or f"http://{headers['Host']}/token"
            return 401, {"WWW-Authenticate": f'Bearer realm="{realm}",service="reg",scope="x"'}, {}
        assert asked.path == "/v2/shop/checkout/tags/list"
        after = self.tags.index(query["last"]) + 1 if "last" in query else 0
        page = self.tags[after : after + 2]
        more = {"Link": f'</v2/shop/checkout/tags/list?last={page[-1]}&n=2>; rel="next"'}
        return 200, more if after + 2 < len(self.tags) else {}, {"name": "shop/checkout", "tags": page}


MORE = 'rel="next"'
TAGS = ["1.0.0", "1.1.0", "1.10.0", "latest", "2.0.0-rc.1"]


@pytest.mark.parametrize("headers", [{}, SIGNED])
def test_all_pages_of_tags_are_read_with_a_token_that_the_registry_gives(headers: dict[str, str]) -> None:
    registry = Registry(TAGS, anonymous=not headers)
    with serving(registry) as url:
        assert image_tags(f"{url}/shop/checkout", headers) == TAGS
    assert [path for path, _ in registry.seen].count("/token") == 1


def test_a_registry_that_does_not_let_in_is_said() -> None:
    with serving(Registry(TAGS)) as url, pytest.raises(ClientRejected, match="401"):
        image_tags(f"{url}/shop/checkout")


def test_a_login_is_not_sent_to_another_host_that_a_registry_names() -> None:
    elsewhere = Registry(TAGS, anonymous=True)
    with serving(elsewhere) as other:
        registry = Registry(TAGS, realm=f"{other}/token")
        with serving(registry) as url:
            assert image_tags(f"{url}/shop/checkout", SIGNED) == TAGS
    assert elsewhere.seen == [("/token", "")]


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        ((200, {}, b"<html>"), ClientUnavailable, "is no list of tags"),
        ((200, {}, {"tags": [1]}), ClientUnavailable, "is no list of tags"),
        ((200, {}, {"tags": None}), None, ""),
        ((404, {}, {}), ClientRejected, "404"),
        ((302, {"Location": "http://elsewhere.example/"}, {}), ClientRejected, "302"),
        ((200, {"Link": f"<http://other.example/v2/x>; {MORE}"}, {"tags": []}), ClientRejected, "elsewhere"),
        ((200, {"Link": f"</v2/shop/checkout/tags/list>; {MORE}"}, {"tags": []}), ClientRejected, "more"),
        ((401, {"WWW-Authenticate": 'Bearer realm="file:///etc"'}, {}), ClientRejected, "not an address"),
        ((503, {}, {}), ClientUnavailable, "503"),
    ],
)  # fmt: skip
def test_what_is_no_registry_ends_in_an_error(
    answer: Answer, error: type[Exception] | None, said: str
) -> None:
    with serving(lambda *_: answer) as url:
        if error is None:
            assert image_tags(f"{url}/shop/checkout") == []
            return
        with pytest.raises(error, match=said):
            image_tags(f"{url}/shop/checkout")


KIND = {"Content-Type": "application/vnd.pypi.simple.v1+json"}
FILES = [
    {"filename": "shop_checkout-1.4.0-py3-none-any.whl"},
    {"filename": "shop_checkout-1.4.0.tar.gz"},
    {"filename": "shop_checkout-1.5.0.tar.gz", "yanked": "broken"},
    {"filename": "shop_checkout-1.6.0rc1.zip", "yanked": False},
    {"filename": "shop_checkout-1.4.0.exe"},
    {"filename": "../../etc"},
]


def test_the_versions_of_a_project_are_those_of_its_files_that_were_not_yanked() -> None:
    def index(path: str, headers: dict[str, str]) -> Answer:
        assert (path, headers["Accept"]) == ("/simple/shop-checkout/", KIND["Content-Type"])
        return 200, KIND, {"files": FILES}

    with serving(index) as url:
        assert package_versions(f"{url}/simple/shop-checkout") == ["1.4.0", "1.6.0rc1"]


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        ((200, {"Content-Type": "text/html"}, b"<a>"), ClientRejected, "no JSON of PEP 691"),
        ((200, KIND, {"files": [{}]}), ClientUnavailable, "not understood"),
        ((200, KIND, []), ClientUnavailable, "not understood"),
        ((404, {}, {}), ClientRejected, "404"),
    ],
)
def test_what_is_no_index_ends_in_an_error(answer: Answer, error: type[Exception], said: str) -> None:
    with serving(lambda *_: answer) as url, pytest.raises(error, match=said):
        package_versions(f"{url}/simple/x")


def test_only_addresses_are_asked() -> None:
    for ask in (image_tags, package_versions):
        with pytest.raises(ClientRejected, match="address must"):
            ask("http://me:secret@forge.example/x")

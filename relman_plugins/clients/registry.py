"""The tags of an image in a registry that speaks OCI's distribution protocol, and Docker's tokens."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from relman_plugins.clients.http import client, request
from relman_plugins.domain.repository import host_of, refused
from relman_plugins.errors import ClientRejected, ClientUnavailable

if TYPE_CHECKING:
    import httpx

LIMIT_S = 60.0
MOST_PAGES = 100
MOST_TAGS = 200_000

_PART = re.compile(r'([a-zA-Z]+)="([^"]*)"')
_NEXT = re.compile(r'<([^>]+)>\s*;\s*rel="?next"?')


def image_tags(address: str, headers: Mapping[str, str] | None = None) -> list[str]:
    """Return the tags of the image at an address such as ``https://ghcr.io/shop/checkout``.

    ``headers`` sign in, and are sent to this host only: a registry whose tokens come from another gives
    those for everybody. Redirects are not followed.

    Raises:
        ClientRejected: the address is none that is used, or the registry says no.
        ClientUnavailable: it can't be reached, or is not understood.
    """
    if why := refused(address):
        raise ClientRejected(f"the registry's address {why}")
    parts = urlsplit(address)
    root, name = f"{parts.scheme}://{parts.netloc}", parts.path.strip("/")
    found: list[str] = []
    path: str | None = f"/v2/{name}/tags/list"
    sent = dict(headers or {})
    with client(root) as http:
        for _ in range(MOST_PAGES):
            answer, sent = _get(http, str(path), sent, name)
            found += _tags(answer, address)
            path = _next(answer, root)
            if path is None:
                return found
            if len(found) > MOST_TAGS:
                break
    raise ClientRejected(f"{host_of(address)} lists more tags than are read; name a smaller image")


def _get(
    http: httpx.Client, path: str, headers: dict[str, str], name: str
) -> tuple[httpx.Response, dict[str, str]]:
    """Return the answer, and the headers with which it came: with a token, if the registry wants one."""
    try:
        return request(http, "GET", path, headers=headers, limit_s=LIMIT_S), headers
    except ClientRejected as error:
        scheme, _, challenge = error.challenge.partition(" ")
        if error.status != 401 or scheme.lower() != "bearer":
            raise
        told = {key.lower(): value for key, value in _PART.findall(challenge)}
    realm = told.get("realm", "")
    with client(realm) as tokens:
        here, there = urlsplit(str(http.base_url)), urlsplit(realm)
        if there.scheme != here.scheme:
            raise ClientRejected("the registry's tokens come over another protocol than its tags")
        mine = there.netloc == here.netloc
        asked = {"service": told.get("service", ""), "scope": f"repository:{name}:pull"}
        answer = request(tokens, "GET", realm, params=asked, headers=headers if mine else {}, limit_s=LIMIT_S)
    try:
        body = answer.json()
        token = body.get("token") or body["access_token"]
    except (ValueError, LookupError, AttributeError):
        raise ClientUnavailable("the registry's token is not understood") from None
    headers = {"Authorization": f"Bearer {token}"}
    return request(http, "GET", path, headers=headers, limit_s=LIMIT_S), headers


def _tags(answer: httpx.Response, address: str) -> list[str]:
    try:
        tags = answer.json()["tags"] or []
        if not all(isinstance(tag, str) for tag in tags):
            raise ValueError
    except (ValueError, LookupError, TypeError):
        raise ClientUnavailable(f"what {host_of(address)} answers is no list of tags") from None
    return list(tags)


def _next(answer: httpx.Response, root: str) -> str | None:
    """Return the path of the next page; None after the last. Another host's is none of ours."""
    link = _NEXT.search(answer.headers.get("Link", ""))
    if link is None:
        return None
    path = link[1].removeprefix(root)
    if not path.startswith("/v2/"):
        raise ClientRejected("the registry sends elsewhere for the rest of its tags")
    return path

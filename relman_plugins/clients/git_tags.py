"""The tags of a Git repository: on this machine by dulwich, elsewhere by the list that each server sends.

That list is asked for without anything being fetched: no pack is opened, and nothing is stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from relman_plugins.clients.git import opened
from relman_plugins.clients.http import client, request
from relman_plugins.domain.repository import host_of, refused
from relman_plugins.errors import ClientRejected, ClientUnavailable

LIMIT_S = 60.0
MOST_BYTES = 32 * 1024 * 1024
"""A server lists all of its references: some hundred thousand fit."""

_TAGS = "refs/tags/"
_ADVERTISED = "application/x-git-upload-pack-advertisement"


def tags(place: Path) -> list[str]:
    """Return the names of the tags of the repository that ``place`` lies in.

    Raises:
        ClientError: there is no repository, or it can't be read.
    """
    with opened(place, "tags") as repo:
        return sorted(name.decode("utf-8", "replace") for name in repo.refs.keys(base=b"refs/tags/"))  # type: ignore[arg-type]


def remote_tags(address: str, headers: Mapping[str, str] | None = None) -> list[str]:
    """Return the names of the tags of the repository at an address over HTTP.

    ``headers`` sign in, and are sent to this address only.

    Raises:
        ClientRejected: the address is none that is used, the server says no, or it speaks no Git.
        ClientUnavailable: it can't be reached.
    """
    if why := refused(address):
        raise ClientRejected(f"the repository {why}")
    wanted = f"{address.rstrip('/')}/info/refs"
    with client(address, headers=headers) as http:
        answer = request(
            http, "GET", wanted, params={"service": "git-upload-pack"}, limit_s=LIMIT_S, max_bytes=MOST_BYTES
        )
    if answer.headers.get("Content-Type", "").partition(";")[0].strip() != _ADVERTISED:
        raise ClientRejected(f"{host_of(address)} is no Git server that speaks smart HTTP there")
    try:
        names = [_name(line) for line in _lines(answer.content)]
    except ValueError:
        raise ClientUnavailable(
            f"what {host_of(address)} lists of the repository is not understood"
        ) from None
    return sorted(
        name.removeprefix(_TAGS) for name in names if name.startswith(_TAGS) and not name.endswith("^{}")
    )


def _lines(body: bytes) -> Iterator[bytes]:
    """Yield the lines of Git's pkt-line format: four hexadecimal digits of length before each; 0000 is none.

    Raises ValueError for anything else.
    """
    at = 0
    while at < len(body):
        length = int(body[at : at + 4], 16)
        if length == 0 and at + 4 <= len(body):
            at += 4
            continue
        if length < 4 or at + length > len(body):
            raise ValueError("a line that is cut off")
        yield body[at + 4 : at + length]
        at += length


def _name(line: bytes) -> str:
    """Return the name of the reference in a line ``<id> <name>``; empty for what is none."""
    return line.split(b"\x00")[0].strip().partition(b" ")[2].decode("utf-8", "replace")

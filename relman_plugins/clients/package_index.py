"""The versions of a package in an index that speaks the JSON of PEP 691, as most do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relman_plugins.clients.http import client, request
from relman_plugins.domain.repository import host_of, refused
from relman_plugins.errors import ClientRejected, ClientUnavailable

LIMIT_S = 60.0
MOST_BYTES = 64 * 1024 * 1024
_JSON = "application/vnd.pypi.simple.v1+json"


def package_versions(address: str, headers: Mapping[str, str] | None = None) -> list[str]:
    """Return the versions of a project at an address such as ``https://packages.example/simple/checkout``.

    What was yanked as a whole is left out. ``headers`` sign in, and are sent to this address only.

    Raises:
        ClientRejected: the address is none that is used, the index says no or has no JSON.
        ClientUnavailable: it can't be reached, or is not understood.
    """
    if why := refused(address):
        raise ClientRejected(f"the index's address {why}")
    with client(address) as http:
        answer = request(
            http,
            "GET",
            f"{address.rstrip('/')}/",
            headers={**(headers or {}), "Accept": _JSON},
            limit_s=LIMIT_S,
            max_bytes=MOST_BYTES,
        )
    if answer.headers.get("Content-Type", "").partition(";")[0].strip() != _JSON:
        raise ClientRejected(f"{host_of(address)} gives no JSON of PEP 691 for the project")
    try:
        files = [
            (_version(str(file["filename"])), bool(file.get("yanked"))) for file in answer.json()["files"]
        ]
    except (ValueError, LookupError, TypeError, AttributeError):
        raise ClientUnavailable(f"what {host_of(address)} lists of the project is not understood") from None
    return sorted({version for version, yanked in files if version and not yanked})


def _version(filename: str) -> str:
    """Return the version in a file's name; empty for what is neither a wheel nor a source archive."""
    from packaging.utils import (
        InvalidSdistFilename,
        InvalidWheelFilename,
        parse_sdist_filename,
        parse_wheel_filename,
    )

    found: Any
    try:
        found = (
            parse_wheel_filename(filename) if filename.endswith(".whl") else parse_sdist_filename(filename)
        )
    except (InvalidSdistFilename, InvalidWheelFilename):
        return ""
    return str(found[1])

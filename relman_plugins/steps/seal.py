"""A seal on what a step leaves in XCom: any Airflow user may write XCom, nobody but a worker can seal."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

from relman_plugins import settings
from relman_plugins.domain.base import canonical_json

_KEY_BYTES = 32


def seal(where: tuple[str, str, str], data: dict[str, Any]) -> dict[str, Any]:
    """Return ``data`` with a seal that binds it to a DAG, a run and a step."""
    return {"data": data, "seal": _mac(where, data)}


def opened(where: tuple[str, str, str], sealed: Any) -> dict[str, Any] | None:
    """Return what was sealed for this place; None for anything else, forged or from another machine's key."""
    if not isinstance(sealed, dict) or not isinstance(sealed.get("data"), dict):
        return None
    data: dict[str, Any] = sealed["data"]
    return data if hmac.compare_digest(str(sealed.get("seal")), _mac(where, data)) else None


def _mac(where: tuple[str, str, str], data: dict[str, Any]) -> str:
    text = canonical_json({"where": list(where), "data": data})
    return hmac.new(_key(settings.home() / "seal.key"), text.encode(), hashlib.sha256).hexdigest()


def _key(path: Path) -> bytes:
    """Read the key, made at its first use; only the workers' user may read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    if not path.exists():
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
        with suppress(FileExistsError):
            # A link never replaces the key of a process that was faster.
            os.link(temporary, path)
        temporary.unlink()
    return path.read_bytes()

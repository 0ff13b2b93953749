"""What a Git repository elsewhere says of the way from one version to another.

It is fetched into a mirror of relman's own and read there, both in a process of its own with limits on time,
memory and disk: what a server sends is not trusted, and a hostile repository ends that process and nothing
else. Only what comes out of it as data is used.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

from pydantic import ValidationError

from relman_plugins.clients.git import NEEDS_DULWICH, Wanted
from relman_plugins.domain.change_set import ChangeSet
from relman_plugins.domain.repository import host_of, refused
from relman_plugins.errors import ClientError, ClientRejected, ClientUnavailable

_PASSED_ON = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "https_proxy",
    "http_proxy",
    "no_proxy",
)
"""What of the environment the process needs to reach a server; connections and keys are in the rest."""

_MOST_ANSWER = 16 * 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """What reading one repository may take. Beyond that nothing is known of it."""

    seconds: float = 180.0
    """As a whole; the process is killed then."""
    transfer: int = 512 * 1024 * 1024
    """Bytes that one fetch may receive, and a file of the mirror may have."""
    memory: int = 3 * 1024 * 1024 * 1024
    """Bytes of address space: packs are mapped into it."""
    depth: int = 20_000
    """How far back the history is fetched, in commits."""


def remote_change_set(
    address: str,
    wanted: Wanted,
    folder: Path,
    headers: Mapping[str, str] | None = None,
    limits: Limits | None = None,
) -> ChangeSet:
    """Return what changed between the two versions, by the repository at an address.

    ``folder`` is where mirrors are kept; it is made, for this user alone. ``headers`` sign in, and are sent
    to this address only. When the server can't be reached and there is a mirror of before, that is read, and
    ``unknown`` says so and from when it is.

    Raises:
        ClientRejected: the address is none that is used, or the server doesn't let relman in.
        ClientUnavailable: it can't be reached or read within the limits.
    """
    if why := refused(address):
        raise ClientRejected(f"the repository {why}")
    if find_spec("dulwich") is None:
        raise ClientUnavailable(NEEDS_DULWICH)
    host = host_of(address)
    mirror = _mirror(folder, address)
    asked = {
        "address": address,
        "headers": dict(headers or {}),
        "mirror": str(mirror),
        "wanted": asdict(wanted),
        "limits": asdict(limits or Limits()),
    }
    answer = _run(json.dumps(asked).encode(), host, (limits or Limits()).seconds)
    if error := answer.get("error"):
        kind: type[ClientError] = ClientRejected if answer.get("rejected") else ClientUnavailable
        raise kind(f"the repository at {host} can't be read: {error}")
    try:
        return ChangeSet.model_validate(answer.get("changes"))
    except ValidationError:
        raise ClientUnavailable(f"the repository at {host} can't be read: no answer came out of it") from None


def _mirror(folder: Path, address: str) -> Path:
    """Return the place of an address's mirror, in a folder that nobody else can write.

    Raises ClientUnavailable when there is no such folder and none can be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        about = folder.lstat()
    except OSError as error:
        raise ClientUnavailable(f"the folder of mirrors can't be made: {error.strerror}") from error
    ours = about.st_uid == os.geteuid() and not about.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if not ours or not stat.S_ISDIR(about.st_mode):
        raise ClientUnavailable(f"the folder of mirrors, {folder}, can be written by others; remove it")
    return folder / hashlib.sha256(address.encode()).hexdigest()[:32]


def _run(asked: bytes, host: str, seconds: float) -> dict[str, object]:
    # What is to be sent stands on no command line, which everybody on the machine can read.
    with subprocess.Popen(
        [sys.executable, "-m", "relman_plugins.clients.git_mirror"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={
            **{name: os.environ[name] for name in _PASSED_ON if name in os.environ},
            "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
        },
        start_new_session=True,
    ) as process:
        try:
            said, _ = process.communicate(asked, timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            raise ClientUnavailable(f"the repository at {host} can't be read within {seconds:g} s") from None
    try:
        answer = json.loads(said[:_MOST_ANSWER])
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise ClientUnavailable(f"the repository at {host} takes more than the limits allow, or is damaged")
    return answer

"""The process that fetches a Git repository into a mirror and reads it: one question in, one answer out.

By dulwich, over relman's own HTTP client: no redirects, no other address, no helper program, and each byte
counted. Of the server's names only those asked for are stored, so none of them becomes a path.
"""

from __future__ import annotations

import fcntl
import json
import re
import resource
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
from dulwich.client import AbstractHttpGitClient  # noqa: TID253 - nothing imports this, it is run
from dulwich.repo import Repo  # noqa: TID253

from relman_plugins.clients.git import Wanted, change_set
from relman_plugins.clients.http import client
from relman_plugins.domain.change_set import ChangeSet
from relman_plugins.errors import ClientError, ClientRejected, ClientUnavailable

TIMEOUT_S = 20.0
"""Seconds for a connection, and for each read."""

MOST_KEPT = 4
"""How many times the transfer's limit a mirror may grow to before it is begun anew."""

BRANCH = b"refs/heads/relman"
"""What the mirror calls the branch that the server's HEAD is on: its name there is of no use here."""

STAMP = "relman-fetched"
_SHA = re.compile(rb"[0-9a-f]{40}")
_WHY = {
    401: "it wants another login",
    403: "the connection's account may not read it",
    404: "it is not there",
}


class Unreachable(ClientUnavailable):
    """The server could not be asked: what was fetched before is all there is."""


class Client(AbstractHttpGitClient):
    """dulwich's client of smart HTTP, over one connection pool, with a budget of bytes."""

    def __init__(self, address: str, http: httpx.Client, budget: int) -> None:
        super().__init__(address)
        self._http = http
        self._left = budget

    def _http_request(
        self,
        url: str,
        headers: dict[str, str] | None = None,
        data: bytes | Iterator[bytes] | None = None,
        raise_for_status: bool = True,
    ) -> Any:
        # A server may name other places to fetch packs from; the login would go there too.
        if not url.startswith(self._base_url):
            raise ClientRejected("it sends elsewhere")
        sent = {**(headers or {}), "Accept-Encoding": "identity"}
        method = "GET" if data is None else "POST"
        asked = self._http.build_request(method, url, headers=sent, content=data)
        try:
            answer = self._http.send(asked, stream=True)
        except httpx.HTTPError as error:
            raise Unreachable(_no_answer(error)) from error
        kind = answer.headers.get("Content-Type", "")
        if answer.status_code != 200:
            answer.close()
            raise _refusal(answer.status_code)
        if not kind.startswith("application/x-git-"):
            answer.close()
            raise ClientRejected("it is no Git server that speaks smart HTTP")
        said = SimpleNamespace(
            status=200, content_type=kind, redirect_location="", headers=answer.headers, close=answer.close
        )
        return said, self._reader(answer)

    def _reader(self, answer: httpx.Response) -> Callable[..., bytes]:
        chunks, buffer = answer.iter_raw(64 * 1024), bytearray()

        def read(size: int = -1) -> bytes:
            while size < 0 or len(buffer) < size:
                try:
                    chunk = next(chunks, b"")
                except httpx.HTTPError as error:
                    raise Unreachable(_no_answer(error)) from error
                if not chunk:
                    break
                self._left -= len(chunk)
                if self._left < 0:
                    raise ClientRejected("it sends more than relman takes")
                buffer.extend(chunk)
            found = bytes(buffer) if size < 0 else bytes(buffer[:size])
            del buffer[: len(found)]
            return found

        return read


def answer_to(asked: dict[str, Any]) -> dict[str, Any]:
    """Fetch, compare, and return what is known: ``{changes}``, or ``{error, rejected}``."""
    limits, wanted = asked["limits"], Wanted(**asked["wanted"])
    mirror = Path(asked["mirror"])
    with mirror.with_suffix(".lock").open("w") as lock:
        # Of several processes on this machine one fetches at a time; the others' time goes on meanwhile.
        fcntl.flock(lock, fcntl.LOCK_EX)
        for known in (True, False) if mirror.exists() else (False,):
            try:
                return {"changes": _read(asked, wanted, mirror, limits).model_dump(mode="json")}
            except ClientError as error:
                return {"error": str(error), "rejected": isinstance(error, ClientRejected)}
            except MemoryError:
                shutil.rmtree(mirror, ignore_errors=True)
                return {"error": "it takes more memory than relman gives it", "rejected": True}
            except Exception as error:
                # What is damaged here is fetched from the start; what is damaged there stays so.
                shutil.rmtree(mirror, ignore_errors=True)
                if not known:
                    why = f"it is damaged, or no repository ({type(error).__name__})"
                    return {"error": why, "rejected": False}
    raise AssertionError("the last try returns")


def _read(asked: dict[str, Any], wanted: Wanted, mirror: Path, limits: dict[str, Any]) -> ChangeSet:
    if _size(mirror) > MOST_KEPT * limits["transfer"]:
        shutil.rmtree(mirror)
    try:
        with client(asked["address"], TIMEOUT_S, headers=asked["headers"]) as http:
            _fetch(Client(asked["address"], http, limits["transfer"]), mirror, wanted, limits["depth"])
    except Unreachable as error:
        return _stale(mirror, wanted, str(error))
    return _compared(mirror, wanted)


def _compared(mirror: Path, wanted: Wanted) -> ChangeSet:
    try:
        return change_set(mirror, wanted)
    except ClientError as error:
        if isinstance(error.__cause__, MemoryError):
            raise error.__cause__ from None
        raise ValueError("the mirror can't be read") from error


def _fetch(git: Client, mirror: Path, wanted: Wanted, depth: int) -> None:
    names: set[Any] = {b"refs/tags/" + tag.encode() for tag in wanted.tags}
    with _opened(mirror) as repo:

        def wants(refs: Any, depth: int | None = None) -> Any:
            found = [refs[name] for name in (b"HEAD", *sorted(names)) if name in refs]
            if not all(_SHA.fullmatch(sha) for sha in found):
                raise ClientRejected("what it offers is not understood")
            return [sha for sha in dict.fromkeys(found) if sha not in repo.object_store]

        prefixes = [b"HEAD", *sorted(names)]
        fetched: Any = git.fetch("", repo, wants, depth=depth, ref_prefix=prefixes)
        for name in names:
            sha = fetched.refs.get(name)
            if sha is not None:
                repo.refs[name] = sha
            elif name in repo.refs:
                del repo.refs[name]
        head = fetched.refs.get(b"HEAD")
        if head is None:
            raise ClientRejected("nothing is in it")
        repo.refs[BRANCH] = head
        repo.refs.set_symbolic_ref(b"HEAD", BRANCH)
    (mirror / STAMP).touch()


def _opened(mirror: Path) -> Any:
    if (mirror / "HEAD").exists():
        return Repo(str(mirror))
    shutil.rmtree(mirror, ignore_errors=True)
    return Repo.init_bare(str(mirror), mkdir=True)


def _stale(mirror: Path, wanted: Wanted, why: str) -> ChangeSet:
    """Return what the mirror of before says, marked as such; raise ClientUnavailable when there is none."""
    try:
        at = datetime.fromtimestamp((mirror / STAMP).stat().st_mtime, UTC)
    except OSError:
        raise ClientUnavailable(why) from None
    found = _compared(mirror, wanted)
    told = f"the repository can't be asked now ({why}); this is how it was at {at:%Y-%m-%d %H:%M} UTC"
    return found.model_copy(update={"unknown": "; ".join(filter(None, [told, found.unknown]))})


def _refusal(status: int) -> ClientError:
    if status in (408, 425, 429) or status >= 500:
        return Unreachable(f"it answered {status}")
    return ClientRejected(_WHY.get(status, "it sends elsewhere" if status < 400 else f"it answered {status}"))


def _no_answer(error: httpx.HTTPError) -> str:
    return "time-out" if isinstance(error, httpx.TimeoutException) else "no answer"


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _bound(limits: dict[str, Any]) -> None:
    """Let the system end this process before it takes too much of anything."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for which, most in (
        (resource.RLIMIT_AS, int(limits["memory"])),
        (resource.RLIMIT_FSIZE, int(limits["transfer"])),
        (resource.RLIMIT_CPU, int(limits["seconds"]) + 1),
    ):
        hard = resource.getrlimit(which)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        # macOS has no limit of address space that could be set.
        with suppress(ValueError, OSError):
            resource.setrlimit(which, (most, most))


def main() -> None:
    """Answer the question on standard input."""
    asked = json.load(sys.stdin)
    _bound(asked["limits"])
    sys.stdout.write(json.dumps(answer_to(asked)))


if __name__ == "__main__":
    main()

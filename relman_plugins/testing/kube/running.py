"""Pods of Jobs, whose containers are real processes on this machine: no image, no namespace, no limits.

A volume is a folder; where a container's variables, or its probe, name the place at which it is mounted, they
get that folder. So a command that is told by a variable where to write finds its way, and no other does.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock, Thread
from time import sleep

from relman_plugins.testing.kube.resources import Obj

PROBE_S = 0.02
"""Seconds between two looks of a startup probe."""

READ_BYTES = 8192
"""How much of a container's output is read at once."""


@dataclass
class Container:
    """One process, and what it has printed."""

    spec: Obj
    process: subprocess.Popen[bytes]
    started: str
    lines: list[tuple[str, str]] = field(default_factory=list)
    finished: str = ""
    reader: Thread | None = None

    def text(self, query: dict[str, str]) -> str:
        """Return its log as the API does."""
        since = query.get("sinceTime", "")
        lines = [(at, said) for at, said in self.lines if at[:19] >= since[:19]]
        if "tailLines" in query:
            lines = lines[-int(query["tailLines"]) :]
        stamped = query.get("timestamps") == "true"
        return "".join(f"{at} {said}\n" if stamped else f"{said}\n" for at, said in lines)


class RunningPod:
    """The processes of one pod: its sidecars first, and then its containers.

    When all of these have ended, the sidecars are ended.
    """

    def __init__(self, pod: Obj, kick: Callable[[], None]) -> None:
        """Start nothing yet; ``kick`` is called when something has ended."""
        self.pod, self._kick = pod, kick
        self.containers: dict[str, Container] = {}
        self._lock = Lock()
        self._killed = False
        self.home = Path(tempfile.mkdtemp(prefix="relman-pod-"))
        self.over = False
        """Whether all have ended, or were ended."""
        self.failed = ""
        """Why one of its containers could not be started."""
        self._volumes = {v["name"]: self._volume(v) for v in pod["spec"].get("volumes") or []}

    def start(self) -> None:
        """Run it, in a thread."""
        Thread(target=self._run, daemon=True).start()

    def terminate(self) -> None:
        """Tell its containers to end: the sidecars follow when all have. What only starts is killed."""
        names = {c["name"] for c in self.pod["spec"]["containers"]}
        ordinary = [c for name, c in self._begun().items() if name in names]
        if len(ordinary) < len(names):
            self.kill()
        for container in ordinary:
            container.process.terminate()

    def kill(self) -> None:
        """End all processes at once, those that are just being started too, and forget what they wrote."""
        with self._lock:
            self._killed = True
        for container in self._begun().values():
            _kill(container)
        shutil.rmtree(self.home, ignore_errors=True)

    def _run(self) -> None:
        try:
            self._all()
        except OSError as error:
            # There is no such program; or the pod was ended, and its folders are gone.
            self.failed = f"{type(error).__name__}: {error}"
            for container in self._begun().values():
                _kill(container)
        self.over = True
        self._kick()

    def _all(self) -> None:
        sidecars = [self._begin(c) for c in self.pod["spec"].get("initContainers") or []]
        for sidecar in sidecars:
            while not self._killed and not self._has_started(sidecar) and sidecar.process.poll() is None:
                sleep(PROBE_S)
        ordinary = [self._begin(c) for c in self.pod["spec"]["containers"]]
        self._kick()
        ends = [Thread(target=self._await, args=(c,), daemon=True) for c in ordinary]
        for end in ends:
            end.start()
        for end in ends:
            end.join()
        for sidecar in sidecars:
            sidecar.process.terminate()
            self._end(sidecar)

    def _begin(self, spec: Obj) -> Container:
        values = {e["name"]: self._here(spec, e["value"]) for e in spec.get("env") or []}
        folder = str(Path(sys.executable).parent)
        path = os.pathsep.join([folder, os.environ.get("PATH", os.defpath)])
        process = subprocess.Popen(  # noqa: S603 - an argument list, of a test's own manifest
            [_expanded(part, values) for part in spec["command"]],
            cwd=self.home,
            env={"PATH": path, **{k: _expanded(v, values) for k, v in values.items()}},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        container = Container(spec, process, _now())
        container.reader = Thread(target=_read, args=(container,), daemon=True)
        container.reader.start()
        with self._lock:
            self.containers[spec["name"]] = container
            killed = self._killed
        if killed:
            # It was in nobody's list when all were ended.
            _kill(container)
        return container

    def _begun(self) -> dict[str, Container]:
        with self._lock:
            return dict(self.containers)

    def _await(self, container: Container) -> None:
        self._end(container)
        self._kick()

    @staticmethod
    def _end(container: Container) -> None:
        container.process.wait()
        # With a container's first process all others in it end, and let go of its output.
        _kill(container)
        if container.reader is not None:
            container.reader.join()
        container.finished = _now()

    def _has_started(self, container: Container) -> bool:
        probe = (container.spec.get("startupProbe") or {}).get("exec")
        if probe is None:
            return True
        command = [self._here(container.spec, part) for part in probe["command"]]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0  # noqa: S603 - likewise

    def _here(self, spec: Obj, text: str) -> str:
        for mount in spec.get("volumeMounts") or []:
            at = str(mount["mountPath"])
            if text == at or text.startswith(f"{at}/"):
                return str(self._volumes[mount["name"]]) + text.removeprefix(at)
        return text

    def _volume(self, volume: Obj) -> Path:
        folder = self.home / "volumes" / str(volume["name"])
        folder.mkdir(parents=True)
        for item in (volume.get("downwardAPI") or {}).get("items") or []:
            key = re.fullmatch(r"metadata\.annotations\['([^']+)'\]", item["fieldRef"]["fieldPath"])
            text = self.pod["metadata"].get("annotations", {}).get(key[1], "") if key else ""
            (folder / item["path"]).write_text(text)
        return folder


def _kill(container: Container) -> None:
    """End all processes of a container."""
    if not container.finished:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(container.process.pid, signal.SIGKILL)


def _read(container: Container) -> None:
    """Keep what is printed, as CRI-O does: all lines that are read at once get the same time."""
    output = container.process.stdout
    rest = b""
    while output and (read := os.read(output.fileno(), READ_BYTES)):
        at = _now()
        *lines, rest = (rest + read).split(b"\n")
        container.lines += [(at, line.decode(errors="replace")) for line in lines]
    if rest:
        container.lines.append((_now(), rest.decode(errors="replace")))


def _expanded(text: str, values: dict[str, str]) -> str:
    """Return a text with the variables that Kubernetes puts in: ``$(NAME)``, and ``$$`` for a ``$``."""

    def one(found: re.Match[str]) -> str:
        return "$" if found[0] == "$$" else values.get(found[1], found[0])

    return re.sub(r"\$\$|\$\(([^)]+)\)", one, text)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")

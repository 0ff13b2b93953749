"""The compose file's services as processes: their own command lines and environments, at other addresses.

What an image brings is here what the machine has. What is written in the file stays as it is, but for what
only a container has: hosts and ports become ports of loopback, folders become folders of this test. Each
process has a folder of its own for ``/opt/airflow``, with the service's volumes mounted by links,
and copies of what it mounts of this repository.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from random import choice
from typing import Any

import psutil
import yaml

from relman_plugins.testing.stack_config import free_port
from relman_plugins.testing.stack_process import Managed, Processes
from tests.conftest import missing, postgres_bin
from tests.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
HOME = "/opt/airflow"
"""Airflow's home in its image; what has no volume there is the container's own."""

PROGRAMS = {
    "redis-server": "apt-get install -y redis-server",
    "promtool": "apt-get install -y prometheus",
    "curl": "apt-get install -y curl",
    "setpriv": "apt-get install -y util-linux",
}
"""What the images bring, and how a machine gets it."""


class Composed:
    """The services, all of them running and healthy."""

    def __init__(self, home: Path, database: Path, binaries: Path) -> None:
        self.home = home
        self.file: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())
        self.services: dict[str, Any] = self.file["services"]
        self.processes = Processes(home / "logs")
        self._volumes = {"database": database}
        self._binaries = binaries
        # Below what the kernel gives to connections: a port is taken long after it was found free.
        self._ports = {port: str(free_port(choice(range(12000, 32000)))) for port in self._named_ports()}
        self._secrets = self._first_start()

    @property
    def airflow(self) -> str:
        return f"http://127.0.0.1:{self._ports['8080']}"

    @property
    def front(self) -> str:
        return f"http://127.0.0.1:{self._ports['8401']}"

    def passwords(self) -> dict[str, str]:
        """Return what Airflow made up for its users, by name."""
        return dict(json.loads((self.volume("auth") / "passwords.json").read_text()))

    def volume(self, name: str) -> Path:
        """Return where a named volume is."""
        folder = self._volumes.setdefault(name, self.home / "volumes" / name)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def up(self, scale: Mapping[str, int], settings: Mapping[str, str]) -> None:
        """Start everything in the order of the file; Airflow's parts get ``settings`` beside their own."""
        self._initialise()
        started: set[str] = set()
        while left := [name for name in self.services if name not in started]:
            ready = [n for n in left if set(self.services[n].get("depends_on", {})) <= started]
            for name in ready:
                self._wait_for(self.services[name].get("depends_on", {}))
                for number in range(1, scale.get(name, 1) + 1):
                    self._start(
                        name, number, settings if "AIRFLOW__CORE__EXECUTOR" in self._env(name) else {}
                    )
            started |= set(ready)

    def healthy(self) -> None:
        """Wait until each service that runs says by its own health check that it is well."""
        for managed in self.processes.running:
            name, _, number = managed.name.rpartition("-")
            self._until_healthy(name, int(number))

    def running(self, service: str) -> list[Managed]:
        """Return the processes of one service."""
        return [m for m in self.processes.running if m.name.rpartition("-")[0] == service]

    def kill(self, managed: Managed) -> None:
        """End a container with `kill -9`: every process in it at once."""
        root = psutil.Process(managed.popen.pid)
        for process in (root, *root.children(recursive=True)):
            process.kill()
        managed.popen.wait()
        self.processes.running.remove(managed)

    def _first_start(self) -> dict[str, str]:
        """Have `make stack` make up the passwords; there is nothing beside it that an engine could start."""
        for file in ("scripts/stack", "deploy/env.example"):
            (self.home / "checkout" / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / file, self.home / "checkout" / file)
        script = self.home / "checkout" / "scripts" / "stack"
        subprocess.run([script], env={"PATH": "/usr/bin:/bin"}, capture_output=True, check=False)
        lines = (self.home / "checkout" / ".env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def _named_ports(self) -> set[str]:
        text = (ROOT / "docker-compose.yaml").read_text() + (ROOT / "deploy" / "prometheus.yml").read_text()
        return set(re.findall(r"(?<=:)\d{4}\b", text)) | set(re.findall(r'port="?(\d{4})', text))

    def _env(self, name: str) -> dict[str, str]:
        return self.services[name].get("environment", {})

    def _mounts(self, name: str) -> dict[str, Path]:
        """Return where the folders and files are that a service mounts, by their place in the container."""
        found = {}
        for mount in self.services[name].get("volumes", []):
            source, target = mount.removesuffix(":ro").split(":")
            found[target] = ROOT / source if source.startswith(".") else self.volume(source)
            if target.endswith("prometheus.yml"):
                found[target] = self.home / "prometheus.yml"
                found[target].write_text(self._moved((ROOT / source).read_text()))
        return found

    def _moved(self, text: str) -> str:
        """Return a text of the file with the addresses that count here."""
        text = re.sub(r"\$\{(\w+)(?::\?[^}]*)\}", lambda m: self._secrets[m[1]], text).replace("$$", "$")
        hosts = "|".join(self.services)
        text = re.sub(rf'(?:(?<=//)|(?<=[@"=]))(?:{hosts}|0\.0\.0\.0)(?=[:"]|$)', "127.0.0.1", text)
        return re.sub(rf"\b({'|'.join(self._ports)})\b", lambda m: self._ports[m[1]], text)

    def _placed(self, text: str, name: str, container: Path) -> str:
        """Return it with the folders of one container, too."""
        places = {target: str(place) for target, place in self._mounts(name).items()}
        places |= {HOME: str(container / HOME[1:]), "/tmp/": f"{container}/tmp/"}
        longest = sorted(places, key=len, reverse=True)
        return re.sub("|".join(map(re.escape, longest)), lambda m: places[m[0]], self._moved(text))

    def _container(self, name: str, number: int) -> Path:
        container = self.home / f"{name}-{number}"
        for folder in (HOME[1:], "tmp"):
            (container / folder).mkdir(parents=True, exist_ok=True)
        for target, place in self._mounts(name).items():
            here = container / target[1:]
            if not target.startswith(HOME) or here.exists():
                continue
            if place.is_relative_to(ROOT):  # only read; no snapshot is taken of what a link leads to
                shutil.copytree(place, here)
            else:
                here.symlink_to(place)
        return container

    def _inside(self, name: str, number: int) -> dict[str, str]:
        """Return the environment of a container: what images have, and what the file says."""
        container = self._container(name, number)
        said = {key: self._placed(value, name, container) for key, value in self._env(name).items()}
        image = {
            "PATH": f"{Path(sys.executable).parent}:{self._binaries}:{os.environ['PATH']}",
            "AIRFLOW_HOME": str(container / HOME[1:]),
            # Each container has a /tmp of its own.
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(container / "tmp" / "airflow"),
            "HOSTNAME": f"{name}-{number}",
            "HOME": str(container),
            "PGDATA": str(self.volume("database") / "data"),
        }
        return image | said

    def _command(self, name: str, number: int) -> list[str]:
        service = self.services[name]
        entrypoint = [word for word in service.get("entrypoint", []) if word not in ("dumb-init", "--")]
        as_user = _as_postgres() if name == "postgres" else []
        container = self._container(name, number)
        words = (self._placed(word, name, container) for word in (*entrypoint, *service["command"]))
        return [*as_user, *words]

    def _start(self, name: str, number: int, settings: Mapping[str, str]) -> None:
        env = self._inside(name, number) | {key: self._moved(value) for key, value in settings.items()}
        started = self.processes.start(f"{name}-{number}", self._command(name, number), env, self.home)
        if name == "migrate":
            self.processes.wait(started, 120)
        if name == "postgres":
            self._fill(env)

    def _initialise(self) -> None:
        """Make the cluster, as the image does when it starts for the first time."""
        data = self.volume("database") / "data"
        password = self.volume("database") / "password"
        password.write_text(self._secrets["POSTGRES_PASSWORD"])
        if os.geteuid() == 0:
            shutil.chown(password.parent, "postgres", "postgres")
            shutil.chown(password, "postgres", "postgres")
        options = ("--username", "airflow", "--pwfile", str(password), "--auth", "scram-sha-256", "--no-sync")
        _run([*_as_postgres(), str(self._binaries / "initdb"), "--pgdata", str(data), *options], {}, "/")
        own = f"port = {self._ports['5432']}\nunix_socket_directories = ''\nfsync = off\n"
        with (data / "postgresql.conf").open("a") as file:
            file.write(own)

    def _fill(self, env: Mapping[str, str]) -> None:
        """Make the databases, as the image does: the one that is named, then what its scripts say."""
        env = {**env, "PGHOST": "127.0.0.1", "PGPORT": self._ports["5432"], "PGUSER": "airflow"}
        env["PGPASSWORD"] = self._secrets["POSTGRES_PASSWORD"]
        self._until_healthy("postgres", 1)
        _run(["createdb", env["POSTGRES_DB"]], env, self.home)
        for target, script in self._mounts("postgres").items():
            if target.startswith("/docker-entrypoint-initdb.d/"):
                _run(["psql", "--dbname", env["POSTGRES_DB"], "--file", str(script)], env, self.home)

    def _wait_for(self, needed: Mapping[str, Any]) -> None:
        for name, how in needed.items():
            if how["condition"] == "service_healthy":
                self._until_healthy(name, 1)

    def _until_healthy(self, name: str, number: int) -> None:
        try:
            eventually(lambda: not self.ailing(name, number), f"{name} healthy", 120, every_s=0.2)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.ailing(name, number)}") from None

    def ailing(self, name: str, number: int) -> str:
        """Run a service's own health check; return what it says when it fails."""
        self.processes.check()
        kind, *words = self.services[name]["healthcheck"]["test"]
        container = self._container(name, number)
        words = [self._placed(word, name, container) for word in words]
        command = ["sh", "-c", *words] if kind == "CMD-SHELL" else words
        env = self._inside(name, number)
        done = subprocess.run(command, env=env, cwd=self.home, capture_output=True, text=True, check=False)
        return f"{done.returncode} {done.stdout}{done.stderr}"[-600:] if done.returncode else ""


@contextmanager
def composed(home: Path, scale: Mapping[str, int], settings: Mapping[str, str]) -> Iterator[Composed]:
    """Start what the compose file lists; stop all of it in the end."""
    binaries = postgres_bin()
    if binaries is None:
        missing("PostgreSQL", "apt-get install -y postgresql")
    for program, command in PROGRAMS.items():
        if shutil.which(program) is None:
            missing(program, command)
    assert binaries is not None
    # Not below tmp_path: its parents are closed to the user that PostgreSQL has to run as.
    database = Path(tempfile.mkdtemp(prefix="relman-pg-"))
    found = Composed(home, database, binaries)
    try:
        found.up(scale, settings)
        yield found
    finally:
        others = [m.name for m in found.processes.running if m.name != "postgres-1"]
        left = found.processes.stop(first=others, grace_s=0.5)
        shutil.rmtree(database, ignore_errors=True)
        assert left == []


def _as_postgres() -> list[str]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]


def _run(command: list[str], env: Mapping[str, str], cwd: Path | str) -> None:
    done = subprocess.run(command, env=os.environ | env, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

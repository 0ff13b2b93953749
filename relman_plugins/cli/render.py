"""``relman render``: manifests from a Kustomize folder or a Helm chart, by their own tools."""

from __future__ import annotations

import difflib
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from relman_plugins.cli.exits import Exit, Stop
from relman_plugins.cli.options import AnyFormat, Format
from relman_plugins.files import replace

KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
CHART = "Chart.yaml"
LASTS_S = 300.0
"""Seconds that one tool may take: it may fetch a base or a chart."""

FRESH, STALE, WRITTEN = "up to date", "not up to date", "written"

MOST = 60
"""Lines of a difference that are shown."""


@dataclass(frozen=True)
class Source:
    """What the manifests of one service are rendered from."""

    folder: Path
    """``<manifests>/<pipeline>``; the manifests are the file beside it."""
    namespace: str
    root: Path
    """The folder of the specs."""

    @property
    def file(self) -> Path:
        """Return where the manifests belong."""
        return self.folder.with_name(f"{self.folder.name}.yaml")

    def command(self) -> list[str]:
        """Return the command line that prints them.

        Raises:
            Stop: the tool is not installed, or it is not clear which.
        """
        kustomize = any((self.folder / name).is_file() for name in KUSTOMIZATIONS)
        helm = (self.folder / CHART).is_file()
        if kustomize and helm:
            raise Stop(
                Exit.USAGE, f"{self.folder} is a Helm chart and a Kustomize folder; keep one of the two"
            )
        if kustomize:
            if tool := shutil.which("kustomize"):
                return [tool, "build", "--", str(self.folder)]
            tool = _tool("kubectl", self.folder, "kubectl, or kustomize")
            return [tool, "kustomize", "--", str(self.folder)]
        tool = _tool("helm", self.folder, "helm (https://helm.sh/docs/intro/install)")
        return [tool, "template", "--namespace", self.namespace, "--skip-tests", "--no-hooks",
                "--", self.folder.name, str(self.folder)]  # fmt: skip


def render(
    folder: Annotated[
        Path, typer.Option("--folder", envvar="RELMAN_SPECS", help="Folder of the specs.")
    ] = Path("release_specs"),
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 when a file is not what it would be.")
    ] = False,
    form: AnyFormat = Format.TEXT,
) -> None:
    """Write the manifests of services on Kubernetes from their Kustomize folders and Helm charts."""
    from relman_plugins.cli.screen import echo_json, shown

    sources = list(_sources(folder))
    if not sources:
        raise Stop(
            Exit.USAGE,
            f"{folder}: no environment on Kubernetes has a folder <manifests>/<pipeline> with a "
            f"kustomization.yaml or a {CHART}",
        )
    done = [_done(source, check=check) for source in sources]
    if form is Format.JSON:
        echo_json(done)
    else:
        for one in done:
            typer.echo(shown("\n".join([f"{one['file']} is {one['state']}", *one["difference"]])))
    if any(one["state"] == STALE for one in done):
        raise Stop(Exit.FINDINGS, "render them by `relman render`, and commit what it writes")


def _done(source: Source, *, check: bool) -> dict[str, Any]:
    before = _written(source)
    text = _rendered(source)
    lines: list[str] = []
    state = FRESH if text == before else STALE if check else WRITTEN
    if state == STALE:
        sides = (before.splitlines(), text.splitlines())
        lines = list(difflib.unified_diff(*sides, "is", "would be", n=1, lineterm=""))
        lines[MOST:] = [f"… and {len(lines) - MOST} lines more"] if len(lines) > MOST else []
    if state == WRITTEN:
        replace(source.file, text.encode())
        source.file.chmod(0o644)  # as others read what is in a repository, also in an image made from it
    return {"file": str(source.file), "state": state, "difference": lines}


def _written(source: Source) -> str:
    """Return what is in the file now, read as the specs are.

    Raises:
        Stop: it is a link, lies outside the folder of specs, or can't be read.
    """
    from relman_plugins.spec.files import Unreadable, bytes_of

    inside = source.file.parent.resolve().is_relative_to(source.root.resolve())
    if source.file.is_symlink() or not inside:
        raise Stop(
            Exit.FINDINGS,
            f"{source.file} is a symbolic link, or behind one that leads out of {source.root}; put a file "
            "there",
        )
    if not source.file.exists():
        return ""
    try:
        return bytes_of(source.file, source.root).decode(errors="replace")
    except Unreadable as error:
        raise Stop(Exit.FINDINGS, f"{source.file}: {error.message}") from error


def _sources(folder: Path) -> Iterator[Source]:
    """Yield what is to be rendered, each once.

    Raises:
        Stop: an environment can't be read, or two that share a chart are in two namespaces.
    """
    from relman_plugins.spec.bundle import is_name, text_at
    from relman_plugins.spec.loader import ENVIRONMENTS
    from relman_plugins.spec.models.base import stays_inside
    from relman_plugins.spec.models.kubernetes import Kubernetes
    from relman_plugins.spec.source import read

    found: dict[Path, Source] = {}
    for path in sorted((folder / ENVIRONMENTS).glob("*.yaml")):
        document = read(path, folder).document
        if document is None:
            raise Stop(Exit.FINDINGS, f"{path} can't be read; `relman validate {folder}` says why")
        held = document.root.child("kubernetes")
        manifests = text_at(held, "manifests") or str(Kubernetes.model_fields["manifests"].default)
        if held is None or not stays_inside(manifests):
            continue
        # What is no name of a pipeline is rendered for none; tools might take it for an option.
        for inner in sorted(p for p in (folder / manifests).glob("*") if is_name(p.name) and p.is_dir()):
            if not any((inner / name).is_file() for name in (*KUSTOMIZATIONS, CHART)):
                continue
            source = Source(inner, text_at(held, "namespace") or "", folder)
            other = found.setdefault(inner, source)
            if other != source and (inner / CHART).is_file():
                raise Stop(
                    Exit.FINDINGS,
                    f"{inner} is rendered for the namespaces {other.namespace} and {source.namespace}; give "
                    "each environment a folder of its own by kubernetes.manifests",
                )
    yield from found.values()


def _rendered(source: Source) -> str:
    command = source.command()
    try:
        done = subprocess.run(  # noqa: S603 - a tool that was looked up, and no shell
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=LASTS_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Stop(Exit.FINDINGS, f"{source.folder} can't be rendered: {error}") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip() or f"exit code {done.returncode}"
        raise Stop(Exit.FINDINGS, f"{source.folder} can't be rendered by {Path(command[0]).name}: {said}")
    head = f"# Rendered from {source.folder.name}/ by `relman render`: change that, and render again.\n"
    return head + done.stdout.decode(errors="replace")


def _tool(name: str, folder: Path, install: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise Stop(
            Exit.ENVIRONMENT,
            f"{folder} can't be rendered: {name} is not installed here; install {install}, or render it "
            "where it is: what is released is the file, which needs no tool",
        )
    return found

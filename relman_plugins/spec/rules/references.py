"""References: what is named must exist, and what exists should be named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from relman_plugins.domain.repository import is_address
from relman_plugins.spec.bundle import Bundle, Path_, entries, is_name, text_at
from relman_plugins.spec.diagnostic import Diagnostic
from relman_plugins.spec.files import is_there
from relman_plugins.spec.trail import finding, holder
from relman_plugins.spec.words import listed, quoted, suggestion

FILES = (
    (("artifact", "source"), "directory"),
    (("assess", "repository"), "directory"),
    (("schedule", "version", "file"), "file"),
    (("schedule", "version", "git"), "directory"),
    (("schedule", "version", "directory"), "directory"),
)
"""What a release will read, and what it must be."""


def environments(bundle: Bundle) -> Iterator[Diagnostic]:
    """Every environment has its document."""
    for path, stage in bundle.stages():
        name = text_at(stage, "environment")
        known = name in bundle.environments or name in bundle.unreadable
        if name is None or known or not is_name(name):
            continue
        existing = [p.stem for p in sorted((bundle.folder / "environments").glob("*.yaml"))]
        message = f"unknown environment {quoted(name)}; those that exist are {listed(existing, 'none')}"
        hint = suggestion(name, existing) or f"describe it in environments/{name}.yaml"
        yield finding(bundle.pipeline, (*path, "environment"), "RM201", message, hint=hint)


def suites(bundle: Bundle) -> Iterator[Diagnostic]:
    """Every suite of a stage is defined, and named once."""
    defined = {str(path[-1]) for path, _ in entries(bundle.pipeline, "suites")}
    for path, _ in bundle.stages():
        seen: set[str] = set()
        for place, node in entries(bundle.pipeline, *path, "suites"):
            if not isinstance(node.value, str):
                continue
            if node.value not in defined:
                yield _undefined(bundle, place, "RM202", "suite", node.value, defined)
            elif node.value in seen:
                message = f"suite {quoted(node.value)} is named twice in {holder(bundle.pipeline, path)}"
                yield finding(bundle.pipeline, place, "RM206", message, hint="remove one of them")
            seen.add(node.value)


def analyses(bundle: Bundle) -> Iterator[Diagnostic]:
    """Every analysis of a strategy or a monitor is defined."""
    if bundle.incomplete:
        return
    defined = {str(path[-1]) for path, _ in entries(bundle.pipeline, "analyses")}
    for place, name in _analyses_named(bundle):
        if name not in defined:
            yield _undefined(bundle, place, "RM203", "analysis", name, defined)


def unused(bundle: Bundle) -> Iterator[Diagnostic]:
    """What no stage names does nothing: probably a slip."""
    named = {
        "suites": {n.value for p, _ in bundle.stages() for _, n in entries(bundle.pipeline, *p, "suites")
                   if isinstance(n.value, str)},
        "analyses": {name for _, name in _analyses_named(bundle)},
    }  # fmt: skip
    for section, noun in (("suites", "suite"), ("analyses", "analysis")):
        for path, _ in entries(bundle.pipeline, section):
            if path[-1] not in named[section]:
                message = f"no stage uses {noun} {quoted(path[-1])}"
                hint = "name it in a stage, or remove it"
                yield finding(
                    bundle.pipeline, path, "RM207", message, key=True, hint=hint, severity="warning"
                )


def files(bundle: Bundle) -> Iterator[Diagnostic]:
    """Directories and files that a release will read; a worker may have them where this machine has not."""
    for path, wanted in FILES:
        text = text_at(bundle.pipeline.root, *path)
        if not text or "\x00" in text or is_address(text) or is_there(bundle.folder / text, wanted):
            continue
        message = f"{quoted(path[-1])} names {quoted(text)}, but there is no such {wanted} on this machine"
        hint = f"the path is relative to the folder of {quoted(Path(bundle.pipeline.path).name)}"
        yield finding(bundle.pipeline, path, "RM208", message, hint=hint, severity="warning")


def _analyses_named(bundle: Bundle) -> Iterator[tuple[Path_, str]]:
    for path, stage in bundle.stages():
        strategies = (("strategy", kind, "analysis") for kind in ("canary", "blue_green"))
        for inner in (*strategies, ("monitor", "analysis"), ("soak", "analysis")):
            name = text_at(stage, *inner)
            if name is not None:
                yield (*path, *inner), name


def _undefined(
    bundle: Bundle, place: Path_, code: str, noun: str, name: str, defined: set[str]
) -> Diagnostic:
    plural = {"suite": "suites", "analysis": "analyses"}[noun]
    message = f"{noun} {quoted(name)} is not defined; those that are: {listed(defined, 'none')}"
    hint = suggestion(name, defined) or f"define it under {plural}:"
    return finding(bundle.pipeline, place, code, message, hint=hint)


RULES = (environments, suites, analyses, unused, files)

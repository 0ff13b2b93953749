"""Fresh baselines: a platform that runs one, room for it, and an analysis of its numbers that has limits."""

from __future__ import annotations

from collections.abc import Iterator

from relman_plugins.spec.bundle import Bundle, Path_, compares, entries, judge_of, number_at, text_at
from relman_plugins.spec.diagnostic import Diagnostic
from relman_plugins.spec.position import Node
from relman_plugins.spec.rules.kubernetes import PLATFORM
from relman_plugins.spec.rules.safety import names_in
from relman_plugins.spec.trail import finding, holder

CODE = "RM325"
MOST = 50
"""Percent that the new version may have, if a baseline is to have as much."""


def runs(bundle: Bundle) -> Iterator[Diagnostic]:
    """A fresh baseline can be run there, and has room."""
    for path, stage in _fresh(bundle):
        environment = bundle.environments.get(text_at(stage, "environment") or "")
        if environment is not None and text_at(environment.root, "platform") == PLATFORM:
            message = f"{_canary(bundle, path)} has a fresh baseline, which relman can't run on Kubernetes"
            hint = "remove baseline:, and the new version is compared with the old one as it serves"
            place = (*path, "strategy", "canary", "baseline")
            yield finding(bundle.pipeline, place, CODE, message, hint=hint)
        for place, node in entries(bundle.pipeline, *path, "strategy", "canary", "steps"):
            weight = number_at(node)
            if weight is not None and MOST < weight < 100:
                message = f"{weight} % for the new version leave no room for a baseline with as much traffic"
                hint = f"take weights of at most {MOST}, and 100 at the end, or remove baseline:"
                yield finding(bundle.pipeline, place, CODE, message, hint=hint)


def used(bundle: Bundle) -> Iterator[Diagnostic]:
    """A fresh baseline is what the new version is compared with, told from the old one, and not alone."""
    named: set[str] = set()
    for path, stage in _fresh(bundle):
        name = text_at(stage, "strategy", "canary", "analysis") or ""
        analysis = bundle.pipeline.root.child("analyses", name)
        if analysis is not None and compares(analysis):
            named.add(name)
        elif analysis is not None or not name:  # one that there is not is reported already
            message = f"nothing is compared with the fresh baseline of {_canary(bundle, path)}"
            hint = "name an analysis with judge: sequential or mann_whitney, or remove baseline:"
            place = (*path, "strategy", "canary", "baseline")
            yield finding(bundle.pipeline, place, CODE, message, hint=hint)
    yield from _told_apart(bundle, named)
    yield from _limited(bundle, named)


def _told_apart(bundle: Bundle, named: set[str]) -> Iterator[Diagnostic]:
    for name in sorted(named):
        for path, metric in entries(bundle.pipeline, "analyses", name, "metrics"):
            for key in ("bad", "total", "query"):
                query = text_at(metric, key)
                if query is not None and "track" not in names_in(query):
                    message = (
                        f'"{key}" of {holder(bundle.pipeline, path)} does not name $track: it would count '
                        "the fresh baseline together with the rest of the old version"
                    )
                    hint = 'for example requests_total{version="$version",track="$track"}'
                    yield finding(bundle.pipeline, (*path, key), CODE, message, hint=hint)


def _limited(bundle: Bundle, named: set[str]) -> Iterator[Diagnostic]:
    """What is compared with a baseline has a limit too: what harms every new process harms both of them."""
    for name in sorted(named):
        analysis = bundle.pipeline.root.child("analyses", name)
        if analysis is None or judge_of(analysis) != "sequential":
            continue
        for path, metric in entries(bundle.pipeline, "analyses", name, "metrics"):
            if number_at(metric, "max") is None:
                message = (
                    f"{holder(bundle.pipeline, path)} has no max: what harms every new process harms the "
                    "fresh baseline as much, so that comparing with it shows nothing"
                )
                hint = "add max:, the share of bad requests that is too much in any case"
                yield finding(bundle.pipeline, path, CODE, message, hint=hint)


def _fresh(bundle: Bundle) -> Iterator[tuple[Path_, Node]]:
    """Yield the stages with a fresh baseline."""
    for path, stage in bundle.stages():
        if text_at(stage, "strategy", "canary", "baseline") == "fresh":
            yield path, stage


def _canary(bundle: Bundle, path: Path_) -> str:
    return f"the canary of {holder(bundle.pipeline, path)}"


RULES = (runs, used)

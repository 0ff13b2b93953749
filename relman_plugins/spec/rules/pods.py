"""Suites as pods: in a cluster, of an image."""

from __future__ import annotations

from collections.abc import Iterator

from relman_plugins.spec.bundle import Bundle, entries, text_at
from relman_plugins.spec.diagnostic import Diagnostic
from relman_plugins.spec.rules.kubernetes import PLATFORM
from relman_plugins.spec.trail import finding, holder
from relman_plugins.spec.words import quoted


def places(bundle: Bundle) -> Iterator[Diagnostic]:
    """A suite that is a pod runs in stages on Kubernetes only: no other environment has a cluster."""
    pods = {path[-1] for path, suite in entries(bundle.pipeline, "suites") if suite.child("pod") is not None}
    for path, stage in bundle.stages():
        environment = bundle.environments.get(text_at(stage, "environment") or "")
        platform = text_at(environment.root, "platform") if environment else None
        if platform in (None, PLATFORM):
            continue
        for place, name in entries(bundle.pipeline, *path, "suites"):
            if name.value in pods:
                message = (
                    f"suite {quoted(name.value)} runs as a pod, but {holder(bundle.pipeline, path)} is on "
                )
                hint = "run it in a stage on Kubernetes, or remove pod:, so that it runs on a worker"
                yield finding(
                    bundle.pipeline, place, "RM717", f"{message}platform {quoted(platform)}", hint=hint
                )


def images(bundle: Bundle) -> Iterator[Diagnostic]:
    """A pod has an image: one of its own, or that of the release."""
    if text_at(bundle.pipeline.root, "artifact", "image") is not None:
        return
    for path, suite in entries(bundle.pipeline, "suites"):
        pod = suite.child("pod")
        if pod is not None and isinstance(pod.value, dict) and "image" not in pod.value:
            message = (
                f"{holder(bundle.pipeline, path)} runs as a pod, but neither it nor the artifact has an image"
            )
            hint = "add image: to pod:, by digest"
            yield finding(bundle.pipeline, (*path, "pod"), "RM718", message, key=True, hint=hint)


RULES = (places, images)
"""In the order in which they are told."""

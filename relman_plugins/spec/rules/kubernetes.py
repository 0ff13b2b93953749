"""Environments on Kubernetes: what they need of the pipeline and of the manifests."""

from __future__ import annotations

from collections.abc import Iterator

from relman_plugins.domain.routing import is_route
from relman_plugins.domain.workload import problems
from relman_plugins.spec.bundle import Bundle, Path_, number_at, text_at
from relman_plugins.spec.diagnostic import Diagnostic
from relman_plugins.spec.position import Node
from relman_plugins.spec.secrets import CODE as SECRET
from relman_plugins.spec.secrets import looks_secret
from relman_plugins.spec.trail import finding, holder
from relman_plugins.spec.words import quoted

PLATFORM = "kubernetes"

BESIDE = ("blue_green", "canary")
"""Strategies that need two versions side by side."""


def clusters(bundle: Bundle) -> Iterator[Diagnostic]:
    """An environment on Kubernetes says where in the cluster, and no other does."""
    for document in bundle.environments.values():
        on_it = text_at(document.root, "platform") == PLATFORM
        has = document.root.child("kubernetes") is not None
        if on_it and not has:
            message = f"{holder(document, ())} is on Kubernetes, but says nothing of the cluster"
            hint = "add kubernetes: {namespace: …}"
            yield finding(document, ("platform",), "RM712", message, hint=hint)
        elif has and text_at(document.root, "platform") is not None and not on_it:
            message = f"kubernetes: means nothing on platform {quoted(document.root.value['platform'])}"
            hint = "write platform: kubernetes, or remove it"
            yield finding(document, ("kubernetes",), "RM712", message, key=True, hint=hint)


def images(bundle: Bundle) -> Iterator[Diagnostic]:
    """What is deployed to Kubernetes is an image."""
    if text_at(bundle.pipeline.root, "artifact", "image") is not None:
        return
    for path, stage in bundle.stages():
        environment = bundle.environments.get(text_at(stage, "environment") or "")
        if environment is not None and text_at(environment.root, "platform") == PLATFORM:
            message = f"{holder(bundle.pipeline, path)} is on Kubernetes, but the artifact has no image"
            hint = "let the build push one, write its name with the digest to a file, and add image: FILE"
            yield finding(bundle.pipeline, ("artifact",), "RM713", message, key=True, hint=hint)
            return


def workloads(bundle: Bundle) -> Iterator[Diagnostic]:
    """Manifests are one Deployment, one Service, and what goes with them."""
    for name, documents in bundle.manifests.items():
        environment = bundle.environments[name]
        container = text_at(environment.root, "kubernetes", "container")
        namespace = text_at(environment.root, "kubernetes", "namespace") or ""
        objects = [d.root.value for d in documents]
        for index, place, message, hint in problems(objects, container, namespace):
            if index < 0:
                service = text_at(bundle.pipeline.root, "metadata", "name")
                message = f"{message} in the manifests of {quoted(service)}"
                yield finding(environment, ("kubernetes",), "RM714", message, hint=hint)
            else:
                message = f"{_what(objects[index])}: {message}"
                yield finding(documents[index], place, "RM714", message, hint=hint)


def coarse(bundle: Bundle) -> Iterator[Diagnostic]:
    """Without a router a canary's weights are only as fine as the number of pods."""
    for path, stage in bundle.stages():
        name = text_at(stage, "environment") or ""
        documents = bundle.manifests.get(name)
        steps = stage.child("strategy", "canary", "steps")
        if not documents or steps is None or not isinstance(steps.value, list):
            continue
        if any(is_route(d.root.value) for d in documents):
            continue
        replicas = number_at(bundle.environments[name].root, "replicas") or 1
        weights = [w for w in steps.value if isinstance(w, int) and 0 < w < 100]
        if not weights:
            continue
        pods = max(1, -(-int(replicas) * weights[0] // 100))
        share = round(100 * pods / (pods + int(replicas)))
        message = (
            f"without a router the traffic is split by the number of pods: {weights[0]} % in "
            f"{quoted(name)} is about {share} %"
        )
        place = (*path, "strategy", "canary", "steps")
        hint = "add an HTTPRoute, a VirtualService, or relman/router to an Ingress; or have more replicas"
        yield finding(bundle.pipeline, place, "RM715", message, hint=hint, severity="warning")


def in_place(bundle: Bundle) -> Iterator[Diagnostic]:
    """Of a StatefulSet one version takes the place of the other."""
    for path, stage in bundle.stages():
        documents = bundle.manifests.get(text_at(stage, "environment") or "", ())
        written = stage.child("strategy")
        if written is None:
            continue
        named = next(iter(written.value), None) if isinstance(written.value, dict) else written.value
        strategy = next((s for s in BESIDE if s == named), None)
        if strategy and any(text_at(d.root, "kind") == "StatefulSet" for d in documents):
            message = (
                f"{holder(bundle.pipeline, path)} releases a StatefulSet by {strategy}, which needs two "
                "versions side by side"
            )
            hint = "write strategy: rolling, or strategy: recreate"
            yield finding(bundle.pipeline, (*path, "strategy"), "RM716", message, hint=hint)


def secrets(bundle: Bundle) -> Iterator[Diagnostic]:
    """Manifests are part of the plan, so they hold no secrets: in variables, ConfigMaps, other texts."""
    files: set[str] = set()
    for documents in bundle.manifests.values():
        if documents and documents[0].path in files:
            continue
        files |= {d.path for d in documents[:1]}
        for document in documents:
            settings = text_at(document.root, "kind") == "ConfigMap"
            for path, name, value in _texts(document.root, (), settings):
                if looks_secret(name, value):
                    message = f"{_what(document.root.value)}: {quoted(name or path[-1])} looks like a secret"
                    hint = "keep it in a Secret of the cluster, and refer to that by secretKeyRef"
                    yield finding(document, path, SECRET, message, hint=hint)


def _texts(node: Node, path: Path_, settings: bool) -> Iterator[tuple[Path_, str, str]]:
    """Yield the texts in a document, with the name of the variable or setting that each is, if any."""
    name = text_at(node, "name") if text_at(node, "value") is not None else None
    for key, inner in node.children.items():
        place = (*path, key)
        if isinstance(inner.value, str):
            is_setting = settings and path[:1] == ("data",)
            yield place, str(key) if is_setting else (name or "") if key == "value" else "", inner.value
        yield from _texts(inner, place, settings)


def _what(obj: object) -> str:
    if not isinstance(obj, dict):
        return "a document"
    meta = obj.get("metadata")
    name = meta.get("name") if isinstance(meta, dict) else None
    return f"{obj.get('kind') or 'a document'} {name}" if isinstance(name, str) else str(obj.get("kind"))


RULES = (clusters, images, workloads, coarse, in_place, secrets)

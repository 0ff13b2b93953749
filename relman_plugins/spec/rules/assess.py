"""The assessment: compared with an environment of the pipeline, and bounds in the order of their names."""

from __future__ import annotations

from collections.abc import Iterator

from relman_plugins.domain.repository import is_address
from relman_plugins.domain.risk import RiskPolicy
from relman_plugins.spec.bundle import Bundle, number_at, text_at
from relman_plugins.spec.diagnostic import Diagnostic
from relman_plugins.spec.position import Document
from relman_plugins.spec.trail import finding
from relman_plugins.spec.words import listed, quoted, suggestion


def compared(bundle: Bundle) -> Iterator[Diagnostic]:
    """What is compared with is where this pipeline deploys to, and is still there from the release before."""
    name = text_at(bundle.pipeline.root, "assess", "compared_with")
    if name is None:
        return
    stages = [text for _, stage in bundle.stages() if (text := text_at(stage, "environment"))]
    document = bundle.environments.get(name)
    if name not in stages:
        message = f"{quoted(name)} is no environment of this pipeline; those are: {listed(stages)}"
        hint = suggestion(name, stages) or "name the environment of one of its stages"
    elif document is not None and document.root.value.get("ephemeral") is True:
        message = f"{quoted(name)} is ephemeral: nothing is live there between releases"
        hint = "compare with one that stays"
    else:
        return
    yield finding(bundle.pipeline, ("assess", "compared_with"), "RM708", message, hint=hint)


def bounds(bundle: Bundle) -> Iterator[Diagnostic]:
    """A high risk takes more points than a medium one."""
    place = ("assess", "risk")
    usual = RiskPolicy()
    for document in (bundle.pipeline, *bundle.environments.values()):
        risk = document.root.child(*place)
        if risk is None:
            continue
        medium, high = (
            said if (said := number_at(risk, name)) is not None else getattr(usual, name)
            for name in ("medium", "high")
        )
        if high <= medium:
            message = f"the risk is high from {high} points on and medium from {medium}: it is never medium"
            key = "high" if risk.child("high") is not None else "medium"
            yield finding(document, (*place, key), "RM709", message, hint="make high larger than medium")


def unused(bundle: Bundle) -> Iterator[Diagnostic]:
    """An environment looks for its own rules: for those with a `when`, and those that refuse authors."""
    for document in bundle.environments.values():
        mine = (rule for of, _, rule in bundle.rules() if of is document)
        needs = (rule.child("when") or text_at(rule, "self_approval") != "allowed" for rule in mine)
        if document.root.child("assess") is not None and not any(needs) and not _insists(document):
            message = "no rule of this environment's gates depends on the risk, or on who wrote the change"
            hint = "give a rule a when: such as risk >= medium, or remove assess:"
            yield finding(document, ("assess",), "RM207", message, key=True, hint=hint, severity="warning")


def insisted(bundle: Bundle) -> Iterator[Diagnostic]:
    """An environment may want every release assessed that goes there."""
    if bundle.pipeline.root.child("assess") is not None or bundle.incomplete:
        return
    for path, stage in bundle.stages():
        name = text_at(stage, "environment")
        document = bundle.environments.get(name) if name else None
        if document is not None and _insists(document):
            message = f"{quoted(str(name))} takes assessed releases only, and this pipeline assesses none"
            hint = "add assess: {} to the pipeline"
            yield finding(bundle.pipeline, (*path, "environment"), "RM522", message, hint=hint)


def _insists(document: Document) -> bool:
    node = document.root.child("assess", "required")
    return node is not None and node.value is True


def defects(bundle: Bundle) -> Iterator[Diagnostic]:
    """Issues of GitHub and GitLab are numbers: of which repository is to be said."""
    for document in (bundle.pipeline, *bundle.environments.values()):
        place = ("assess", "defects")
        source = document.root.child(*place)
        tracker = text_at(source, "tracker")
        if source is None or tracker not in ("github", "gitlab"):
            continue
        project = text_at(source, "project")
        if project is None or "/" not in project:
            message = f"issues of {tracker} are numbers of one repository, and none is named"
            hint = "name it: project: owner/name"
            yield finding(document, place, "RM710", message, key=True, hint=hint)


def signing_in(bundle: Bundle) -> Iterator[Diagnostic]:
    """A connection signs in to the server of an address; a directory has none."""
    text = text_at(bundle.pipeline.root, "assess", "repository")
    if text_at(bundle.pipeline.root, "assess", "connection") is None or (text and is_address(text)):
        return
    message = "the repository is a directory on the worker: no connection is used for it"
    hint = "write its address over HTTP, or remove connection:"
    place = ("assess", "connection")
    yield finding(bundle.pipeline, place, "RM207", message, key=True, hint=hint, severity="warning")


RULES = (compared, bounds, unused, insisted, defects, signing_in)

"""Parity: compared with where the release comes from, and with somebody to ask when it matters."""

from __future__ import annotations

from collections.abc import Iterator

from relman_plugins.spec.bundle import Bundle, Path_, entries, text_at
from relman_plugins.spec.diagnostic import Diagnostic
from relman_plugins.spec.position import Node
from relman_plugins.spec.trail import finding, holder
from relman_plugins.spec.words import listed, quoted, suggestion


def sources(bundle: Bundle) -> Iterator[Diagnostic]:
    """What is compared with is an earlier stage's environment that is still there."""
    earlier: list[str] = []
    for path, stage in bundle.stages():
        own, name = text_at(stage, "environment"), text_at(stage, "parity", "with")
        place = (*path, "parity", "with")
        if name is not None and name not in earlier:
            message = f"{quoted(name)} is no environment of a stage before {holder(bundle.pipeline, path)}"
            hint = suggestion(name, earlier) or f"environments before it: {listed(earlier, 'none')}"
            yield finding(bundle.pipeline, place, "RM704", message, hint=hint)
        elif name is not None and name == own:
            message = f"{holder(bundle.pipeline, path)} is compared with its own environment"
            yield finding(
                bundle.pipeline, place, "RM704", message, hint="name an earlier stage's environment"
            )
        elif name is not None and _is_ephemeral(bundle, name):
            message = f"{quoted(name)} is ephemeral: it is removed before it could be compared"
            yield finding(bundle.pipeline, place, "RM704", message, hint="compare with one that stays")
        if own is not None:
            earlier.append(own)


def questions(bundle: Bundle) -> Iterator[Diagnostic]:
    """A question has somebody to answer it."""
    for path, parity in _parities(bundle):
        asks, group = text_at(parity, "on_difference") == "gate", text_at(parity, "group")
        where = holder(bundle.pipeline, path)
        if asks and parity.child("group") is None:
            message = f"{where} asks whether differences are acceptable, but names nobody to ask"
            hint = "add group: with a group from people.yaml"
            yield finding(bundle.pipeline, (*path, "on_difference"), "RM705", message, hint=hint)
        elif group is not None and not asks:
            message = f"{where} names a group, but asks it nothing"
            hint = "add on_difference: gate, or remove group:"
            place = (*path, "group")
            yield finding(bundle.pipeline, place, "RM705", message, key=True, hint=hint, severity="warning")


def schemas(bundle: Bundle) -> Iterator[Diagnostic]:
    """A schema is read in one way, if it is to be compared."""
    for path, parity in _parities(bundle):
        schema, areas = parity.child("schema"), [n.value for _, n in entries(bundle.pipeline, *path, "of")]
        where = holder(bundle.pipeline, path)
        if schema is None:
            if "schema" in areas:
                message = f"{where} compares schemas, but does not say how one is read"
                hint = "add schema: {command: […]} or schema: {path: /…}"
                yield finding(bundle.pipeline, (*path, "of"), "RM706", message, key=True, hint=hint)
            continue
        place = (*path, "schema")
        if isinstance(schema.value, dict) and len({"command", "path"} & schema.value.keys()) != 1:
            message = f"the schema of {where} needs one of command and path"
            yield finding(bundle.pipeline, place, "RM706", message, key=True, hint="keep one of them")
        if areas and "schema" not in areas:
            message = f"{where} says how a schema is read, but compares none"
            hint = "add schema to of:, or remove schema:"
            yield finding(bundle.pipeline, place, "RM706", message, key=True, hint=hint, severity="warning")


def _parities(bundle: Bundle) -> Iterator[tuple[Path_, Node]]:
    for path, stage in bundle.stages():
        parity = stage.child("parity")
        if parity is not None and isinstance(parity.value, dict):
            yield (*path, "parity"), parity


def _is_ephemeral(bundle: Bundle, name: str) -> bool:
    document = bundle.environments.get(name)
    return document is not None and document.root.value.get("ephemeral") is True


RULES = (sources, questions, schemas)

"""A document → its model, or what is wrong with its shape."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from relman_plugins.spec.diagnostic import Diagnostic
from relman_plugins.spec.models.base import API_VERSION, SpecModel
from relman_plugins.spec.models.strategy import KINDS
from relman_plugins.spec.position import Document, Node
from relman_plugins.spec.secrets import CODE as SECRET
from relman_plugins.spec.secrets import looks_secret
from relman_plugins.spec.trail import finding, holder, subject
from relman_plugins.spec.values import expectation, got, hint_for
from relman_plugins.spec.words import did_you_mean, listed, quoted, suggestion

OTHER_KIND = "RM101"
"""Code for a file that is no document of the kind it should be: nothing else is said about it."""
_STRATEGY_TYPES = frozenset({"strategy", "strategy_kind", "strategy_settings", "strategy_kind_key"})

MOST_LISTED = 10
"""Unknown keys of one mapping after which the known ones, ever more of them, are not listed again."""

M = TypeVar("M", bound=SpecModel)


def validated(document: Document, model: type[M]) -> tuple[M | None, list[Diagnostic]]:
    """Return the model, or every place where the document does not have the model's shape."""
    wrong = header(document, model)
    if wrong is not None:
        return None, [wrong]
    try:
        return model.model_validate(document.root.value), []
    except ValidationError as error:
        details = error.errors(include_url=False)
    missing = [d for d in details if d["type"] == "missing"]
    others = [d for d in details if d["type"] != "missing" and not _echo(document, d) and not _secret(d)]
    unknown = Counter[tuple[str | int, ...]]()
    found = []
    for detail in others:
        unknown[detail["loc"][:-1]] += detail["type"] == "extra_forbidden"
        again = unknown[detail["loc"][:-1]] > MOST_LISTED
        found.append(_leak(document, detail) or _translated(document, model, detail, again=again))
    # A key with a slip in its name is not missing as well: correcting it is all there is to do.
    slips = {(d["loc"][:-1], f.hint) for d, f in zip(others, found, strict=True)}
    missing = [d for d in missing if (d["loc"][:-1], did_you_mean(str(d["loc"][-1]))) not in slips]
    return None, found + list(_missing(document, missing))


def _echo(document: Document, detail: ErrorDetails) -> bool:
    """Say whether a list is only called too short because its items, reported themselves, don't count."""
    return detail["type"] == "too_short" and bool(document.nearest(detail["loc"])[1].value)


PIPELINE = "ReleasePipeline"
REFERRED = ("Calendar", "Environment", "People", "Policy")
"""Kinds of documents that pipelines refer to."""


def header(document: Document, model: type[SpecModel]) -> Diagnostic | None:
    """Check kind and version, which come first: if they differ, everything else would only be noise."""
    value, kind = document.root.value, model.__name__
    if not isinstance(value, dict):
        message = f"a spec must be a mapping with apiVersion, kind, …, got {got(document.root)}"
        return finding(document, (), OTHER_KIND, message)
    for key, wanted in (("apiVersion", API_VERSION), ("kind", kind)):
        node = document.root.child(key)
        if node is None:
            hint = f"start the file with apiVersion: {API_VERSION} and kind: {kind}"
            return finding(
                document, (), OTHER_KIND, f'missing key "{key}" in {holder(document, ())}', hint=hint
            )
        if node.value != wanted:
            message = f'"{key}" must be "{wanted}" in this file, got {got(node)}'
            hint = f"write {key}: {wanted}"
            if kind == PIPELINE and node.value in REFERRED:
                hint = "such a file is checked with the pipelines that use it: give their folder"
            return finding(document, (key,), OTHER_KIND, message, hint=hint)
    return None


def _translated(
    document: Document, model: type[SpecModel], detail: ErrorDetails, *, again: bool
) -> Diagnostic:
    kind, loc = detail["type"], detail["loc"]
    if kind == "extra_forbidden":
        return _unknown_key(document, model, loc, again=again)
    if kind in _STRATEGY_TYPES:
        return _strategy(document, kind, detail)
    if loc and loc[-1] == "[key]":
        return _bad_key(document, loc[:-1], detail)
    path, node = document.nearest(loc)
    if kind == "condition":
        return _condition(document, path, node, detail["ctx"])
    code, wanted = expectation(kind, detail.get("ctx", {}))
    message = f"{subject(document, path)} {wanted}, got {got(node)}"
    return finding(document, path, code, message, hint=hint_for(kind, node, detail.get("ctx", {})))


def _condition(
    document: Document, path: tuple[str | int, ...], node: Node, context: dict[str, Any]
) -> Diagnostic:
    """Point at the word that is none of a condition's, where the file has the text as it is."""
    there = quoted(context["found"]) if context["found"] else "the end"
    message = f"{subject(document, path)} must be a condition such as risk >= medium: expected "
    found = finding(document, path, "RM109", f"{message}{context['expected']}, got {there}")
    begin = node.span.column - 1 + (not node.plain) + context["offset"]
    line = document.text.splitlines()[node.span.line - 1] if document.file(path) == document.path else ""
    if node.span.line == node.span.end_line and line[begin:].startswith(context["found"] or "\0"):
        found = replace(found, column=begin + 1, end_column=begin + 1 + len(context["found"]))
    return replace(found, hint=context["hint"] or found.hint)


def _unknown_key(
    document: Document, model: type[SpecModel], loc: tuple[str | int, ...], *, again: bool
) -> Diagnostic:
    from relman_plugins.spec.schema import keys_at  # brings every model there is

    path, _ = document.nearest(loc)
    allowed = keys_at(model, path[:-1], loc[:-1])
    expected = "expected one of those listed above" if again else f"expected one of {listed(allowed)}"
    message = f"unknown key {quoted(path[-1])} in {holder(document, path[:-1])}; {expected}"
    hint = suggestion(path[-1], allowed)
    if loc[-2:] == ("Checklist", "command"):
        hint = "a suite is a command or a checklist, not both: make two suites of it"
    if path[-1] in ("bad", "total") and "Analysis" in loc:
        hint = "add judge: sequential (compares with the old version) or judge: slo to the analysis"
    return finding(document, path, "RM102", message, key=True, hint=hint)


def _secret(detail: ErrorDetails) -> bool:
    """Say whether the message would quote a secret; a rule says that it stands there."""
    *above, name = detail["loc"] or ("",)
    return looks_secret(name, detail["input"]) and above[-1:] in (["config"], ["env"])


def _leak(document: Document, detail: ErrorDetails) -> Diagnostic | None:
    """Return the finding of a secret where none belongs at all: any other one would quote it."""
    name, value = (detail["loc"] or ("",))[-1], detail["input"]
    unknown = detail["type"] == "extra_forbidden" and isinstance(value, str | int | float)
    if not looks_secret(name if unknown else "", value):
        return None
    path, _ = document.nearest(detail["loc"])
    where = f"unknown key {quoted(path[-1])} in {holder(document, path[:-1])}" if unknown else "this value"
    hint = "specs are printed, stored and sent to Slack; keep secrets in Airflow connections"
    return finding(document, path, SECRET, f"{where} looks like a secret", key=unknown, hint=hint)


def _missing(document: Document, details: list[ErrorDetails]) -> Iterator[Diagnostic]:
    """Yield one finding for each mapping that lacks keys, unless keys were dropped from it."""
    lacking: dict[tuple[str | int, ...], list[str]] = {}
    for detail in details:
        path, node = document.nearest(detail["loc"][:-1])
        if not node.partial:
            lacking.setdefault(path, []).append(str(detail["loc"][-1]))
    for path, keys in lacking.items():
        noun = "missing key" if len(keys) == 1 else "missing keys"
        message = f"{noun} {', '.join(map(quoted, keys))} in {holder(document, path)}"
        hint = "; ".join(_EXAMPLES[key] for key in keys if key in _EXAMPLES)
        yield finding(document, path, "RM103", message, hint=hint)


_EXAMPLES = {
    "environment": "environment: staging",
    "stages": "stages: [{environment: staging}]",
    "artifact": "artifact: {source: ../src}",
    "source": "source: ../src, the directory with the service's source",
    "owner": "owner: the team that answers for it",
    "metadata": "metadata: {name: …, owner: …}",
    "command": "command: [python, -m, pytest, -q]",
    "connection": "connection: the id of an Airflow connection",
    "approval": "approval: a group from people.yaml",
    "system": "system: servicenow, or jira",
    "group": "group: the group from people.yaml whose members may answer",
    "with": "with: staging, the environment that the version was tried in",
    "item": "item: what must hold, in words",
    "steps": "steps: [10, 50, 100]",
    "zone": "zone: an IANA time zone, such as Europe/Berlin",
    "version_file": "version_file: ../src/VERSION, a file whose only line is the version",
    "airflow": "airflow: the user id in Airflow",
    "for": "for: 10m",
}
"""What to write, for keys whose name does not say it. Each is shown as the hint."""


def _strategy(document: Document, kind: str, detail: ErrorDetails) -> Diagnostic:
    path, node = document.nearest(detail["loc"])
    found = str(detail.get("ctx", {}).get("found", ""))
    inner = (*path, found) if isinstance(node.value, dict) and found in node.value else path
    if kind == "strategy_kind":
        where = holder(document, path[:-1])
        message = f"unknown strategy {quoted(found)} in {where}; expected one of {listed(KINDS)}"
        return finding(document, inner, "RM106", message, key=True, hint=suggestion(found, KINDS))
    if kind == "strategy_kind_key":
        message = f'unknown key "kind" in {holder(document, inner)}'
        return finding(document, (*inner, "kind"), "RM102", message, key=True, hint="the key above says it")
    if kind == "strategy_settings":
        settings = document.root.child(*inner)
        message = f"{subject(document, inner)} must be a mapping of settings, got {_got(settings)}"
        return finding(document, inner, "RM104", message, hint="canary: {steps: [10, 50, 100], analysis: …}")
    message = f"{subject(document, path)} must be recreate or one strategy with its settings, got {got(node)}"
    return finding(document, path, "RM104", message, hint="strategy: {canary: {steps: [10, 50, 100]}}")


def _bad_key(document: Document, path: tuple[str | int, ...], detail: ErrorDetails) -> Diagnostic:
    name = str(path[-1])
    code, wanted = expectation(detail["type"], detail.get("ctx", {}))
    message = f"the name {quoted(name)} in {holder(document, path[:-1])} {wanted}"
    better = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    hint = f"for example {quoted(better)}" if "dashes" in wanted and better[:1].isalpha() else ""
    return finding(document, path, code, message, key=True, hint=hint)


def _got(node: Node | None) -> Any:
    return got(node) if node is not None else "nothing"

"""Who is told: routes that lead to one place, and groups that can be reached there."""

from __future__ import annotations

from collections.abc import Iterator

from relman_plugins.spec.bundle import Bundle, entries, text_at
from relman_plugins.spec.diagnostic import Diagnostic
from relman_plugins.spec.trail import finding, subject
from relman_plugins.spec.words import listed, quoted, suggestion

_WAYS = ("slack", "email", "to")


def routes(bundle: Bundle) -> Iterator[Diagnostic]:
    """A route leads to one place; what it says of that place fits."""
    for document, path, node in bundle.notifies():
        if not isinstance(node.value, dict):
            continue
        ways = [way for way in _WAYS if node.value.get(way)]
        if path == ("notify",):
            if not ways and not node.value.get("routes"):
                message = f"{subject(document, path)} tells nobody"
                yield finding(document, path, "RM801", message, hint='add slack: "#channel", or routes:')
        elif len(ways) != 1:
            what = f"has {listed(ways)}" if ways else "leads nowhere"
            message = f"{subject(document, path)} {what}; it needs one of {listed(_WAYS)}"
            yield finding(document, path, "RM801", message, hint="make a route for each place")
        for key, way in (("address", "to"), ("mention", "slack")):
            if key in node.value and way not in node.value:
                message = f'"{key}" says nothing without "{way}"'
                yield finding(document, (*path, key), "RM802", message, key=True, hint=f"remove {key}:")


def groups(bundle: Bundle) -> Iterator[Diagnostic]:
    """Groups that are mentioned or get email exist, and have somebody who can be reached so."""
    if "people.yaml" in bundle.unreadable:
        return
    people = bundle.people
    known = [str(path[-1]) for path, _ in entries(people, "groups")] if people is not None else []
    for document, path, name, is_email in bundle.groups_told():
        if people is None or name not in known:
            message = f"unknown group {quoted(name)}; those in people.yaml are {listed(known, 'none')}"
            hint = suggestion(name, known) or "add it to groups: in people.yaml"
            yield finding(document, path, "RM803", message, hint=hint)
            continue
        members = [n.value for _, n in entries(people, "groups", name) if isinstance(n.value, str)]
        key = "email" if is_email else "slack"
        if not any(text_at(people.root.child("people", member), key) for member in members):
            message = f"nobody in group {quoted(name)} has {key}: in people.yaml"
            hint = f"add {key}: to the people of the group"
            severity = "error" if is_email else "warning"
            yield finding(document, path, "RM804", message, hint=hint, severity=severity)  # type: ignore[arg-type]


RULES = (routes, groups)

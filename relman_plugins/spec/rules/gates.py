"""Gates: groups that exist and have enough people to say yes, and tickets that somebody can give."""

from __future__ import annotations

from collections.abc import Iterator

from relman_plugins.domain.ticket import DECIDED
from relman_plugins.domain.ticket_number import SYSTEMS
from relman_plugins.spec.bundle import Bundle, Path_, entries, text_at
from relman_plugins.spec.diagnostic import Diagnostic, Severity
from relman_plugins.spec.position import Document, Node
from relman_plugins.spec.trail import finding, holder
from relman_plugins.spec.words import listed, quoted, suggestion


def groups(bundle: Bundle) -> Iterator[Diagnostic]:
    """The group of an approval exists and is large enough."""
    if bundle.people is None:
        yield from _nobody(bundle)
        return
    known = {str(path[-1]): _members(bundle.people, path) for path, _ in entries(bundle.people, "groups")}
    for document, place, name, quorum_place, quorum in bundle.asked():
        members = known.get(name)
        if members is None:
            message = (
                f"unknown approval group {quoted(name)}; those in people.yaml are {listed(known, 'none')}"
            )
            hint = suggestion(name, known) or "add it to groups: in people.yaml"
            yield finding(document, place, "RM501", message, hint=hint)
        elif not members:
            message = f"nobody is in approval group {quoted(name)}: the gate could never open"
            hint = "add people to it in people.yaml"
            yield finding(document, place, "RM502", message, hint=hint)
        elif quorum is not None and quorum > len(members):
            message = f"quorum {quorum} is more than the {_people(len(members))} in group {quoted(name)}"
            hint = f"lower it to at most {len(members)}, or add people to the group"
            yield finding(document, quorum_place, "RM503", message, hint=hint)


def _nobody(bundle: Bundle) -> Iterator[Diagnostic]:
    if "people.yaml" in bundle.unreadable:
        return
    groups_asked = ((asked.document, asked.place) for asked in bundle.asked())
    people_asked = ((document, place) for document, place, _ in bundle.people_asked())
    for document, place in (*groups_asked, *people_asked):
        message = "an approval needs people.yaml beside the pipelines, and there is none"
        hint = "people.yaml has kind: People, people: and groups:"
        yield finding(document, place, "RM505", message, hint=hint)


def members(bundle: Bundle) -> Iterator[Diagnostic]:
    """Members of groups are people, named once. Groups that no gate here names only get warnings."""
    if bundle.people is None:
        return
    known = [str(path[-1]) for path, _ in entries(bundle.people, "people")]
    named = {asked.group for asked in bundle.asked()}
    named |= {name for _, _, name, _ in bundle.groups_told()}
    for path, _ in entries(bundle.people, "groups"):
        severity: Severity = "error" if path[-1] in named else "warning"
        seen: set[str] = set()
        for place, node in entries(bundle.people, *path):
            if not isinstance(node.value, str):
                continue
            if node.value not in known:
                where = holder(bundle.people, path)
                message = (
                    f"unknown person {quoted(node.value)} in {where}; people are {listed(known, 'none')}"
                )
                hint = suggestion(node.value, known) or "add the person to people:"
                yield finding(bundle.people, place, "RM504", message, hint=hint, severity=severity)
            elif node.value in seen:
                message = f"{quoted(node.value)} is named twice in {holder(bundle.people, path)}"
                hint = "each person counts once"
                yield finding(bundle.people, place, "RM506", message, hint=hint, severity=severity)
            seen.add(node.value)


def accounts(bundle: Bundle) -> Iterator[Diagnostic]:
    """One account belongs to one person: otherwise one person could be counted as two."""
    if bundle.people is None:
        return
    kinds = (
        ("airflow", "RM507", "Airflow user"),
        ("username", "RM507", "Airflow's user name"),
        ("slack", "RM519", "Slack id"),
    )
    for key, code, what in kinds:
        seen: dict[str, str | int] = {}
        for path, person in entries(bundle.people, "people"):
            account = text_at(person, key)
            if account in seen:
                message = f"{what} {quoted(account)} already belongs to person {quoted(seen[account])}"
                hint = "one person must not be counted as two"
                yield finding(bundle.people, (*path, key), code, message, hint=hint)
            elif account:
                seen[account] = path[-1]


def twice(bundle: Bundle) -> Iterator[Diagnostic]:
    """The same group is not asked at two gates of one stage."""
    for path, stage in bundle.stages():
        environment = bundle.environments.get(text_at(stage, "environment") or "")
        own = entries(environment, "gates") if environment is not None else iter(())
        asked = {name for place, gate in own if environment for _, name in _names(environment, place, gate)}
        for place, gate in entries(bundle.pipeline, *path, "gates"):
            names = list(_names(bundle.pipeline, place, gate))
            for at, name in names:
                if name in asked:
                    message = f"group {quoted(name)} is asked twice before {holder(bundle.pipeline, path)}"
                    hint = "the environment's gates and policies' add up; remove one, or raise its quorum"
                    where = (*at, "approval")
                    yield finding(bundle.pipeline, where, "RM508", message, hint=hint, severity="warning")
            asked |= {name for _, name in names}


def _names(document: Document, path: Path_, gate: Node) -> Iterator[tuple[Path_, str]]:
    for place, rule in Bundle.rules_of(document, path, gate):
        if (name := text_at(rule, "approval")) is not None:
            yield place, name


def tickets(bundle: Bundle) -> Iterator[Diagnostic]:
    """A release that starts by itself has no ticket, and nobody to ask for one."""
    if bundle.pipeline.root.child("schedule") is None:
        return
    said: set[tuple[str, Path_]] = set()
    created = False
    for stage_path, stage in bundle.stages():
        environment = bundle.environments.get(text_at(stage, "environment") or "")
        places: list[tuple[Document, Path_]] = [(bundle.pipeline, (*stage_path, "gates"))]
        if environment is not None:
            places.insert(0, (environment, ("gates",)))
        found = [(doc, path, gate) for doc, place in places for path, gate in entries(doc, *place)]
        created = created or any(gate.child("change_ticket", "create") for _, _, gate in found)
        for document, path, gate in found:
            asks = gate.child("change_ticket")
            made = created and asks is not None and isinstance(asks.value, dict)
            if asks is None or made or (document.path, path) in said:
                continue
            said.add((document.path, path))
            message = "a change ticket is required, and the schedule has none: every release of it would fail"
            hint = "let the gate create one, remove schedule:, or ask for an approval instead"
            yield finding(document, (*path, "change_ticket"), "RM509", message, key=True, hint=hint)


def ticket_systems(bundle: Bundle) -> Iterator[Diagnostic]:
    """A release has one ticket, so all gates ask one system for it, behind one connection."""
    first: dict[str, str] = {}
    for document, path, gate in bundle.gates():
        system = text_at(gate, "change_ticket", "system") or ""
        if system not in SYSTEMS:
            continue
        connection = text_at(gate, "change_ticket", "connection") or f"relman_{system}"
        for name, here in (("system", system), ("connection", connection)):
            there = first.setdefault(name, here)
            if here != there:
                message = f"the ticket is looked for in {quoted(here)} here, and in {quoted(there)} elsewhere"
                hint = "a release has one ticket: ask one system for it, behind one connection"
                at = gate.child("change_ticket", name) is not None
                place = (*path, "change_ticket", name) if at else (*path, "change_ticket")
                yield finding(document, place, "RM517", message, key=not at, hint=hint)
                break


def ticket_decisions(bundle: Bundle) -> Iterator[Diagnostic]:
    """No ticket is created approved: relman's account may be able to, and whoever writes a spec is not."""
    for document, path, gate in bundle.gates():
        if text_at(gate, "change_ticket", "system") != "servicenow":
            continue
        for place, _ in entries(document, *path, "change_ticket", "create", "fields"):
            if str(place[-1]).lower() in DECIDED:
                message = f"a change is not created with {quoted(str(place[-1]))}"
                hint = "what others decide about it, and what relman fills in itself, stays out of fields"
                yield finding(document, place, "RM521", message, key=True, hint=hint)


def _members(people: Document, path: Path_) -> set[str]:
    return {node.value for _, node in entries(people, *path) if isinstance(node.value, str)}


def _people(count: int) -> str:
    return "one person" if count == 1 else f"{count} people"


RULES = (groups, members, accounts, twice, tickets, ticket_systems, ticket_decisions)

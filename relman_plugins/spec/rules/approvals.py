"""Approvals: rules that people can meet, named people who exist, and fields that can be filled in."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Annotated, NamedTuple

from relman_plugins.domain.approval import Ballot, Lacking, Panel, Rule
from relman_plugins.domain.identity import Person
from relman_plugins.spec.bundle import Bundle, Path_, entries, is_name, number_at, text_at
from relman_plugins.spec.diagnostic import Diagnostic
from relman_plugins.spec.models.gate import AnswerField
from relman_plugins.spec.position import Document, Node
from relman_plugins.spec.trail import finding, holder
from relman_plugins.spec.words import listed, quoted, suggestion

COMMENT = "comment"
"""The name of the field that every form has."""


class _Gate(NamedTuple):
    document: Document
    path: Path_
    rules: list[tuple[Path_, Node]]


def named(bundle: Bundle) -> Iterator[Diagnostic]:
    """People whom a rule names are in the People document, once in the rule, and enough for its quorum."""
    if bundle.people is None:
        return
    known = [str(path[-1]) for path, _ in entries(bundle.people, "people")]
    for document, path, rule in bundle.rules():
        people = [(p, n.value) for p, n in entries(document, *path, "approval") if is_name(n.value)]
        for index, (place, id_) in enumerate(people):
            where = holder(document, path)
            if id_ not in known:
                message = f"unknown person {quoted(id_)} in {where}; people are {listed(known, 'none')}"
                hint = suggestion(id_, known) or "add the person to people: in people.yaml"
                yield finding(document, place, "RM504", message, hint=hint)
            elif id_ in (other for _, other in people[:index]):
                message = f"{quoted(id_)} is named twice in {where}"
                yield finding(document, place, "RM506", message, hint="each person counts once")
        count = len({id_ for _, id_ in people})
        quorum = number_at(rule, "quorum") or 1
        if people and quorum > count:
            message = f"quorum {quorum} is more than the {count} named in {holder(document, path)}"
            hint = f"lower it to at most {count}, or name more people"
            yield finding(document, (*path, "quorum"), "RM503", message, hint=hint)


def together(bundle: Bundle) -> Iterator[Diagnostic]:
    """The rules of a gate can be met at once, each person counting for one of them, whoever starts."""
    if bundle.people is None:
        return
    groups = {
        str(path[-1]): [n.value for _, n in entries(bundle.people, *path) if isinstance(n.value, str)]
        for path, _ in entries(bundle.people, "groups")
    }
    accounts = {
        str(path[-1]): text_at(node, "airflow") or str(path[-1])
        for path, node in entries(bundle.people, "people")
    }
    for gate in _gates(bundle):
        rules = [_asks(gate.document, path, node, groups, accounts) for path, node in gate.rules]
        whole = [r for r in rules if r is not None and len({accounts[p] for p in r.people}) >= r.quorum]
        if len(whole) < len(gate.rules):
            continue  # said already of the rule
        lacking, starved = _alone(whole[0], accounts) if len(whole) == 1 else _matched(whole, accounts)
        if lacking:
            groups_short = " and ".join(f"{one.missing} of {one.group}" for one in lacking)
            message = (
                f"the rules of {holder(gate.document, gate.path)} can't be met at once: one person counts "
                f"for one of them, and {groups_short} is missing whoever approves"
            )
            hint = "add people to the groups, or lower a quorum"
            yield finding(gate.document, (*gate.path, "rules"), "RM510", message, key=True, hint=hint)
        elif starved:
            who = quoted(starved[0]) if len(starved) == 1 else f"one of {listed(starved)}"
            message = f"{holder(gate.document, gate.path)} can't be met when {who} starts the release"
            hint = "nobody approves their own release: add people, or write self_approval: allowed"
            place = (*gate.path, "approval" if gate.rules[0][0] == gate.path else "rules")
            yield finding(gate.document, place, "RM512", message, key=True, hint=hint, severity="warning")


def _alone(rule: _Asks, accounts: dict[str, str]) -> tuple[tuple[Lacking, ...], list[str]]:
    """Return what :func:`_matched` would of a rule that enough people are asked by: nobody needs placing."""
    tight = len({accounts[p] for p in rule.people}) <= rule.quorum and not rule.own_allowed
    return (), list(rule.people) if tight else []


def _matched(rules: list[_Asks], accounts: dict[str, str]) -> tuple[tuple[Lacking, ...], list[str]]:
    """Return what is missing whoever approves, and who must not start the release."""
    ids = dict.fromkeys(p for r in rules for p in r.people)
    people = tuple(Person(id=id_, airflow=accounts[id_]) for id_ in ids)
    panel = Panel(rules=tuple(_rule(n, asks) for n, asks in enumerate(rules)), people=people, own={})
    lacking = panel.impossible()
    return lacking, [] if lacking else [p.id for p in _scarce(panel) if _starves(panel, p)]


def twice(bundle: Bundle) -> Iterator[Diagnostic]:
    """Two rules of a gate differ: the same one twice is a quorum."""
    for gate in _gates(bundle):
        seen: dict[str, int] = {}
        for number, (path, rule) in enumerate(gate.rules if len(gate.rules) > 1 else (), start=1):
            value = rule.value if isinstance(rule.value, dict) else {}
            said = json.dumps({k: v for k, v in value.items() if k != "quorum"}, sort_keys=True, default=str)
            if said in seen and "approval" in value:
                message = f"{holder(gate.document, path)} says the same as rule {seen[said]}"
                hint = "write one rule with the sum of both quorums"
                place = (*path, "approval")
                yield finding(gate.document, place, "RM511", message, hint=hint, severity="warning")
            seen.setdefault(said, number)


def fields(bundle: Bundle) -> Iterator[Diagnostic]:
    """Fields can be filled in, and one name means one thing in a gate."""
    for gate in _gates(bundle):
        known: dict[str, object] = {}
        for path, _ in gate.rules:
            for place, node in entries(gate.document, *path, "fields"):
                name, where = str(place[-1]), holder(gate.document, place)
                if name == COMMENT:
                    message = f"{where} has the name of the field that every answer has"
                    hint = "write comment: required beside fields:, or choose another name"
                    yield finding(gate.document, place, "RM513", message, key=True, hint=hint)
                elif name in known and known[name] != node.value:
                    message = f"{where} is another field of that name in an earlier rule of the gate"
                    hint = "the form is one for everybody: write both the same, or choose another name"
                    yield finding(gate.document, place, "RM513", message, key=True, hint=hint)
                known.setdefault(name, node.value)
                yield from _field(gate.document, place, node, where)


def _field(document: Document, place: Path_, node: Node, where: str) -> Iterator[Diagnostic]:
    try:
        field = AnswerField.model_validate(node.value)
    except ValueError:
        return
    numeric, text = field.type in ("integer", "number"), field.type == "string"
    wrong = [key for key in ("enum", "pattern") if getattr(field, key) and not text]
    wrong += ["pattern"] if field.pattern and field.enum and text else []
    wrong += [key for key in ("min", "max") if getattr(field, key) is not None and not numeric]
    for key in wrong:
        told = "which has choices" if field.enum and text else f'whose type is "{field.type}"'
        message = f'"{key}" says nothing about {where}, {told}'
        yield finding(document, (*place, key), "RM513", message, key=True, hint=f"remove {key}:")
    if field.min is not None and field.max is not None and field.min > field.max:
        message = f"no value fits {where}: min {field.min:g} is above max {field.max:g}"
        yield finding(document, (*place, "min"), "RM513", message)
    if field.pattern and not wrong and (error := _unusable(field.pattern)):
        message = f"the pattern of {where} can't be used: {error}"
        hint = "it is one regular expression, without look-around and back references, such as CHG[0-9]{7}"
        yield finding(document, (*place, "pattern"), "RM513", message, hint=hint)


def _unusable(pattern: str) -> str:
    """Return why a pattern is none that takes linear time; empty when it is one."""
    from pydantic import StringConstraints, TypeAdapter
    from pydantic_core import SchemaError

    try:
        TypeAdapter(Annotated[str, StringConstraints(pattern=rf"^(?:{pattern})$")])
    except SchemaError as error:
        last = str(error).strip().splitlines()[-1].strip()
        return last.removeprefix("error: ")
    return ""


def _gates(bundle: Bundle) -> Iterator[_Gate]:
    for document, path, gate in bundle.gates():
        rules = list(bundle.rules_of(document, path, gate))
        if rules:
            yield _Gate(document, path, rules)


class _Asks(NamedTuple):
    """A rule of a gate as far as its people go."""

    called: str
    quorum: int
    people: Sequence[str]
    own_allowed: bool


def _asks(
    document: Document,
    path: Path_,
    node: Node,
    groups: dict[str, list[str]],
    accounts: dict[str, str],
) -> _Asks | None:
    """Return whom a rule asks for; None when they, or its quorum, are reported already."""
    group, quorum = text_at(node, "approval"), number_at(node, "quorum")
    listed_people = [n.value for _, n in entries(document, *path, "approval") if isinstance(n.value, str)]
    people: Sequence[str] = groups.get(group, []) if group else listed_people
    whole = quorum is None or isinstance(quorum, int)
    if not people or not whole or any(p not in accounts for p in people):
        return None
    allowed = text_at(node, "self_approval") == "allowed"
    return _Asks(group or ", ".join(people), int(quorum or 1), people, allowed)


def _rule(number: int, asks: _Asks) -> Rule:
    return Rule(
        id=str(number),
        group=asks.called,
        quorum=asks.quorum,
        people=tuple(asks.people),
        self_approval="allowed" if asks.own_allowed else "refused",
    )


def _scarce(panel: Panel) -> list[Person]:
    """Return the people of rules that could miss one: where there are more than the gate needs, nobody is."""
    few = [r for r in panel.rules if len(r.people) <= panel.needed and r.self_approval == "refused"]
    ids = {id_ for rule in few for id_ in rule.people}
    return [p for p in panel.people if p.id in ids]


def _starves(panel: Panel, person: Person) -> bool:
    without = panel.model_copy(update={"own": {person.airflow: "started it"}})
    everybody = [Ballot(p.airflow, frozenset(r.id for r in panel.rules)) for p in panel.people]
    return without.missing(everybody) > 0


RULES = (named, together, twice, fields)

"""From the gates of a stage to its approval steps: the environment's first, which no pipeline can change."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from relman_plugins.domain.approval import Ballot, Panel, Rule
from relman_plugins.domain.condition import Condition, parse
from relman_plugins.domain.identity import Person
from relman_plugins.errors import PlanError
from relman_plugins.plan.changes import Maker
from relman_plugins.plan.graph import Draft
from relman_plugins.plan.model import StepKind
from relman_plugins.spec.models import (
    ApprovalGate,
    ApprovalRule,
    Documents,
    Environment,
    ExceptionRule,
    People,
    RulesGate,
    Stage,
)


def steps(documents: Documents, stage: Stage, env: Environment, step: Maker) -> Iterator[Draft]:
    """Yield the approval steps of a stage.

    Raises:
        PlanError: the people whom a gate calls on could not meet its rules, each counting for one of them.
    """
    owned = [(gate, env.metadata.name) for gate in env.gates] + [(gate, "") for gate in stage.gates]
    asked = [(gate, owner) for gate, owner in owned if isinstance(gate, ApprovalGate | RulesGate)]
    for n, (gate, owner) in enumerate(asked, start=1):
        rules, people = _rules(documents, gate.rules, owner)
        _check(f"approval gate {n} of stage {stage.id}", rules, people)
        escalate = None
        if gate.escalate is not None:
            second = members(documents, gate.escalate.to)
            people = tuple({p.id: p for p in (*people, *second)}.values())
            escalate = {
                "after_s": gate.escalate.after.seconds,
                "group": gate.escalate.to,
                "people": [p.id for p in second],
            }
        name = "approval" if n == 1 else f"approval_{n}"
        yield step(
            name,
            StepKind.APPROVAL,
            gate=f"{stage.id}.{name}",
            group=" and ".join(rule.called for rule in rules),
            quorum=sum(rule.quorum for rule in rules),
            people=[p.model_dump(mode="json") for p in people],
            rules=[rule.model_dump(mode="json") for rule in rules],
            emails=_emails(documents, rules, people),
            timeout_s=gate.timeout.seconds,
            on_timeout=gate.on_timeout,
            remind_s=None if isinstance(gate.remind, str) else gate.remind.seconds,
            escalate=escalate,
            valid_for_s=gate.valid_for.seconds if gate.valid_for else None,
        )


def exceptions(documents: Documents, env: Environment) -> dict[str, Any] | None:
    """Return the arguments of the gate at which people let a release go past a freeze; None: nobody may.

    Raises:
        PlanError: the people whom it calls on could not meet its rule.
    """
    if env.exceptions is None:
        return None
    rules, people = _rules(documents, (env.exceptions,), "")
    _check(f"exceptions of environment {env.metadata.name}", rules, people)
    return {
        "group": rules[0].called,
        "quorum": rules[0].quorum,
        "people": [p.model_dump(mode="json") for p in people],
        "rules": [rule.model_dump(mode="json") for rule in rules],
        "emails": _emails(documents, rules, people),
    }


def members(documents: Documents, group: str) -> tuple[Person, ...]:
    """Return the people of a group; none without a People document.

    Raises:
        PlanError: the group names somebody who is not in the document.
    """
    try:
        return documents.people.members(group) if documents.people else ()
    except KeyError as missing:
        raise PlanError(f"group {group} names {missing}, who is not in people.yaml") from None


def _rules(
    documents: Documents, written: tuple[ExceptionRule, ...], owner: str
) -> tuple[tuple[Rule, ...], tuple[Person, ...]]:
    rules: list[Rule] = []
    everybody: dict[str, Person] = {}
    for rule in written:
        group = rule.approval if isinstance(rule.approval, str) else ""
        people = members(documents, group) if group else _named(documents.people, rule.approval)
        everybody |= {p.id: p for p in people}
        same = sum((r.group or "people") == (group or "people") for r in rules)
        rules.append(
            Rule(
                id=(group or "people") + (f"-{same + 1}" if same else ""),
                group=group,
                quorum=rule.quorum,
                people=tuple(p.id for p in people),
                comment=rule.comment,
                fields=tuple(field.called(name) for name, field in rule.fields.items()),
                self_approval=rule.self_approval,
                waivable=isinstance(rule, ApprovalRule) and rule.waivable,
                when=_condition(rule.when, owner) if isinstance(rule, ApprovalRule) else None,
            )
        )
    return tuple(rules), tuple(everybody.values())


def _condition(text: str | None, owner: str) -> Condition | None:
    """Return when a rule is asked for, by the weights of whoever owns the rule."""
    return parse(text).model_copy(update={"weighed_by": owner}) if text is not None else None


def _named(people: People | None, ids: tuple[str, ...] | str) -> tuple[Person, ...]:
    if people is None or (unknown := [id_ for id_ in ids if id_ not in people.people]):
        raise PlanError(f"an approval names {', '.join(unknown if people else ids)}, not in people.yaml")
    return people.named(ids)


def _check(where: str, rules: tuple[Rule, ...], people: tuple[Person, ...]) -> None:
    count = len({p.airflow for p in people})
    if len(rules) == 1:  # nobody needs placing then: people are those of the rule
        met = rules[0].quorum <= count
    else:
        every = frozenset(rule.id for rule in rules)
        met = not Panel(rules=rules, people=people, own={}).missing(
            [Ballot(p.airflow, every) for p in people]
        )
    if met:
        return
    asks = " and ".join(f"{rule.quorum} of {rule.called}" for rule in rules)
    raise PlanError(
        f"{where} asks for {asks}, but there are {count} people, and each counts once; "
        "add people to the group or lower the quorum"
    )


def _emails(documents: Documents, rules: tuple[Rule, ...], people: tuple[Person, ...]) -> dict[str, str]:
    return emails(documents, people) if any(rule.self_approval == "refused" for rule in rules) else {}


def emails(documents: Documents, people: tuple[Person, ...]) -> dict[str, str]:
    """Return the addresses that authors are known by, by the person's id, where they are looked at at all."""
    if documents.pipeline.assess is None or documents.people is None:
        return {}
    known = {p.id: documents.people.people[p.id].email for p in people}
    return {id_: email for id_, email in known.items() if email}

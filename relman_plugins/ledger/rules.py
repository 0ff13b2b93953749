"""The rules of a gate as they are recorded, and what a vote means by them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any

from pydantic import StringConstraints, TypeAdapter, ValidationError

from relman_plugins.domain.approval import Ballot, Escalation, Lacking, Panel, Rule, authors, own_release
from relman_plugins.domain.event import Event, Kind
from relman_plugins.domain.field import Field, is_blank
from relman_plugins.domain.identity import Person
from relman_plugins.ledger.releases import ReleaseRecord
from relman_plugins.plan.model import Step

MOST_NAMED = 5
"""Fields that a vote fills in and nobody asks for: so many are told."""


def rules_of(data: Mapping[str, Any]) -> tuple[Rule, ...]:
    """Return the rules in a plan's step or in what was recorded of a gate.

    Where none are written (a checklist, a question, what an older relman planned) it is one: so many of these
    people, whoever started the release.
    """
    if written := data.get("rules"):
        return tuple(Rule.model_validate(r) for r in written)
    people = tuple(str(p["id"]) for p in data["people"])
    group = str(data.get("group") or "")
    quorum = data["quorum"]
    return (Rule(id=group or "people", group=group, quorum=quorum, people=people, self_approval="allowed"),)


def escalation_of(data: Mapping[str, Any]) -> Escalation | None:
    """Return who else may answer after a time, by a plan's step or by what was recorded of a gate."""
    return Escalation.model_validate(data["escalate"]) if data.get("escalate") else None


def planned(
    record: ReleaseRecord, step: Step, assessed: Iterable[Event], *, escalated: bool = False
) -> Panel:
    """Return a gate's panel by the stored plan and by what is known of the release; events of any kind."""
    people = record.plan.people(step.id)
    told = [e.data for e in assessed if e.kind is Kind.CHANGE_ASSESSED]
    own = own_release(people, record.started_by, authors(told), step.args.get("emails"))
    return Panel(rules=_rules(step.args, escalated), people=people, own=own)


def recorded(data: Mapping[str, Any], *, escalated: bool = False) -> Panel:
    """Return a gate's panel by what was recorded when it was opened, and whether it was escalated since."""
    people = tuple(Person.model_validate(p) for p in data["people"])
    return Panel(rules=_rules(data, escalated), people=people, own=data.get("own") or {})


def _rules(data: Mapping[str, Any], escalated: bool) -> tuple[Rule, ...]:
    rules, second = rules_of(data), escalation_of(data)
    return second.opening(rules) if second is not None and escalated else rules


def ballot(panel: Panel, user: str, comment: str, answers: Mapping[str, Any]) -> Ballot:
    """Return which rules an approval with this comment and these answers can count for."""
    meets = (rule.id for rule in panel.rules if not unmet(rule, comment, answers))
    return Ballot(user, frozenset(meets))


def unmet(rule: Rule, comment: str, answers: Mapping[str, Any]) -> list[str]:
    """Return what an approval does not say that a rule asks for, or says in another way, in words."""
    found = ["a comment"] if rule.comment == "required" and not comment.strip() else []
    return found + [told for f in rule.fields if (told := _unfit(f, answers.get(f.name)))]


def given(panel: Panel, answers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answers that are not blank.

    Raises:
        ValueError: with what is wrong, in words for the person who answered.
    """
    fields = {f.name: f for rule in panel.rules for f in rule.fields}
    said = {name: value for name, value in answers.items() if not is_blank(value)}
    if strange := [name for name in said if name not in fields]:
        known = f"fields are {', '.join(fields)}" if fields else "this gate asks for none"
        named = ", ".join(_told("", name) for name in strange[:MOST_NAMED])
        raise ValueError(f"there is no field {named}{', …' if strange[MOST_NAMED:] else ''}; {known}")
    if wrong := [told for name, value in said.items() if (told := _unfit(fields[name], value))]:
        raise ValueError("; ".join(wrong))
    return said


def stuck(panel: Panel) -> str:
    """Return why a gate can never be met by those whom it calls on, in words; empty when it can."""
    rules = panel.impossible()
    if not rules:
        return ""
    out = [
        f"{p.name or p.id} {panel.own[p.airflow]}"
        for p in panel.people
        if p.airflow in panel.own and any(r.self_approval == "refused" for r in panel.called_by(p.airflow))
    ]
    why = f", since {' and '.join(out)}, and nobody approves their own release" if out else ""
    return f"can't be met: {lacks(rules)} that nobody is left to give{why}; somebody else must start it"


def lacks(lacking: Sequence[Lacking]) -> str:
    """Say what is missing: ``1 of release-managers and 2 of board``."""
    return " and ".join(f"{one.missing} of {one.group or 'those named'}" for one in lacking)


def _unfit(field: Field, value: Any) -> str:
    if is_blank(value):
        return f"{field.label} ({field.name})" if field.required else ""
    if _validator(field).is_valid(value):
        return ""
    return f"{field.label} ({field.name}) takes {field.takes()}, got {_told(field.name, value)}"


@lru_cache(maxsize=256)
def _validator(field: Field) -> Any:
    # Needed by few gates, and heavy.
    from jsonschema import Draft202012Validator, ValidationError, validators

    def pattern(validator: Any, wanted: str, value: Any, schema: Any) -> Any:
        # Python's own expressions can take for ever on a text that was made for it.
        if isinstance(value, str) and not _matches(wanted, value):
            yield ValidationError(f"{value!r} does not match {wanted!r}")

    return validators.extend(Draft202012Validator, {"pattern": pattern})(field.json_schema())


def _matches(wanted: str, value: str) -> bool:
    try:
        _text(wanted).validate_python(value)
    except ValidationError:
        return False
    return True


@lru_cache(maxsize=256)
def _text(wanted: str) -> TypeAdapter[str]:
    # pydantic's expressions are those of the Rust crate regex.
    return TypeAdapter(Annotated[str, StringConstraints(pattern=wanted)])


def _told(name: str, value: Any) -> str:
    # Tasks that need no spec load nothing of what reads them.
    from relman_plugins.spec.secrets import told

    return told(name, value)

"""Rules that the risk of a release does not ask for, told from the record whenever somebody acts on it.

What is believed is the stored plan, which has the conditions and the weights, and what the step that assesses
recorded: not the class that it came to, but its findings, weighed anew. An environment's rules go by its
owner's weights over findings that were made for it; no pipeline chooses those. Whatever is not known (nothing
was recorded, or it can't be read, or two records say different things, or another version is live by now)
leaves the rule asked for. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import ValidationError

from relman_plugins.domain.approval import Rule
from relman_plugins.domain.assessment import Assessment, Circumstances, assess
from relman_plugins.domain.condition import Condition, NotNeeded
from relman_plugins.domain.event import Event, Kind
from relman_plugins.domain.risk import RiskPolicy
from relman_plugins.ledger.releases import ReleaseRecord
from relman_plugins.ledger.rules import rules_of
from relman_plugins.plan.model import Shape, Step, StepKind

ENVIRONMENTS = "environments"
"""Where, in what was recorded, an environment's own assessment stands, by the environment's name."""


class Sorted(NamedTuple):
    """The rules of a gate: those that must be met, and those that nobody needs."""

    needed: tuple[Rule, ...]
    spared: tuple[NotNeeded, ...]


def sort(record: ReleaseRecord, gate: Step, events: Sequence[Event]) -> Sorted:
    """Sort the rules of a gate by the release's risk; ``events`` are the release's, of any kinds."""
    shape = record.plan.shape
    told = [e.data for e in events if e.kind is Kind.CHANGE_ASSESSED]
    outdated = {e.environment for e in events if e.kind is Kind.CHANGE_OUTDATED}
    needed, spared = [], []
    for rule in rules_of(gate.args):
        known = rule.when is not None and _place(shape, rule.when) not in outdated
        reason = _not_needed(shape, rule.when, told) if rule.when is not None and known else ""
        if reason and rule.when is not None:
            spared.append(_line(rule, rule.when, reason))
        else:
            needed.append(rule)
    return Sorted(tuple(needed), tuple(spared))


def depends(gate: Step) -> bool:
    """Say whether a rule of a gate is asked for only at some risk."""
    return any(rule.get("when") for rule in gate.args.get("rules") or ())


def compared(record: ReleaseRecord, gate: Step, events: Sequence[Event]) -> dict[str, Circumstances]:
    """Return under which circumstances the risk was told that rules of a gate depend on, by environment.

    What was recorded last counts; what can't be read is left out, since nothing is spared by it.
    """
    told = [e.data for e in events if e.kind is Kind.CHANGE_ASSESSED]
    found = {}
    for rule in rules_of(gate.args):
        if rule.when is not None and told:
            one = _weighed(record.plan.shape, rule.when.weighed_by, told[-1])
            if one is not None:
                found[_place(record.plan.shape, rule.when)] = one.circumstances
    return found


def _place(shape: Shape, condition: Condition) -> str:
    """Return the environment with whose live version the change was compared that a condition is about."""
    step = next((s for s in shape.steps if s.kind is StepKind.ASSESS), None)
    return condition.weighed_by or str(step.args.get("environment", "") if step else "")


def _not_needed(shape: Shape, condition: Condition, told: Sequence[Mapping[str, Any]]) -> str:
    """Return why a rule is not asked for, in words; empty when it is."""
    found = [_weighed(shape, condition.weighed_by, data) for data in told]
    if any(condition.holds(one.risk if one else None) for one in found):
        return ""
    by = f" by the weights of {condition.weighed_by}" if condition.weighed_by else ""
    return next((f"{one.headline()}{by}" for one in reversed(found) if one), "")


def _weighed(shape: Shape, owner: str, data: Mapping[str, Any]) -> Assessment | None:
    """Return what was found, weighed anew by the stored plan; None when that can't be done."""
    policy = _policy(shape, owner)
    said = (data.get(ENVIRONMENTS) or {}).get(owner) if owner else data
    if policy is None or not isinstance(said, Mapping):
        return None
    try:
        recorded = Assessment.model_validate({name: said.get(name) for name in Assessment.model_fields})
    except ValidationError:
        return None
    again = assess(recorded.changes, recorded.circumstances, policy)
    # A record that does not add up was not made by the step, or by another relman: nobody knows then.
    return again if again.risk is recorded.risk else None


def _policy(shape: Shape, owner: str) -> RiskPolicy | None:
    if owner:
        weighing = next((e.weighing for e in shape.environments if e.name == owner), None)
        return weighing.risk if weighing else None
    step = next((s for s in shape.steps if s.kind is StepKind.ASSESS), None)
    return RiskPolicy.model_validate(step.args["risk"]) if step and "risk" in step.args else None


def _line(rule: Rule, condition: Condition, reason: str) -> NotNeeded:
    return NotNeeded(id=rule.id, group=rule.called, quorum=rule.quorum, when=str(condition), reason=reason)

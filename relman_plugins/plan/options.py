"""What a release was started with, checked: the same for the form, the API and the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relman_plugins.domain.identity import TICKET_LIMIT, VERSION_PATTERN, is_ticket, is_version
from relman_plugins.domain.parameter import LONGEST_TEXT, Value
from relman_plugins.domain.ticket_number import SYSTEMS, example, number_in
from relman_plugins.errors import PlanError
from relman_plugins.plan.model import Options, ReleasePlan, Shape, StepKind


def plan_release(shape: Shape, options: Options) -> ReleasePlan:
    """Return the plan of one release.

    Raises:
        PlanError: The version is not one that artifacts, URLs and file names can carry.
    """
    if not is_version(options.version):
        raise PlanError(
            f"version {options.version!r} of {shape.pipeline} is not usable; "
            f"expected {VERSION_PATTERN} without '..', for example 1.4.0"
        )
    return ReleasePlan(shape=shape, options=options)


def options_of(shape: Shape, given: Mapping[str, Any]) -> Options:
    """Return the options that a filled-in form stands for; an empty field may be null or left out.

    Raises:
        PlanError: a value is not one that its field takes, a field that must be filled in is empty, or an
            emergency and its reason don't come together. All of them are said at once.
    """
    found: list[str] = []
    version, ticket = str(given.get("version") or ""), str(given.get("ticket") or "").strip()
    if not is_version(version):
        found.append(
            f"{_told('', version)} is not a version: expected letters, digits and . _ + -, at most 64, "
            "as in 1.4.0"
        )
    if ticket and not is_ticket(ticket):
        found.append(
            f"{_told('', ticket)} is not a ticket: expected a number as in CHG0030001 or OPS-42, or a link "
            f"as in https://tracker.example/CHG-42, without a user in it, at most {TICKET_LIMIT} characters"
        )
    dry_run = bool(given.get("dry_run"))
    needing = sorted({str(s.stage) for s in shape.steps if s.ticket})
    if needing and not ticket and not dry_run:
        found.append(
            f"a change ticket is required for {', '.join(needing)}: give its link or number as ticket, "
            "as in https://tracker.example/CHG-42"
        )
    found += [
        f"{SYSTEMS[system]} is asked for the ticket, and {_told('', ticket)} names no single one there: "
        f"give its number, as in {example(system)}, or a link with it"
        for system in _systems(shape)
        if is_ticket(ticket) and not number_in(system, ticket) and not dry_run
    ]
    emergency, reason = bool(given.get("emergency")), str(given.get("emergency_reason") or "").strip()
    if emergency and not reason:
        found.append(
            "an emergency needs a reason: say in emergency_reason why the release can't wait for its window; "
            "its approvers and the record are told"
        )
    if reason and not emergency:
        found.append(
            "emergency_reason says why this is an emergency, but emergency is off: switch it on, or empty "
            "the reason"
        )
    changes = str(given.get("changes") or "")
    found += [
        f"{name} has {len(text)} characters, at most {LONGEST_TEXT} are kept"
        for name, text in (("changes", changes), ("emergency_reason", reason))
        if len(text) > LONGEST_TEXT
    ]
    parameters = _parameters(shape, given, found)
    texts = {"changes": changes, "ticket": ticket, "emergency_reason": reason, **parameters}
    found += [
        f"{name} has a character that no record or variable can hold (NUL, or half of a surrogate pair); "
        "type it again"
        for name, text in texts.items()
        if isinstance(text, str) and not _is_storable(text)
    ]
    if found:
        raise PlanError("; ".join(found))
    return Options(
        version=version,
        changes=changes,
        ticket=ticket,
        emergency=emergency,
        emergency_reason=reason,
        dry_run=dry_run,
        parameters=parameters,
    )


def _systems(shape: Shape) -> list[str]:
    """Return the systems that are asked for the release's ticket, each once."""
    return list(dict.fromkeys(s.args["system"] for s in shape.steps if s.kind is StepKind.TICKET))


def _parameters(shape: Shape, given: Mapping[str, Any], found: list[str]) -> dict[str, Value]:
    taken: dict[str, Value] = {}
    for parameter in shape.parameters:
        value = given.get(parameter.name)
        if value is None:
            value = parameter.default
        if value is None:
            found.append(f"{parameter.label} ({parameter.name}) must be filled in: {parameter.takes()}")
            continue
        try:
            taken[parameter.name] = parameter.taken(value)
        except ValueError as error:
            found.append(f"{error}, got {_told(parameter.name, value)}")
    return taken


def _is_storable(text: str) -> bool:
    return "\x00" not in text and not any("\ud800" <= c <= "\udfff" for c in text)


def _told(name: str, value: Any) -> str:
    # Tasks that need no spec load nothing of what reads them.
    from relman_plugins.spec.secrets import told

    return told(name, value)

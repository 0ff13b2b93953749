"""The rules of a gate at a terminal: how its fields are filled in, what is missing, who can give it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from relman_plugins.cli.exits import Exit, Stop


def filled_in(gate: dict[str, Any], pairs: Sequence[str]) -> dict[str, Any]:
    """Return what ``NAME=VALUE`` pairs fill in, as the types of the fields want it; the server checks it."""
    fields = {f["name"]: f for rule in gate.get("rules") or () for f in rule.get("fields") or ()}
    found: dict[str, Any] = {}
    check(pairs)
    for pair in pairs:
        name, _, text = pair.partition("=")
        if name not in fields:
            known = f"fields: {', '.join(fields)}" if fields else "it asks for none"
            raise Stop(Exit.USAGE, f"no field {name} at {gate['gate']}; {known}")
        found[name] = _typed(str(fields[name]["type"]), text)
    return found


def check(pairs: Sequence[str]) -> None:
    """End the command for what is not ``NAME=VALUE``, or a name twice; no server is needed to say so."""
    names = set()
    for pair in pairs:
        name, sign, _ = pair.partition("=")
        if not sign:
            raise Stop(Exit.USAGE, f"--field {pair}: write NAME=VALUE")
        if name in names:
            raise Stop(Exit.USAGE, f"--field {name} twice")
        names.add(name)


def lacking(gate: dict[str, Any]) -> str:
    """Say what an open gate lacks, and who can give it: ``1 of board (Alice, Bob), with a comment``."""
    if gate.get("impossible"):
        return str(gate["impossible"])
    names = {p["id"]: p["name"] or p["id"] for p in gate["people"]}
    return "; ".join(_one(one, names) for one in gate.get("lacking") or ())


def not_needed(spared: Sequence[dict[str, Any]]) -> list[str]:
    """Say in one line each which rules the risk of a release does not ask for, and why."""
    from relman_plugins.domain.condition import NotNeeded

    return [f"not needed: {NotNeeded.model_validate(rule).line()}" for rule in spared]


def told(gate: dict[str, Any]) -> list[str]:
    """Say in one line each what the rules of a gate are, where there is more to say than who is asked."""
    rules = gate.get("rules") or ()
    more = len(rules) > 1 or any(r["fields"] or r["comment"] == "required" or r.get("when") for r in rules)
    return ([_rule(rule) for rule in rules] if more else []) + not_needed(gate.get("not_needed") or ())


def _one(one: dict[str, Any], names: dict[str, str]) -> str:
    able = [names.get(id_, id_) for id_ in one["people"]]
    able += [f"{names.get(id_, id_)} by withdrawing and voting again" for id_ in one["again"]]
    who = ", ".join(able) or "nobody is left"
    wanted = f", with {' and '.join(one['wants'])}" if one["wants"] else ""
    whom = f"{one['group']} ({who})" if one["group"] else who
    return f"{one['missing']} of {whom}{wanted}"


def _rule(rule: dict[str, Any]) -> str:
    fields = [f"{f['name']}{'' if f['required'] else ' (optional)'}" for f in rule["fields"]]
    wanted = ([] if rule["comment"] == "optional" else ["a comment"]) + fields
    said = f", with {', '.join(wanted)}" if wanted else ""
    when = rule.get("when")
    asked = f"; asked if risk {when['operator']} {when['risk']}" if when else ""
    return f"{rule['quorum']} of {rule['group'] or ', '.join(rule['people'])}{said}{asked}"


def _typed(kind: str, text: str) -> Any:
    if kind == "boolean" and text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return {"integer": int, "number": float}.get(kind, str)(text)
    except ValueError:
        return text

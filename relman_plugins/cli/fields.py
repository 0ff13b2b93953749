"""A pipeline's own fields on the command line: ``--set NAME=VALUE``, read as the trigger form would."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from relman_plugins.cli.exits import Exit, Stop
from relman_plugins.domain.parameter import FORM_FIELDS


def filled_in(given: Sequence[str], params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values for the run, by name.

    Args:
        given: ``NAME=VALUE``, as typed.
        params: The DAG's params as Airflow describes them, with the JSON Schema of each.

    Raises:
        Stop: one is not of that form, no field of the pipeline, or not of the field's type.
    """
    own = {name: param for name, param in params.items() if name not in FORM_FIELDS}
    values: dict[str, Any] = {}
    check(given)
    for text in given:
        name, _, value = text.partition("=")
        if name not in own:
            close = difflib.get_close_matches(name, own, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"it has: {', '.join(own) or 'none'}"
            raise Stop(Exit.USAGE, f"--set {text!r}: the pipeline has no field {name!r} ({hint})")
        values[name] = _value(text, value, own[name].get("schema") or {})
    return values


def check(given: Sequence[str]) -> None:
    """End the command for what is not of the form ``NAME=VALUE``; no server is needed to say so."""
    for text in given:
        if "=" not in text:
            raise Stop(Exit.USAGE, f"--set {text!r}: expected NAME=VALUE, as in --set users=50")


def _value(text: str, value: str, schema: Mapping[str, Any]) -> Any:
    try:
        match schema.get("type"):
            case "integer":
                return int(value)
            case "number":
                return float(value)
            case "boolean":
                return {"true": True, "false": False}[value.lower()]
    except (ValueError, KeyError):
        wanted = {"integer": "a whole number", "number": "a number"}.get(schema["type"], "true or false")
        raise Stop(Exit.USAGE, f"--set {text!r}: expected {wanted}") from None
    return value

"""Answers to the items of a checklist, as they are given at a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from relman_plugins.cli.exits import Exit, Stop

ALL = "all"

Passed = Annotated[
    list[str] | None,
    typer.Option("--passed", help="Id of a checklist's item that passed; `all`: those not --failed. Repeat."),
]
Failed = Annotated[
    list[str] | None, typer.Option("--failed", help="Id of a checklist's item that failed. Repeat.")
]


def answers(
    gate: dict[str, Any], passed: Sequence[str] | None, failed: Sequence[str] | None
) -> dict[str, str]:
    """Return the answers by id of the item; what is not named is left out, and so is not tested."""
    items = [i["id"] for i in gate["subject"].get("checklist") or ()]
    good, bad = set(passed or ()), set(failed or ())
    if (good or bad) and not items:
        raise Stop(Exit.USAGE, f"{gate['gate']} is no checklist: --passed and --failed don't apply")
    if strange := sorted((good - {ALL} | bad) - set(items)):
        raise Stop(Exit.USAGE, f"no item {', '.join(strange)} at {gate['gate']}; items: {', '.join(items)}")
    if twice := sorted(good & bad):
        raise Stop(Exit.USAGE, f"both passed and failed: {', '.join(twice)}")
    if ALL in good:
        good = set(items) - bad
    return {i: "failed" if i in bad else "passed" for i in items if i in good | bad}


def lines(gate: dict[str, Any]) -> list[str]:
    """Return one line for each item, with what was said of it."""
    said = gate.get("answers") or {}
    return [
        f"{i['id']}: {i['item']}" + (f" ({said[i['id']]})" if i["id"] in said else "")
        for i in gate["subject"].get("checklist") or ()
    ]

"""Sources: what is asked of one is what its kind can be asked."""

from __future__ import annotations

from collections.abc import Iterator

from relman_plugins.spec.bundle import Bundle, entries
from relman_plugins.spec.diagnostic import Diagnostic
from relman_plugins.spec.trail import finding, holder

CODE = "RM317"


def series(bundle: Bundle) -> Iterator[Diagnostic]:
    """A number is taken of a series only where there is one."""
    for path, _ in entries(bundle.pipeline, "analyses"):
        for place, metric in entries(bundle.pipeline, *path, "metrics"):
            given = metric.value if isinstance(metric.value, dict) else {}
            if "take" in given and "over" not in given:
                message = f"{holder(bundle.pipeline, place)} takes one number of a series, but asks for none"
                hint = "add over: and for how long, such as over: 5m"
                yield finding(bundle.pipeline, (*place, "take"), CODE, message, key=True, hint=hint)


RULES = (series,)

"""Rules: what the shape of a single document can't say. One file for each kind of rule.

Rules see the documents as written, right or wrong: they skip what has the wrong shape, which is reported
already, so that one mistake doesn't hide another.
"""

from __future__ import annotations

from collections.abc import Iterator

from relman_plugins.spec.bundle import Bundle
from relman_plugins.spec.diagnostic import Diagnostic
from relman_plugins.spec.rules import calendars, gates, names, references, rolling, safety, traffic

RULES = (
    *names.RULES,
    *references.RULES,
    *traffic.RULES,
    *rolling.RULES,
    *safety.RULES,
    *calendars.RULES,
    *gates.RULES,
)


def check(bundle: Bundle) -> Iterator[Diagnostic]:
    """Apply every rule."""
    for rule in RULES:
        yield from rule(bundle)

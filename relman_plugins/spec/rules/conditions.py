"""Rules that depend on the risk: there is one to depend on, and a condition that can go both ways."""

from __future__ import annotations

from collections.abc import Iterator

from relman_plugins.domain.condition import ConditionError, parse
from relman_plugins.domain.risk import Risk
from relman_plugins.spec.bundle import Bundle, text_at
from relman_plugins.spec.diagnostic import Diagnostic
from relman_plugins.spec.trail import finding, holder


def conditions(bundle: Bundle) -> Iterator[Diagnostic]:
    """A rule's condition holds for some releases and not for others, and the risk is told at all."""
    assesses = bundle.pipeline.root.child("assess") is not None or bundle.incomplete
    for document, path, rule in bundle.rules():
        text, place = text_at(rule, "when"), (*path, "when")
        if text is None:
            continue
        try:
            holding = parse(text).holding
        except ConditionError:
            continue  # said already
        where = holder(document, path)
        if not holding:
            message = f"{where} is never asked for: no risk meets {text.strip()}"
            hint = f"risks are {', '.join(Risk)}, in this order; or remove the rule"
            yield finding(document, place, "RM518", message, hint=hint)
        elif len(holding) == len(Risk):
            message = f"{where} is always asked for: every risk meets {text.strip()}"
            yield finding(document, place, "RM518", message, hint="remove when:", severity="warning")
        elif document is bundle.pipeline and not assesses:
            message = (
                f"{where} depends on the risk, and this pipeline assesses none: it would always be asked"
            )
            hint = "add assess: {} to the pipeline, or remove when:"
            yield finding(document, place, "RM520", message, hint=hint)


RULES = (conditions,)

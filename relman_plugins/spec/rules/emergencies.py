"""Time and emergencies of gates: escalation within the gate's time, and rules that somebody may skip."""

from __future__ import annotations

from collections.abc import Iterator

from relman_plugins.spec.bundle import Bundle, text_at
from relman_plugins.spec.diagnostic import Diagnostic
from relman_plugins.spec.models.duration import Duration
from relman_plugins.spec.trail import finding, holder

_TIMEOUT_S = 86_400
"""How long a gate waits unless it says so itself."""


def escalations(bundle: Bundle) -> Iterator[Diagnostic]:
    """A second group is asked before the gate's time is over."""
    for document, path, gate in bundle.gates():
        after = _seconds(text_at(gate, "escalate", "after"))
        timeout = _seconds(text_at(gate, "timeout") or f"{_TIMEOUT_S}s")
        if after is not None and timeout is not None and after >= timeout:
            message = f"{holder(document, path)} ends before its second group is asked"
            hint = f"ask within {Duration(timeout)}, or raise timeout:"
            yield finding(document, (*path, "escalate", "after"), "RM514", message, hint=hint)


def waivable(bundle: Bundle) -> Iterator[Diagnostic]:
    """Only the owner of an environment says what may be skipped there, and by whom."""
    for document, path, rule in bundle.rules():
        node = rule.child("waivable")
        if node is None or node.value is not True:
            continue
        place = (*path, "waivable")
        if document is bundle.pipeline:
            message = "a pipeline can't say which rules an emergency skips: that is the environment owner's"
            hint = "remove waivable:, or write the rule into the environment's gates:"
            yield finding(document, place, "RM515", message, key=True, hint=hint)
        elif document.root.child("break_glass") is None:
            message = f"nobody may skip {holder(document, path)}, since the environment has no break_glass:"
            hint = "add break_glass: with group: and follow_up:, or remove waivable:"
            yield finding(document, place, "RM516", message, key=True, hint=hint)


def _seconds(text: str | None) -> int | None:
    """Return a duration in seconds; None for what is none, which is said elsewhere."""
    try:
        return Duration.parse(text).seconds if text is not None else None
    except ValueError:
        return None


RULES = (escalations, waivable)

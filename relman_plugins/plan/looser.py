"""Which changes of how numbers are judged let more pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def looser(what: str, before: Any, after: Any) -> str:
    """Return in which way a setting of an analysis or of a metric is less strict now; empty if it isn't."""
    match what:
        case "max" | "allowed_increase" if before is not None and (after is None or after > before):
            return "limit loosened"
        case "min" if before is not None and (after is None or after < before):
            return "limit loosened"
        case "tolerated_failures" if after > before:
            return "more failures tolerated"
        case "min_samples" if after < before:
            return "rests on fewer samples"
        case "early_pass" if after:
            return "may end before its last look"
        case "against" if after == "before":
            return "compared with another time, which is weaker"
        case "early_fail" if before:
            return "harm is found later"
        case "false_alarms" if after < before:
            return "harm is found later"
        case "tolerance" if after > before:
            return "more harm may pass"
        case "confidence" if after > before:
            return "harm must be more certain"
        case "undecided" if after == "pass":
            return "people are not asked any more when the numbers decide neither way"
        case "objective" if after < before:
            return "more may be bad"
        case "windows":
            return _slower(before, after)
        case "critical" | "must_have_data" if before and not after:
            return "one metric alone does not stop a release any more"
        case "muted" if after and not before:
            return "judged, and does not decide any more"
        case "direction" if after != "either":
            return "a change in the other direction passes"
        case "effect_size" | "outliers" | "nan_strategy" | "thresholds" | "group_weights" | "groups":
            return "the score is made in another way: look how"
    return ""


def _slower(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> str:
    """Compare pairs of windows; one that is not there any more, or burns longer, lets more pass."""
    limits = {(w["long_s"], w["short_s"], w["severity"]): w["burn_rate"] for w in after}
    pairs = [(limits.get((w["long_s"], w["short_s"], w["severity"])), w["burn_rate"]) for w in before]
    if any(limit is None or limit > burnt for limit, burnt in pairs):
        return "the budget may burn faster, or longer"
    return ""

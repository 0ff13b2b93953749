"""Rolling: bounds between which something can move, and somebody still serves."""

from __future__ import annotations

from collections.abc import Iterator

from relman_plugins.domain.bounds import rolling_bounds
from relman_plugins.spec.bundle import Bundle, number_at, text_at
from relman_plugins.spec.diagnostic import Diagnostic
from relman_plugins.spec.models.environment import Environment
from relman_plugins.spec.models.rolling import Rolling
from relman_plugins.spec.trail import finding, holder

REPLICAS: int = Environment.model_fields["replicas"].default


def bounds(bundle: Bundle) -> Iterator[Diagnostic]:
    """The bounds of a rolling change fit the replicas of its environment."""
    for path, stage in bundle.stages():
        document = bundle.environments.get(text_at(stage, "environment") or "")
        node = stage.child("strategy", "rolling")
        if document is None or node is None or not isinstance(node.value, dict):
            continue
        replicas = number_at(document.root, "replicas") if "replicas" in document.root.value else REPLICAS
        if not isinstance(replicas, int) or replicas < 1:
            continue
        try:
            settings = Rolling.model_validate(node.value)
        except ValueError:
            continue
        try:
            rolling_bounds(settings.max_surge, settings.max_unavailable, replicas)
        except ValueError as error:
            said, _, hint = str(error).partition("; ")
            message = f"the rolling of {holder(bundle.pipeline, path)}: {said}"
            yield finding(
                bundle.pipeline, (*path, "strategy", "rolling"), "RM314", message, key=True, hint=hint
            )


RULES = (bounds,)

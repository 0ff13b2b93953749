"""Who gets the next request: smooth weighted round robin.

Deterministic: over any run of requests whose length is the sum of the weights (divided by what they have in
common) each target gets exactly its weight, spread as evenly as can be. The method is the one nginx describes
for its upstream balancing (commit 52327e0627f4, "Upstream: smooth weighted round-robin balancing").
"""

from __future__ import annotations

from collections.abc import Mapping


class Route:
    """Weights by target, and whose turn it is."""

    def __init__(self, weights: Mapping[str, int] | None = None) -> None:
        self.weights: dict[str, int] = {}
        self._current: dict[str, int] = {}
        self._total = 0
        self.set(weights or {})

    def set(self, weights: Mapping[str, int]) -> None:
        """Replace the weights; targets without weight get nothing. The same weights change no turn."""
        positive = {k: w for k, w in weights.items() if w > 0}
        if positive != self.weights:
            self.weights = positive
            self._current = dict.fromkeys(positive, 0)
            self._total = sum(positive.values())

    def pick(self) -> str | None:
        """Return the target of the next request; None without targets."""
        best = None
        for target, weight in self.weights.items():
            self._current[target] += weight
            if best is None or self._current[target] > self._current[best]:
                best = target
        if best is not None:
            self._current[best] -= self._total
        return best

"""How long a step will take: what the plan says it waits, and what is believed of everything beside that.

The logarithm of what comes beside the plan's own waits is taken for normal, with a mean and a variance that
nobody knows. Both are believed by the conjugate prior, normal-inverse-gamma (K. Murphy, *Conjugate Bayesian
analysis of the Gaussian distribution*, 2007, section 3): what the next time will be is then Student's t. So
few times in the history give a wide answer rather than none, and many of them outweigh the prior.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from relman_plugins.plan import times
from relman_plugins.plan.model import Shape, Step, StepKind

KAPPA, ALPHA = 0.25, 1.5
"""How much the prior counts for: of the mean as a quarter of one time, of the variance as three of them."""

LEAST_S = 0.5
"""A step that took no longer than the plan's own wait took this much beside it: Airflow's turn at least."""

TRIES = 40
"""Draws after which a step that has lasted longer than any of them is taken for one of those that go on."""

WORK = {
    StepKind.BUILD: (120.0, 1.0),
    StepKind.ASSESS: (20.0, 1.0),
    StepKind.SUITE: (180.0, 1.0),
    StepKind.CHECKLIST: (3600.0, 1.2),
    StepKind.APPROVAL: (1800.0, 1.2),
    StepKind.TICKET: (600.0, 1.2),
    StepKind.PARITY: (30.0, 1.0),
    StepKind.ROLL: (120.0, 1.0),
}
"""What is believed without any history, by kind: a median in seconds, and how far the logarithm spreads.
Rough on purpose: half an hour for people, minutes for machines. The first releases replace it."""
OTHERWISE = (20.0, 0.8)


@dataclass(frozen=True)
class Belief:
    """How long one step takes: ``fixed_s``, and beside that what Student's t says of its logarithm."""

    fixed_s: float
    df: float
    centre: float
    scale: float

    def draw(self, chance: random.Random, at_least_s: float = 0.0) -> float:
        """Draw a duration in seconds, of a step that has lasted ``at_least_s`` already."""
        for _ in range(TRIES if at_least_s else 1):
            found = self.fixed_s + math.exp(min(self.centre + self.scale * _student(chance, self.df), 25.0))
            if found >= at_least_s:
                return found
        # Longer than believed: it may as well last another half of what it did, or several times that.
        return at_least_s * (1.0 + chance.expovariate(2.0))


def believe(shape: Shape, step: Step, seen: Sequence[float], minimum_s: float) -> Belief:
    """Return what is believed of a step's duration, from its needs being met to its own end.

    Args:
        shape: the plan.
        step: one of its steps.
        seen: how long it took in earlier releases, seconds, in any order; may be empty.
        minimum_s: the setting ``minimum_deferral``.
    """
    fixed_s = times.waits_of(shape, step, minimum_s)
    median_s, spread = WORK.get(step.kind, OTHERWISE)
    logs = [math.log(max(value - fixed_s, LEAST_S)) for value in seen]
    n, prior = len(logs), math.log(median_s)
    mean = sum(logs) / n if n else prior
    squares = sum((value - mean) ** 2 for value in logs)
    kappa, alpha = KAPPA + n, ALPHA + n / 2
    centre = (KAPPA * prior + n * mean) / kappa
    beta = (ALPHA - 1) * spread**2 + squares / 2 + KAPPA * n * (mean - prior) ** 2 / (2 * kappa)
    return Belief(fixed_s, 2 * alpha, centre, math.sqrt(beta * (kappa + 1) / (alpha * kappa)))


def _student(chance: random.Random, df: float) -> float:
    return chance.gauss(0.0, 1.0) / math.sqrt(chance.gammavariate(df / 2, 2.0) / df)

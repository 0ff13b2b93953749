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

ALPHA = 2.5
"""How much the prior of the variance counts for: as much as five times that were seen."""

DOUBT = 0.9
"""How far the median itself may be off, as a standard deviation of its logarithm: by a factor of 2.5."""

FADES = 0.93
"""What each release counts for beside the one after it: so about the last fourteen count, and what has
become slower or faster is believed soon."""

LEAST_S = 0.5
"""A step that took no longer than the plan's own wait took this much beside it: Airflow's turn at least."""

TRIES = 40
"""Draws after which a step that has lasted longer than any of them is taken for one of those that go on."""

WORK = {
    StepKind.BUILD: (120.0, 0.45),
    StepKind.ASSESS: (20.0, 0.45),
    StepKind.SUITE: (180.0, 0.45),
    StepKind.CHECKLIST: (3600.0, 0.9),
    StepKind.APPROVAL: (1800.0, 0.9),
    StepKind.TICKET: (600.0, 0.9),
    StepKind.PARITY: (30.0, 0.45),
    StepKind.DEPLOY: (60.0, 0.45),
    StepKind.ROLL: (120.0, 0.45),
}
"""What is believed without any history, by kind: a median in seconds, and how far the logarithm spreads.
Rough on purpose: half an hour for people, minutes for machines. The first releases replace it."""
OTHERWISE = (20.0, 0.45)


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
        seen: how long it took in earlier releases, seconds, the latest first; may be empty.
        minimum_s: the setting ``minimum_deferral``.
    """
    fixed_s = times.waits_of(shape, step, minimum_s)
    median_s, spread = WORK.get(step.kind, OTHERWISE)
    logs = [math.log(max(value - fixed_s, LEAST_S)) for value in seen]
    weights, prior = [FADES**age for age in range(len(logs))], math.log(median_s)
    n, doubt = sum(weights), (spread / DOUBT) ** 2
    mean = sum(w * value for w, value in zip(weights, logs, strict=True)) / n if n else prior
    squares = sum(w * (value - mean) ** 2 for w, value in zip(weights, logs, strict=True))
    kappa, alpha = doubt + n, ALPHA + n / 2
    centre = (doubt * prior + n * mean) / kappa
    beta = (ALPHA - 1) * spread**2 + squares / 2 + doubt * n * (mean - prior) ** 2 / (2 * kappa)
    return Belief(fixed_s, 2 * alpha, centre, math.sqrt(beta * (kappa + 1) / (alpha * kappa)))


def _student(chance: random.Random, df: float) -> float:
    return chance.gauss(0.0, 1.0) / math.sqrt(chance.gammavariate(df / 2, 2.0) / df)

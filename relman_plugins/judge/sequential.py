"""Sequential: judge after every look; stop once harm is certain, or ruled out beyond a tolerance.

The guarantees hold however often one looks, and whenever one stops:

* The chance of ever finding harm where there is none in any metric is at most ``1 - confidence``, over all
  looks and all metrics together. Each metric has an e-process (``stats.evidence``, ``stats.samples``); a
  metric is harmful when every mean of e-values of a set of metrics that it belongs to reaches ``1 / (1 -
  confidence)`` (closed testing with arithmetic means: Vovk & Wang, "E-values: calibration, combination and
  applications", 2021).
* The chance of ever declaring "no harm beyond the tolerance" of a release that has more of it in some metric
  is at most ``1 - confidence``: all metrics must say so, each at that level (intersection-union; Berger
  1982).

What both arms share, such as the time of day, cancels out within each look. What does not cancel out is
trouble that comes in bursts to one arm by chance; the arms need traffic of the same kind.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from relman_plugins.domain.status import Verdict
from relman_plugins.judge.document import BadDocument, Document, MetricData
from relman_plugins.judge.mann_whitney import given, missing
from relman_plugins.judge.report import Finding, Label, Report, plural
from relman_plugins.judge.score import reported

if TYPE_CHECKING:
    from relman_plugins.judge.stats.paths import Path

ENOUGH = 50
"""How many requests or values each arm must have had before a metric passes for want of harm."""
ENOUGH_COUNTS = 10
"""The same in looks, for counts that come without a number of requests."""


@dataclass(frozen=True)
class _Followed:
    metric: MetricData
    path: Path

    @property
    def alone(self) -> bool:
        """Whether there is no control: harm can be certain then by ``max``, and nothing else be said."""
        return not self.path.samples[0].any()

    def harmful(self, look: int) -> float:
        """Return the logarithm of the evidence of harm after ``look`` looks; after its last, the last."""
        return float(self.path.harm[min(look, self.path.harm.size) - 1])

    def calm_since(self, needed: float, looks: int) -> int | None:
        """Return after how many looks harm beyond the tolerance was ruled out."""
        import numpy as np

        there = np.flatnonzero(self.path.calm[:looks] >= needed)
        return int(there[0]) + 1 if there.size else None

    def harmful_since(self, needed: float, looks: int) -> int | None:
        """Return after how many looks harm was certain, were this the only metric."""
        import numpy as np

        there = np.flatnonzero(self.path.harm[:looks] >= needed)
        return int(there[0]) + 1 if there.size else None


def judged(document: Document) -> Report:
    """Return what the document's looks say together, up to the one at which it is decided."""
    from relman_plugins.judge.stats.paths import path_of

    alpha = 1 - document.confidence
    needed = -math.log(alpha)
    followed: dict[str, _Followed] = {}
    for i, metric in enumerate(document.metrics):
        if metric.classification is None:
            if metric.effect_size.measure != "mean_ratio":
                raise BadDocument(f"$.metrics[{i}].effect_size.measure", "sequential knows mean_ratio only")
            path = path_of(metric, document.tolerance, f"$.metrics[{i}]")
            if path is not None:
                followed[metric.name] = _Followed(metric, path)
    looks = max((f.path.harm.size for f in followed.values()), default=0)
    deciding = [f for f in followed.values() if not f.metric.muted]
    stopped, guilty = _harm(deciding, needed, looks)
    if not guilty:
        all_known = all(m.muted or m.name in followed or m.classification == "Pass" for m in document.metrics)
        stopped = _calm(deciding, needed, looks) if all_known else None
    end = stopped or looks
    findings = [
        given(metric) if metric.classification is not None
        else missing(metric, "an arm") if metric.name not in followed
        or (followed[metric.name].alone and metric.name not in guilty)
        else _finding(followed[metric.name], document, end, guilty)
        for metric in document.metrics
    ]  # fmt: skip
    at = f"after {plural(end)}: "
    report = reported(document.method, findings, document.group_weights, document.thresholds, at)
    return replace(report, more={"looks": end})


def family(logs: Sequence[float], needed: float = -math.inf) -> list[float]:
    """Return for each e-value the smallest mean over the sets it belongs to (logarithms).

    One below ``needed`` is returned as it is: its smallest mean is smaller still.
    """
    import numpy as np

    ordered = np.sort(np.asarray(logs, np.float64))
    sizes = np.log(np.arange(1, ordered.size + 1))
    adjusted = []
    for own in logs:
        if own >= needed:
            others = np.delete(ordered, int(np.searchsorted(ordered, own)))
            own = float((np.logaddexp.accumulate(np.concatenate(([own], others))) - sizes).min())
        adjusted.append(own)
    return adjusted


def _harm(followed: Sequence[_Followed], needed: float, looks: int) -> tuple[int | None, set[str]]:
    """Return the first look at which a metric is certainly harmful, and which are."""
    import numpy as np

    if not followed:
        return None, set()
    suspicious = np.zeros(looks, dtype=bool)
    for one in followed:
        padded = np.pad(one.path.harm, (0, looks - one.path.harm.size), mode="edge")
        suspicious |= padded >= needed
    for look in np.flatnonzero(suspicious) + 1:
        adjusted = family([one.harmful(int(look)) for one in followed], needed)
        guilty = {o.metric.name for o, e in zip(followed, adjusted, strict=True) if e >= needed}
        if guilty:
            return int(look), guilty
    return None, set()


def _calm(followed: Sequence[_Followed], needed: float, looks: int) -> int | None:
    since = [one.calm_since(needed, looks) for one in followed]
    known = [look for look in since if look is not None]
    return max(known) if known and len(known) == len(since) else None


def _finding(one: _Followed, document: Document, end: int, guilty: set[str]) -> Finding:
    from relman_plugins.judge.stats.evidence import Rates, interval, ratio

    metric, path = one.metric, one.path
    alpha = 1 - document.confidence
    needed = -math.log(alpha)
    seen = min(end, path.harm.size)
    rates = Rates(*(part[:seen] for part in path.rates))
    effect = ratio(rates) if rates.bad.sum() > 0 and not one.alone else None
    ends = interval(rates, alpha)
    calm_since = one.calm_since(needed, end)
    certain = metric.name in guilty or (metric.muted and one.harmful_since(needed, end) is not None)
    verdict = None
    if certain:
        label: Label = "High" if path.up[seen - 1] else "Low"
        reason = f"harm is certain after {plural(seen)}; {_shown(effect, ends)}"
    elif calm_since is not None:
        label = "Pass"
        reason = f"no harm beyond {document.tolerance:.4g} since look {calm_since}; {_shown(effect, ends)}"
    else:
        label, reason = _undecided(one, document, seen)
        reason += f"; {_shown(effect, ends)}"
        verdict = Verdict.INCONCLUSIVE if label == "Nodata" else None
    n_c, n_e = (float(part[seen - 1]) for part in path.samples)
    details = (
        f"control: {n_c:g}, experiment: {n_e:g} in {plural(seen)}",
        f"evidence of harm {_size(path.harm[seen - 1])}, of no harm beyond the tolerance "
        f"{_size(path.calm[seen - 1])}; {1 / alpha:.4g} is certain for one metric",
    )
    return Finding.of(
        metric, label, reason, verdict, critical=metric.critical and label != "Pass",
        effect=effect, interval=None if ends == (None, None) else ends, details=details,
        more={"evidence": {"harm": _exp(path.harm[seen - 1]), "no_harm": _exp(path.calm[seen - 1])}},
    )  # fmt: skip


def _undecided(one: _Followed, document: Document, seen: int) -> tuple[Label, str]:
    horizon = document.horizon or seen
    if seen < horizon:
        return "Nodata", f"undecided after {seen} of {horizon} looks"
    counts = one.metric.kind == "count"
    enough = one.metric.min_samples
    if enough is None:
        enough = ENOUGH_COUNTS if counts else ENOUGH
    had = min(seen if counts else float(part[seen - 1]) for part in one.path.samples)
    if had < enough:
        return (
            "Nodata",
            f"undecided: an arm has {had:g} {'looks' if counts else 'samples'}, {enough:g} needed",
        )
    if document.undecided == "inconclusive":
        return "Nodata", f"undecided after {plural(seen)}"
    return "Pass", f"no harm found in {plural(seen)}"


def _shown(effect: float | None, ends: tuple[float | None, float | None]) -> str:
    if ends == (None, None):
        return "how much is not known"
    low, high = ("?" if end is None else f"{end:.3g}" for end in ends)
    return f"ratio {'?' if effect is None else f'{effect:.3g}'}, between {low} and {high}"


def _exp(log: float) -> float:
    return float(f"{math.exp(min(float(log), 600.0)):.6g}")


def _size(log: float) -> str:
    return f"{_exp(log):.3g}"

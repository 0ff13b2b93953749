"""How risky a change is: what was found, weighed by a policy (``domain/risk.py``).

Apart from the policy, which is part of every plan: a DAG file imports that, and never weighs anything.
"""

from __future__ import annotations

from collections.abc import Iterator

from relman_plugins.domain.base import Frozen
from relman_plugins.domain.change_set import ChangeSet
from relman_plugins.domain.risk import Risk, RiskPolicy


class Circumstances(Frozen):
    """What is known of a release beside its source."""

    live: str = ""
    """The version that is live; empty when nothing is."""
    live_digest: str = ""
    """Digest of its artifact."""
    changed: tuple[str, ...] = ()
    """What differs between the live release's plan and this one's, in words."""
    weaker: tuple[str, ...] = ()
    """Those differences that make the release less safe."""
    last_outcome: str = ""
    """How the pipeline's last release ended; empty when there was none."""
    emergency: bool = False
    defects: tuple[str, ...] = ()
    """Open defects that commits name, each in a line."""
    defects_unknown: str = ""
    """Why these may not be all; empty when they are, or nobody wants to know."""


class Contribution(Frozen):
    """One finding, and what it adds."""

    factor: str
    """Its name among the weights."""
    points: int
    reason: str
    """What was found, in words."""


class Assessment(Frozen):
    """What changed, how risky that is, and why."""

    changes: ChangeSet
    circumstances: Circumstances
    contributions: tuple[Contribution, ...]
    """The findings that count, those with the most points first."""
    points: int
    """Their sum."""
    risk: Risk

    def headline(self) -> str:
        """Return the verdict in a few words: ``medium risk (35 points)``."""
        return f"{self.risk} risk ({self.points} point{'' if self.points == 1 else 's'})"


def assess(changes: ChangeSet, circumstances: Circumstances, policy: RiskPolicy) -> Assessment:
    """Weigh a change. Pure: the sum of the weights of what was found, held against the policy's bounds."""
    found = [
        Contribution(factor=factor, points=points, reason=reason)
        for factor, reason in _found(changes, circumstances, policy)
        if (points := getattr(policy.weights, factor))
    ]
    found.sort(key=lambda c: (-c.points, c.factor))
    points = sum(c.points for c in found)
    risk = Risk.HIGH if points >= policy.high else Risk.MEDIUM if points >= policy.medium else Risk.LOW
    return Assessment(
        changes=changes, circumstances=circumstances, contributions=tuple(found), points=points, risk=risk
    )


def _found(changes: ChangeSet, around: Circumstances, policy: RiskPolicy) -> Iterator[tuple[str, str]]:
    if not around.live:
        yield "first_release", "nothing is live yet"
    elif changes.unknown or not changes.is_known:
        yield "unknown_history", changes.unknown or "it is not known what changed"
    if changes.backwards:
        yield "older_version", f"{around.live} is live and has all of this already"
    if changes.head and changes.head_by == "HEAD":
        yield "untagged", "no tag ties the version to a commit; HEAD was looked at"
    yield from _sizes(changes, policy)
    if changes.dependencies:
        yield "dependencies", _several(changes.dependency_count, [d.line() for d in changes.dependencies])
    if changes.migrations:
        yield "migrations", _several(len(changes.migrations), changes.migrations)
    if around.weaker:
        yield "weaker_plan", _several(len(around.weaker), around.weaker)
    plain = [line for line in around.changed if line not in around.weaker]
    if plain:
        yield "configuration", _several(len(plain), plain)
    if around.defects:
        yield "open_defects", f"still open: {_several(len(around.defects), around.defects)}"
    if around.defects_unknown:
        yield "unknown_defects", f"open defects are not known: {around.defects_unknown}"
    if around.last_outcome and around.last_outcome != "succeeded":
        yield "last_failed", f"the last release of this pipeline was {around.last_outcome}"
    if around.emergency:
        yield "emergency", "the release is an emergency"


def _sizes(changes: ChangeSet, policy: RiskPolicy) -> Iterator[tuple[str, str]]:
    for factor, count, most, noun in (
        ("commits", changes.commit_count, policy.most_commits, "commits"),
        ("files", changes.file_count, policy.most_files, "files changed"),
        ("lines", changes.lines, policy.most_lines, "lines changed"),
        ("authors", len(changes.authors), policy.most_authors, "authors"),
    ):
        if count > most:
            yield factor, f"{count} {noun}, more than {most}"


def _several(count: int, lines: list[str] | tuple[str, ...]) -> str:
    shown = "; ".join(lines[:3])
    return f"{shown} and {count - 3} more" if count > 3 else shown

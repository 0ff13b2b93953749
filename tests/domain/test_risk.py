"""The risk of a change is the sum of what was found, by weights that everybody can read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman_plugins.domain.assessment import Circumstances, assess
from relman_plugins.domain.change_set import Author, ChangeSet, Commit, DependencyChange
from relman_plugins.domain.risk import Risk, RiskPolicy, Weights

ANN = Author(name="Ann", email="ann@example.org")
KNOWN = {"base": "a" * 40, "head": "b" * 40, "head_by": "tag v2"}
MOVED = tuple(DependencyChange(file="r.txt", name=f"p{n}", before="1", after="2") for n in range(5))
LIVE = Circumstances(live="1")


def factors(
    changes: ChangeSet, around: Circumstances = LIVE, policy: RiskPolicy | None = None
) -> dict[str, int]:
    found = assess(changes, around, policy or RiskPolicy())
    return {c.factor: c.points for c in found.contributions}


def change(**more: Any) -> ChangeSet:
    return ChangeSet(**(KNOWN | more))


def test_nothing_found_is_no_risk() -> None:
    found = assess(change(), LIVE, RiskPolicy())
    assert (found.points, found.risk, found.contributions) == (0, Risk.LOW, ())


@pytest.mark.parametrize(
    ("changes", "around", "factor"),
    [
        (change(commit_count=21), LIVE, "commits"),
        (change(file_count=51), LIVE, "files"),
        (change(lines=501), LIVE, "lines"),
        (change(authors=tuple(Author(name=n, email=n) for n in "abcd")), LIVE, "authors"),
        (
            change(dependencies=(DependencyChange(file="f", name="n"),), dependency_count=1),
            LIVE,
            "dependencies",
        ),
        (change(migrations=("db/migrations/1.sql",)), LIVE, "migrations"),
        (change(backwards=True), LIVE, "older_version"),
        (change(head_by="HEAD"), LIVE, "untagged"),
        (change(base=""), LIVE, "unknown_history"),
        (change(unknown="no repository"), LIVE, "unknown_history"),
        (change(), Circumstances(), "first_release"),
        (change(), Circumstances(live="1", changed=("x",)), "configuration"),
        (change(), Circumstances(live="1", changed=("x",), weaker=("x",)), "weaker_plan"),
        (change(), Circumstances(live="1", last_outcome="rolled_back"), "last_failed"),
        (change(), Circumstances(live="1", emergency=True), "emergency"),
        (change(), Circumstances(live="1", defects=("OPS-1 Cart",)), "open_defects"),
        (change(), Circumstances(live="1", defects_unknown="no answer"), "unknown_defects"),
    ],
)
def test_each_finding_has_its_points(changes: ChangeSet, around: Circumstances, factor: str) -> None:
    assert factors(changes, around) == {factor: getattr(Weights(), factor)}
    quiet = RiskPolicy(weights=Weights(**{factor: 0}))
    assert factors(changes, around, quiet) == {}


@pytest.mark.parametrize("count", ["commit_count", "file_count", "lines"])
def test_as_many_as_the_bound_are_not_many(count: str) -> None:
    bounds = {"commit_count": 20, "file_count": 50, "lines": 500}
    assert factors(change(**{count: bounds[count]})) == {}


def test_the_same_findings_do_not_count_twice() -> None:
    around = Circumstances(live="1", changed=("a", "b"), weaker=("b",))
    assert set(factors(change(), around)) == {"weaker_plan", "configuration"}
    assert "unknown_history" not in factors(ChangeSet(unknown="no tag"), Circumstances())


@pytest.mark.parametrize("changes", [change(), ChangeSet(unknown="no repository")])
def test_what_is_new_is_no_low_risk(changes: ChangeSet) -> None:
    """Else a service by another name, with which nothing can be compared, would need nobody."""
    assert assess(changes, Circumstances(), RiskPolicy()).risk is Risk.MEDIUM


@pytest.mark.parametrize(("points", "risk"), [(19, "low"), (20, "medium"), (49, "medium"), (50, "high")])
def test_bounds_are_inclusive(points: int, risk: str) -> None:
    policy = RiskPolicy(weights=Weights(emergency=points))
    found = assess(change(), Circumstances(live="1", emergency=True), policy)
    assert (found.points, found.risk.value) == (points, risk)


def test_every_dependency_and_migration_can_be_read() -> None:
    changes = change(dependencies=MOVED, dependency_count=5)
    [reason] = [c.reason for c in assess(changes, LIVE, RiskPolicy()).contributions]
    assert reason == "p0 1 → 2 (r.txt); p1 1 → 2 (r.txt); p2 1 → 2 (r.txt) and 2 more"


@given(
    st.builds(
        change,
        commit_count=st.integers(0, 100),
        file_count=st.integers(0, 100),
        lines=st.integers(0, 2000),
        backwards=st.booleans(),
        migrations=st.sampled_from([(), ("a.sql",)]),
    ),
    st.builds(
        Circumstances,
        live=st.sampled_from(["", "1"]),
        emergency=st.booleans(),
        last_outcome=st.sampled_from(["", "succeeded", "failed"]),
    ),
    st.builds(Weights, **{name: st.integers(0, 100) for name in Weights.model_fields}),
)
def test_points_are_the_sum_of_what_is_shown_and_more_weight_is_never_less_risk(
    changes: ChangeSet, around: Circumstances, weights: Weights
) -> None:
    found = assess(changes, around, RiskPolicy(weights=weights))
    assert found.points == sum(c.points for c in found.contributions)
    assert all(c.points and c.reason for c in found.contributions)
    heavier = Weights(**{k: v * 2 for k, v in weights.model_dump().items()})
    again = assess(changes, around, RiskPolicy(weights=heavier))
    assert again.risk.reaches(found.risk)
    assert type(found).model_validate(found.model_dump(mode="json")) == found


def test_commits_carry_their_time_in_utc() -> None:
    commit = Commit(id="a" * 40, subject="s", author=ANN, at=datetime(2026, 1, 1, tzinfo=UTC))
    assert change(commits=(commit,)).commits[0].at.utcoffset() is not None

"""What a gate asks about, for people: one list of parts for the page and the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

MOST_TESTS = 10
"""How many tests of a suite are named for people; the rest is counted."""


def told(subject: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """Return what a gate asks about, part by part: a title, and lines that are not escaped."""
    if closed := subject.get("closed"):
        yield "What it goes past", list(map(str, closed))
    yield from found_out(subject)
    if tests := subject.get("tests"):
        yield "Tests", [line for test in tests for line in _test(test)]
    if given := [f"{k}: {v}" for k, v in (subject.get("parameters") or {}).items() if v != ""]:
        yield "What was filled in", given


def found_out(subject: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """Return of the same what relman found out beside tests: numbers, differences, ticket, risk."""
    if waived := subject.get("waived"):
        yield "What the emergency skipped", [f"{w['quorum']} of {w['group']} at {w['gate']}" for w in waived]
    if verdict := subject.get("verdict"):
        said = f"{verdict}: neither good nor bad" if verdict != "error" else "error"
        yield "What the numbers say", [said, str(subject.get("reason") or "")]
    if parity := subject.get("parity"):
        yield f"What differs from {parity['with']}", list(parity["lines"]) or ["nothing"]
    if ticket := subject.get("ticket"):
        yield "Ticket", [str(ticket)]
    yield from _risk(subject.get("assessment") or {})


def _risk(found: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    if not found:
        return
    yield f"Risk: {found['headline']}", found["reasons"] or ["nothing counts"]
    for name, one in (found.get("environments") or {}).items():
        yield f"By the weights of {name}: {one['headline']}", one["reasons"] or ["nothing counts"]
    if commits := found.get("commits"):
        more = found["commit_count"] - len(commits)
        yield (
            f"Commits by {', '.join(found['authors'])}",
            [*commits, *([f"… and {more} more"] if more > 0 else [])],
        )
    if found.get("issues"):
        yield "Issues named", [", ".join(found["issues"])]


def _test(suite: Mapping[str, Any]) -> Iterator[str]:
    counts = f"{suite.get('tests', 0)} tests, {suite.get('failures', 0)} failed"
    counts += f", {suite.get('skipped', 0)} skipped"
    yield "; ".join([f"{suite.get('step') or suite.get('suite')}: {counts}", *(suite.get("reports") or ())])
    for what in ("failed", "flaky"):
        if names := suite.get(what):
            more = f" and {len(names) - MOST_TESTS} more" if len(names) > MOST_TESTS else ""
            yield f"{what}: {', '.join(names[:MOST_TESTS])}{more}"

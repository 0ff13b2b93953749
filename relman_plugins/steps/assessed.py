"""What an approver is shown of the assessment: how risky, why, and what changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from relman_plugins.domain.base import digest_of
from relman_plugins.domain.event import Kind

if TYPE_CHECKING:
    from relman_plugins.steps.run import StepRun

MOST_COMMITS = 15
"""Commits that are named to people; the rest is counted."""


def assessment_of(run: StepRun) -> dict[str, Any]:
    """Return the part of a gate's subject that says what changed; nothing when the plan assesses nothing."""
    found = [e.data for e in run.events(Kind.CHANGE_ASSESSED)]
    if not found:
        return {}
    data, changes = found[-1], found[-1]["changes"]
    return {
        "assessment": {
            "risk": data["risk"],
            "headline": data["headline"],
            "reasons": [f"{c['reason']} (+{c['points']})" for c in data["contributions"]],
            "live": data["circumstances"]["live"],
            "commit": changes["head"],
            "commits": [f"{c['id'][:9]} {c['subject']}" for c in changes["commits"][:MOST_COMMITS]],
            "commit_count": changes["commit_count"],
            "authors": [a["name"] or a["email"] for a in data["authors"]],
            "issues": changes["issues"],
            "digest": digest_of(data),
        }
    }


def told(subject: dict[str, Any], escape: Callable[[str], str]) -> str:
    """Return the assessment as Markdown; empty without one. ``escape`` makes other people's text harmless."""
    found = subject.get("assessment")
    if not found:
        return ""
    lines = [f"- {escape(reason)}" for reason in found["reasons"]] or ["- nothing counts"]
    since = f" since `{found['live']}`" if found["live"] else ""
    text = f"**Risk: {escape(found['headline'])}**\n\n" + "\n".join(lines) + "\n\n"
    if found["commits"]:
        more = found["commit_count"] - len(found["commits"])
        commits = [f"- {escape(commit)}" for commit in found["commits"]]
        commits += [f"- … and {more} more"] if more > 0 else []
        text += (
            f"**Commits{since}**, by {escape(', '.join(found['authors']))}\n\n" + "\n".join(commits) + "\n\n"
        )
    if found["issues"]:
        text += f"**Issues named:** {escape(', '.join(found['issues']))}\n\n"
    return text

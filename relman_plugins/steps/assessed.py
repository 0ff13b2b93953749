"""What an approver is shown of the assessment: how risky, why, and what changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def told(subject: dict[str, Any], escape: Callable[[str], str]) -> str:
    """Return the assessment as Markdown; empty without one. ``escape`` makes other people's text harmless."""
    found = subject.get("assessment")
    if not found:
        return ""
    lines = [f"- {escape(reason)}" for reason in found["reasons"]] or ["- nothing counts"]
    since = f" since `{found['live']}`" if found["live"] else ""
    text = f"**Risk: {escape(found['headline'])}**\n\n" + "\n".join(lines) + "\n\n"
    for name, one in (found.get("environments") or {}).items():
        lines = [f"- {escape(reason)}" for reason in one["reasons"]] or ["- nothing counts"]
        by = f"**By the weights of `{name}`: {escape(one['headline'])}**"
        text += f"{by}\n\n" + "\n".join(lines) + "\n\n"
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

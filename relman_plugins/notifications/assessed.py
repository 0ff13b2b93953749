"""What is said of an assessment: how risky, why, and what changed."""

from __future__ import annotations

from typing import Any

from relman_plugins.domain.event import Event
from relman_plugins.notifications.blocks import Block, context, section
from relman_plugins.notifications.text import code, count, plain

_MARKS = {"low": "🟢", "medium": "🟡", "high": "🔴"}
_SHOWN = 10
"""Findings and commits that are shown; the rest is counted."""


def assessed(event: Event, data: dict[str, Any]) -> tuple[str | Block, ...]:
    """Return the sentence and the blocks below it."""
    changes, around = data["changes"], data["circumstances"]
    since = f" since {code(around['live'])}" if around.get("live") else ""
    sizes = ", ".join(
        f"{count(number, noun)}"
        for number, noun in (
            (changes["commit_count"], "commit"),
            (changes["file_count"], "file"),
            (len(data["authors"]), "author"),
        )
        if number
    )
    text = (
        f"{_MARKS.get(data['risk'], '•')} *{plain(data['headline'])}*{since}{': ' + sizes if sizes else ''}"
    )
    owners = [
        f"• by the weights of {plain(name, 60)}: {plain(one['headline'], 60)}"
        for name, one in (data.get("environments") or {}).items()
    ]
    findings = [f"• {plain(c['reason'], 300)} (+{c['points']})" for c in data["contributions"]]
    commits = [f"{code(c['id'][:9])} {plain(c['subject'], 120)}" for c in changes["commits"]]
    more = changes["commit_count"] - _SHOWN
    return (
        text,
        *([section(*findings[:_SHOWN], *owners)] if findings or owners else []),
        *([section(*commits[:_SHOWN], *([f"… and {more} more"] if more > 0 else []))] if commits else []),
        *([context(f"issues: {plain(', '.join(changes['issues']), 500)}")] if changes["issues"] else []),
    )

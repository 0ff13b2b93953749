"""GitHub, github.com and Enterprise Server: issues of one repository by their number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from relman_plugins.clients.defects.base import Defects, title
from relman_plugins.domain.defect import Defect


class GitHub(Defects):
    """``GET /repos/{owner}/{repo}/issues/{number}``; what is a pull request is no defect."""

    system = "GitHub"

    def headers(self) -> dict[str, str]:
        """Return what is sent with every question."""
        return {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}

    def named(self, issues: Sequence[str]) -> list[str]:
        """Return those with a number only."""
        return [issue for issue in issues if issue.startswith("#")]

    def address(self, issue: str) -> tuple[str, dict[str, str]]:
        """Return path and query of an issue."""
        return f"/repos/{quote(self.project)}/issues/{issue.removeprefix('#')}", {}

    def read(self, issue: str, said: Mapping[str, Any]) -> Defect:
        """Read state and labels."""
        labels = {str(one["name"] if isinstance(one, dict) else one).casefold() for one in said["labels"]}
        state = str(said["state"])
        if state not in ("open", "closed"):
            raise ValueError(state)
        return Defect(
            key=issue,
            title=title(said.get("title") or ""),
            is_defect="pull_request" not in said and bool(labels & self.kinds),
            is_open=state == "open",
        )

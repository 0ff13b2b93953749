"""GitLab: issues of one project by their number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from relman_plugins.clients.defects.base import Defects, title
from relman_plugins.domain.defect import Defect


class GitLab(Defects):
    """``GET /api/v4/projects/{path}/issues/{iid}``."""

    system = "GitLab"

    def named(self, issues: Sequence[str]) -> list[str]:
        """Return those with a number only."""
        return [issue for issue in issues if issue.startswith("#")]

    def address(self, issue: str) -> tuple[str, dict[str, str]]:
        """Return path and query of an issue."""
        return f"/api/v4/projects/{quote(self.project, safe='')}/issues/{issue.removeprefix('#')}", {}

    def read(self, issue: str, said: Mapping[str, Any]) -> Defect:
        """Read state and labels."""
        state = str(said["state"])
        if state not in ("opened", "closed"):
            raise ValueError(state)
        labels = {str(label).casefold() for label in said["labels"]}
        return Defect(
            key=issue,
            title=title(said.get("title") or ""),
            is_defect=bool(labels & self.kinds),
            is_open=state == "opened",
        )

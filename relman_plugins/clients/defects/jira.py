"""Jira, Cloud and Data Center: issues by their key."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from relman_plugins.clients.defects.base import Defects, title
from relman_plugins.domain.defect import Defect

_KEY = re.compile(r"([A-Z][A-Z0-9]{1,9})-[0-9]{1,9}")
_NO_PROJECTS = frozenset(
    {"AES", "BASE", "CVE", "HTTP", "ISO", "MD", "PEP", "RFC", "SHA", "TLS", "UTC", "UTF"}
)
"""What looks like a project's key in commits and is hardly ever one; named as ``project`` it is looked at."""


class Jira(Defects):
    """``GET /rest/api/2/issue/{key}``, which both have."""

    system = "Jira"

    def named(self, issues: Sequence[str]) -> list[str]:
        """Return those with a key of the project, or of any."""
        keys = [(issue, found[1]) for issue in issues if (found := _KEY.fullmatch(issue))]
        if self.project:
            return [issue for issue, project in keys if project == self.project]
        return [issue for issue, project in keys if project not in _NO_PROJECTS]

    def address(self, issue: str) -> tuple[str, dict[str, str]]:
        """Return path and query of an issue."""
        return f"/rest/api/2/issue/{quote(issue, safe='')}", {"fields": "summary,issuetype,status"}

    def read(self, issue: str, said: Mapping[str, Any]) -> Defect:
        """Read type and status; an issue is closed when its status is of the category ``done``."""
        fields = said["fields"]
        category = str(fields["status"]["statusCategory"]["key"])
        return Defect(
            key=issue,
            title=title(fields.get("summary") or ""),
            is_defect=str(fields["issuetype"]["name"]).casefold() in self.kinds,
            is_open=category != "done",
        )

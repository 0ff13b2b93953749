"""Defects that a change is about, as the place where they are kept tells of them."""

from __future__ import annotations

from typing import Literal

from relman_plugins.domain.base import Frozen

Tracker = Literal["jira", "github", "gitlab"]


class DefectSource(Frozen):
    """Where the defects are kept that commits name."""

    tracker: Tracker
    connection: str
    """Airflow connection id."""
    project: str = ""
    """GitHub and GitLab: the repository. Jira: the key of the only project that counts; empty: all do."""
    kinds: tuple[str, ...] = ("bug",)
    """Types of issues in Jira, labels elsewhere, that make an issue a defect; in whatever case."""


class Defect(Frozen):
    """An issue that is a defect, or is none."""

    key: str
    """As commits name it: ``OPS-12``, ``#34``."""
    title: str
    is_defect: bool
    is_open: bool

    def line(self) -> str:
        """Return it in one line."""
        return f"{self.key} {self.title}"

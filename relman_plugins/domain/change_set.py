"""What changed between the version that is live and the one that is to be released."""

from __future__ import annotations

from datetime import datetime

from relman_plugins.domain.base import Frozen

MOST_LISTED = 200
"""Commits, files and changed dependencies that are named; all of them are counted."""


class Author(Frozen):
    """Who wrote a part of a change, as the history of the source says."""

    name: str
    email: str
    """Lower case; what ties an author to a person of the People document."""


class Commit(Frozen):
    """One commit."""

    id: str
    subject: str
    """First line of its message."""
    author: Author
    at: datetime
    """When it was written, UTC."""


class DependencyChange(Frozen):
    """A dependency that came, went, or has another version."""

    file: str
    name: str
    """Empty when the file changed and its kind can't be read."""
    before: str | None = None
    """None: it was not there."""
    after: str | None = None
    """None: it is not there any more."""

    def line(self) -> str:
        """Return the change in words: ``httpx 0.27 → 0.28 (requirements.txt)``."""
        if not self.name:
            return f"{self.file} changed"
        if self.before is None:
            return f"{self.name} {self.after} is new ({self.file})"
        if self.after is None:
            return f"{self.name} {self.before} is gone ({self.file})"
        return f"{self.name} {self.before} → {self.after} ({self.file})"


class ChangeSet(Frozen):
    """What the history of the source says of a release. Lists are cut at ``MOST_LISTED``, counts are not."""

    base: str = ""
    """Commit of the version that is live; empty when it is not known."""
    head: str = ""
    """Commit that is to be released; empty when it is not known."""
    head_by: str = ""
    """How ``head`` was found: ``tag v1.4.0``, or ``HEAD``, which nothing ties to the version."""
    commits: tuple[Commit, ...] = ()
    """Newest first."""
    commit_count: int = 0
    authors: tuple[Author, ...] = ()
    """Everybody who wrote a commit or is named by it as co-author; all of them, sorted by email."""
    files: tuple[str, ...] = ()
    """Files that differ, by path from the repository's root."""
    file_count: int = 0
    lines: int = 0
    """Lines that are only in one of the two versions of a file. Lines that moved don't count."""
    dependencies: tuple[DependencyChange, ...] = ()
    dependency_count: int = 0
    migrations: tuple[str, ...] = ()
    """Files that migrate data, by their path."""
    issues: tuple[str, ...] = ()
    """Issues that commits name, such as ``OPS-12`` or ``#34``; in order of their names."""
    issue_count: int = 0
    backwards: bool = False
    """Whether the version that is live has all of these commits already: this one is older."""
    unknown: str = ""
    """Why this is not known, or not all of it; empty when it is."""

    @property
    def is_known(self) -> bool:
        """Whether both ends of the comparison were found."""
        return bool(self.base and self.head)

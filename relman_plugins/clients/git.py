"""What a Git repository says of the way from one version to another. Reads a repository on this machine.

By dulwich, in pure Python: no ``git`` program, so no hooks, filters or configured commands of it run.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relman_plugins.clients import dependencies
from relman_plugins.domain.change_set import MOST_LISTED, Author, ChangeSet, Commit, DependencyChange
from relman_plugins.errors import ClientError

if TYPE_CHECKING:
    from dulwich.repo import Repo

MOST_COMMITS = 20_000
"""Commits that are looked at; of a change with more nobody knows all authors, which is said."""

MOST_FILES = 5_000
"""Files whose content is read."""

MOST_BYTES = 1024 * 1024
"""Bytes of a file above which its lines are not counted."""

NEEDS_DULWICH = "reading a Git repository needs dulwich, which is not installed; install relman[git]"

CHECKOUT = "the checkout that is built"
"""How the commit was found where no tag was asked."""

_ISSUE = re.compile(r"\b[A-Z][A-Z0-9]{1,9}-[0-9]{1,9}\b|(?<![\w/])#[0-9]{1,9}\b")
_CO_AUTHOR = re.compile(r"^co-authored-by:\s*(.*?)\s*<([^<>\s]+)>\s*$", re.IGNORECASE | re.MULTILINE)
_SHA = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Wanted:
    """What is asked of a repository."""

    version: str
    """The version to be released."""
    live: str
    """The version that is live; empty when there is none."""
    live_commit: str = ""
    """Commit of that version, where it is on record: it counts more than a tag, which can move."""
    tag_prefix: str = "v"
    """What tags have before the version. A tag of the bare version is found too."""
    checkout: bool = False
    """Whether what is checked out is to be released, whatever tags say: it is what is built."""
    paths: Sequence[str] = ()
    """Folders and files that count, from the repository's root; all of them when empty."""
    migrations: Sequence[str] = ()
    """Patterns of the paths of files that migrate data; ``*`` stands for slashes too."""

    @property
    def tags(self) -> tuple[str, ...]:
        """Return the names of the tags that are looked for."""
        versions = [v for v in (self.version, self.live) if v]
        return tuple(dict.fromkeys(name for v in versions for name in (f"{self.tag_prefix}{v}", v)))


def change_set(place: Path, wanted: Wanted) -> ChangeSet:
    """Return what changed between the two versions, read from the repository that ``place`` lies in.

    What can't be told is said in ``unknown``. Deterministic for one state of the repository.

    Raises:
        ClientError: there is no repository, or it can't be read.
    """
    with opened(place, "history") as repo:
        return _between(repo, wanted)


@contextmanager
def opened(place: Path, what: str) -> Iterator[Repo]:
    """Open the repository that ``place`` lies in, to read ``what`` of it.

    Raises:
        ClientError: dulwich is not installed, there is no repository, or it can't be read.
    """
    try:
        from dulwich.repo import Repo
    except ImportError:
        raise ClientError(NEEDS_DULWICH) from None
    try:
        with Repo.discover(str(place)) as repo:
            yield repo
    except ClientError:
        raise
    except Exception as error:
        # dulwich has no common base for what a broken or missing repository makes it raise.
        raise ClientError(f"no Git {what} could be read at {place}: {type(error).__name__}") from error


def _between(repo: Repo, wanted: Wanted) -> ChangeSet:
    head, head_by = _commit_of(repo, wanted.version, wanted.tag_prefix)
    if wanted.checkout:
        head, head_by = repo.head(), CHECKOUT
    elif not head:
        head, head_by = repo.head(), "HEAD"
    known = ChangeSet(head=head.decode(), head_by=head_by)
    if not wanted.live:
        return known
    base: Any = wanted.live_commit.encode() if _SHA.fullmatch(wanted.live_commit) else b""
    if base and base not in repo.object_store:
        why = f"the commit on record for {wanted.live}, which is live, is not in the history that is there"
        return known.model_copy(update={"unknown": why})
    base = base or _commit_of(repo, wanted.live, wanted.tag_prefix)[0]
    if not base:
        why = f"neither a tag nor the record says which commit {wanted.live}, which is live, was built from"
        return known.model_copy(update={"unknown": why})
    paths = [p.strip("/").encode() for p in wanted.paths] or None
    commits, files = _commits(repo, base, head, paths), _files(repo, base, head, paths, wanted)
    unknown = "; ".join(filter(None, [commits.pop("unknown"), files.pop("unknown")]))
    return ChangeSet(
        base=base.decode(), head=known.head, head_by=head_by, unknown=unknown, **commits, **files
    )


def _commit_of(repo: Repo, version: str, prefix: str) -> tuple[Any, str]:
    """Return the commit of a version's tag, or the commit that the version is the id of."""
    from dulwich.objects import Commit as GitCommit
    from dulwich.objects import Tag

    for name in dict.fromkeys((f"{prefix}{version}", version)):
        ref: Any = b"refs/tags/" + name.encode()
        if ref in repo.refs:
            found = repo[ref]
            while isinstance(found, Tag):
                found = repo[found.object[1]]
            if isinstance(found, GitCommit):
                return found.id, f"tag {name}"
    commit: Any = version.encode()
    if _SHA.fullmatch(version) and commit in repo.object_store:
        return commit, "its id"
    return b"", ""


def _commits(repo: Repo, base: Any, head: Any, paths: list[bytes] | None) -> dict[str, Any]:
    listed: list[Commit] = []
    authors: dict[str, Author] = {}
    issues: set[str] = set()
    count = 0
    # One more than are looked at tells whether there are more.
    walker = repo.get_walker(include=[head], exclude=[base], paths=paths, max_entries=MOST_COMMITS + 1)
    for entry in walker:
        count += 1
        message = _text(entry.commit.message)
        wrote = list(_authors(_text(entry.commit.author), message))
        authors |= {a.email or a.name: a for a in wrote}
        issues.update(_ISSUE.findall(message))
        if count <= MOST_LISTED:
            subject = next(iter(message.strip().splitlines()), "")[:200]
            at = datetime.fromtimestamp(entry.commit.author_time, UTC)
            listed.append(Commit(id=entry.commit.id.decode(), subject=subject, author=wrote[0], at=at))
    more = f"there are more than {MOST_COMMITS} commits; not all were read" if count > MOST_COMMITS else ""
    return {
        "commits": tuple(listed),
        "commit_count": count,
        "authors": tuple(sorted(authors.values(), key=lambda a: (a.email, a.name))),
        "issues": tuple(sorted(issues))[:MOST_LISTED],
        "issue_count": len(issues),
        "backwards": not count and base != head and _is_ancestor(repo, head, base),
        "unknown": more,
    }


def _is_ancestor(repo: Repo, older: Any, newer: Any) -> bool:
    from dulwich.graph import can_fast_forward

    return bool(can_fast_forward(repo, older, newer))


def _authors(author: str, message: str) -> Iterator[Author]:
    name, _, rest = author.partition("<")
    yield Author(name=name.strip()[:200], email=rest.partition(">")[0].strip().lower()[:200])
    for name, email in _CO_AUTHOR.findall(message):
        yield Author(name=name[:200], email=email.lower()[:200])


def _files(repo: Repo, base: Any, head: Any, paths: list[bytes] | None, wanted: Wanted) -> dict[str, Any]:
    from dulwich.diff_tree import tree_changes
    from dulwich.objects import S_ISGITLINK

    names: list[str] = []
    moved: list[DependencyChange] = []
    elsewhere: list[str] = []
    lines = 0
    trees = (_tree(repo, base), _tree(repo, head))
    for change in tree_changes(repo.object_store, *trees, paths=paths):
        sides = (change.old, change.new)
        path = _text(next(s.path for s in reversed(sides) if s is not None and s.path))
        names.append(path)
        if any(s is not None and s.mode is not None and S_ISGITLINK(s.mode) for s in sides):
            elsewhere.append(path)
        if len(names) <= MOST_FILES:
            before, after = (_content(repo, s) for s in sides)
            lines += _lines(before, after)
            if dependencies.is_manifest(path):
                moved += dependencies.changed(path, before, after)
    submodules = f"what changed in submodules is not looked at: {', '.join(elsewhere[:5])}"
    return {
        "unknown": submodules if elsewhere else "",
        "files": tuple(names[:MOST_LISTED]),
        "file_count": len(names),
        "lines": lines,
        "dependencies": tuple(moved[:MOST_LISTED]),
        "dependency_count": len(moved),
        "migrations": tuple(n for n in names if any(fnmatch(n, p) for p in wanted.migrations))[:MOST_LISTED],
    }


def _content(repo: Repo, side: Any) -> bytes | None:
    """Return a file's content; None for one that is not there, is a submodule, or is too large to read."""
    from dulwich.objects import Blob

    if side is None or side.sha is None or side.sha not in repo.object_store:
        return None
    found = repo.object_store[side.sha]
    if not isinstance(found, Blob) or found.raw_length() > MOST_BYTES:
        return None
    return found.as_raw_string()


def _lines(before: bytes | None, after: bytes | None) -> int:
    """Count lines that are only on one side: takes time that grows with the text, unlike a diff's."""
    one, two = (Counter((side or b"").splitlines()) for side in (before, after))
    return sum((one - two).values()) + sum((two - one).values())


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _tree(repo: Repo, commit: Any) -> Any:
    found: Any = repo.get_object(commit)
    return found.tree

"""Questions to an index of logs: where, and which documents."""

from __future__ import annotations

import re

_INDEX = re.compile(r"[\w*$,.{}+-]+", re.ASCII)


def read(query: str) -> tuple[str, str]:
    """Return index and Lucene query of ``logs-* log.level:error AND service.version:"$version"``.

    Raises:
        ValueError: It is none; the message says why.
    """
    index, _, lucene = query.strip().partition(" ")
    if not lucene.strip():
        raise ValueError("it must have an index, a space, and what to look for there: logs-* log.level:error")
    if not _INDEX.fullmatch(index) or index[0] in "_-+.":
        raise ValueError(f"{index[:60]!r} is no index, or pattern of indices")
    return index, lucene.strip()

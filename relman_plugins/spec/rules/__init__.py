"""Rules that look at several documents at once. One file for each kind; each rule yields findings."""

from __future__ import annotations

from collections.abc import Iterator

from relman_plugins.spec.bundle import Bundle
from relman_plugins.spec.diagnostic import Diagnostic


def check(bundle: Bundle) -> Iterator[Diagnostic]:
    """Apply every rule. Rules see the documents as written and skip what has the wrong shape."""
    yield from ()

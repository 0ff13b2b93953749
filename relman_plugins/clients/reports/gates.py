"""The reports of a suite beside its tests: each kind read by its format's reader and held against limits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from relman_plugins.clients.reports import cobertura, coverage, findings, k6, lcov, load, locust, sarif
from relman_plugins.clients.reports.reading import Before, Reading, refused
from relman_plugins.errors import ClientRejected

KINDS = ("coverage", "findings", "load")
"""In the order in which they are told of."""


def examine(
    kind: str, limits: Mapping[str, Any], folder: Path, since: float | None, before: Before | None
) -> Reading:
    """Read one report and judge it. Never raises for what the report says: that is red, with its reason.

    Args:
        kind: One of ``KINDS``.
        limits: As in the plan: ``format``, ``path`` inside ``folder``, and the limits.
        folder: Where the command ran.
        since: When it began, in seconds since the epoch.
        before: The latest release that succeeded, if there is one.
    """
    path, form = folder / limits["path"], limits["format"]
    given = dict(limits)
    try:
        match kind, form:
            case "coverage", "cobertura":
                return coverage.judge(cobertura.read(path, since), given, before)
            case "coverage", "lcov":
                return coverage.judge(lcov.read(path, since), given, before)
            case "findings", "sarif":
                return findings.judge(sarif.read(path, since, folder), given, before)
            case "load", "k6":
                return load.judge(k6.read(path, since), given)
            case "load", "locust":
                return load.judge(locust.read(path, since), given)
            case _:
                return refused(f"{kind} reports in the format {form} are not known to this version of relman")
    except ClientRejected as error:
        return refused(str(error).replace(f"{folder}/", ""))

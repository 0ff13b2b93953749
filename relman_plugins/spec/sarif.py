"""Diagnostics → SARIF 2.1.0, which code hosts and editors read.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import quote

from relman_plugins import __version__
from relman_plugins.spec.codes import CODES
from relman_plugins.spec.diagnostic import Diagnostic
from relman_plugins.spec.words import visible_json

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def render_sarif(diagnostics: Iterable[Diagnostic]) -> str:
    """Write the diagnostics as one run of a SARIF log.

    Paths stay relative where the caller's are, as code hosts want them; run from the root of the repository.
    """
    listed = tuple(diagnostics)
    codes = sorted({found.code for found in listed})
    driver = {
        "name": "relman",
        "semanticVersion": __version__,
        "rules": [{"id": code, "shortDescription": {"text": CODES.get(code, code)}} for code in codes],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(found, codes.index(found.code)) for found in listed],
    }
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return visible_json(json.dumps(log, indent=2, ensure_ascii=False)) + "\n"


def _result(found: Diagnostic, rule: int) -> dict[str, Any]:
    location: dict[str, Any] = {
        "physicalLocation": {
            "artifactLocation": {"uri": _uri(found.path)},
            "region": {
                "startLine": found.line,
                "startColumn": found.column,
                "endLine": found.end_line,
                "endColumn": found.end_column,
            },
        }
    }
    if found.breadcrumb:
        location["logicalLocations"] = [{"fullyQualifiedName": found.breadcrumb}]
    return {
        "ruleId": found.code,
        "ruleIndex": rule,
        "level": found.severity,
        "message": {"text": found.message + (f"\nhint: {found.hint}" if found.hint else "")},
        "locations": [location],
    }


def _uri(path: str) -> str:
    pure = PurePath(path)
    return Path(path).as_uri() if pure.is_absolute() else quote(pure.as_posix())

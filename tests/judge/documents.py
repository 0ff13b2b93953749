"""Documents to judge, made in one line."""

from __future__ import annotations

import json
from typing import Any

from relman_plugins.judge.reading import read
from relman_plugins.judge.report import Finding, Report
from relman_plugins.judge.run import judge


def judged(*metrics: dict[str, Any], **more: Any) -> Report:
    """Judge metrics as they would come from a file; those without a name get one."""
    named = [{"name": f"m{i}", **metric} for i, metric in enumerate(metrics)]
    return judge(read(json.dumps({"metrics": named, **more})))


def finding(metric: dict[str, Any], **more: Any) -> Finding:
    """Judge one metric."""
    return judged(metric, **more).metrics[0]

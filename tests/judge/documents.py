"""Documents to judge, made in one line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from relman_plugins.domain.event import Event, Kind
from relman_plugins.domain.identity import Actor
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


def events_of(judgements: Sequence[Any], run: str = "r:step:try1") -> list[Event]:
    """Return looks as the ledger keeps them."""
    return [
        Event(
            id=n, release_id="r", kind=Kind.ANALYSIS_MEASURED, key=f"{run}:look{n}", at=datetime.now(UTC),
            step="step", environment=None, actor=Actor(),
            data={"look": n, "metrics": [look.data() for look in judgement.looks]},
        )
        for n, judgement in enumerate(judgements, start=1)
    ]  # fmt: skip

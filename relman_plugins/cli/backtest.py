"""``relman judge backtest``: what another policy would have said of past releases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relman_plugins.cli import complete
from relman_plugins.cli.connect import connected
from relman_plugins.cli.exits import Exit, Stop
from relman_plugins.cli.options import AnyFormat, Format
from relman_plugins.cli.screen import continued, echo_json, shown

if TYPE_CHECKING:
    from relman_plugins.cli.api import Api
    from relman_plugins.evidence.backtest import Tried
    from relman_plugins.plan.model import AnalysisPlan

MOST_BYTES = 1_000_000


@connected
def backtest(
    api: Api,
    pipeline: Annotated[
        str, typer.Argument(help="The pipeline.", autocompletion=complete.pipelines, show_default=False)
    ],
    policy: Annotated[
        Path,
        typer.Option("--policy", help="A pipeline or policy with the analyses to try.", show_default=False),
    ],
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, help="How many releases at most.")] = 50,
    form: AnyFormat = Format.TEXT,
) -> None:
    """Say which past releases changed analyses would have judged otherwise, from their recorded looks.

    Exit code 0, whatever comes out: 2 when the policy can't be read.
    """
    from relman_plugins.cli.api import part
    from relman_plugins.domain.event import Event, Kind
    from relman_plugins.evidence.backtest import confusion, data_of, tried
    from relman_plugins.plan.model import ReleasePlan

    analyses = _analyses(policy)
    over = api.relman(
        "GET", "/releases", params={"pipeline": pipeline, "active": "false", "limit": str(limit)}
    )
    asked = (Kind.STEP_STARTED, Kind.ANALYSIS_MEASURED, Kind.ANALYSIS_FINISHED)
    kinds = [("kind", kind.value) for kind in asked]
    found: list[Tried] = []
    unread: dict[str, str] = {}
    releases = [str(one["release_id"]) for one in over["releases"]]
    for release in releases:
        path = f"/releases/{part(release)}"
        events = api.relman("GET", f"{path}/events", params=kinds)["events"]
        try:
            shape = ReleasePlan.model_validate(api.relman("GET", f"{path}/plan")["plan"]).shape
            found += tried(release, shape, [Event.model_validate(e) for e in events], analyses)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            # Recorded by another relman: the others can be told all the same.
            unread[release] = f"can't be judged again: {error!r}"[:200]
    if form is Format.JSON:
        echo_json(
            {
                "pipeline": pipeline,
                "releases": releases,
                "confusion": confusion(found),
                "analyses": [data_of(one) for one in found],
                "unread": unread,
            }
        )
        return
    for line in _lines(pipeline, releases, found, confusion(found), unread):
        typer.echo(line)


def _analyses(file: Path) -> Mapping[str, AnalysisPlan]:
    """Return the analyses that a document has, by name."""
    from relman_plugins.plan.analyses import compiled
    from relman_plugins.spec.models import ReleasePipeline
    from relman_plugins.spec.models.policy import Policy
    from relman_plugins.spec.render import render_text
    from relman_plugins.spec.shape import validated
    from relman_plugins.spec.source import read

    if not file.is_file():
        raise Stop(Exit.USAGE, f"{file}: no such file")
    seen = read(file, file.parent)
    document: Policy | ReleasePipeline | None = None
    wrong = list(seen.diagnostics)
    if seen.document is not None and not wrong:
        value = seen.document.root.value
        if isinstance(value, dict) and value.get("kind") == "Policy":
            document, wrong = validated(seen.document, Policy)
        else:
            document, wrong = validated(seen.document, ReleasePipeline)
    if document is None or wrong:
        raise Stop(Exit.USAGE, shown(render_text(wrong, {str(file): seen.text})).rstrip())
    if not document.analyses:
        raise Stop(Exit.USAGE, f"{file} has no analyses: write those to be tried under analyses:")
    return {name: compiled(name, analysis) for name, analysis in document.analyses.items()}


def _lines(
    pipeline: str,
    releases: Sequence[str],
    found: Sequence[Tried],
    table: Mapping[str, Mapping[str, int]],
    unread: Mapping[str, str],
) -> Iterator[str]:
    otherwise = [one for one in found if one.otherwise]
    past = f"{len(releases)} past release{'' if len(releases) == 1 else 's'}"
    total = f"{len(found)} {'analysis' if len(found) == 1 else 'analyses'}"
    yield f"{pipeline}: {total} of {past} judged by the policy, {len(otherwise)} otherwise than recorded"
    if table:
        columns = list(dict.fromkeys(given for row in table.values() for given in row))
        rows = [["recorded as", *columns]]
        rows += [[recorded, *(str(row.get(c, "")) for c in columns)] for recorded, row in table.items()]
        widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
        yield ""
        for row in rows:
            cells = (f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
            yield f"  {row[0]:<{widths[0]}}  {'  '.join(cells)}".rstrip()
    for one in (one for one in found if one.given != one.recorded):
        weight = f" at {one.weight} %" if one.weight is not None else ""
        yield ""
        yield continued(f"{one.release_id}, {one.step}{weight}: {one.analysis}, {one.looks} looks", 2)
        yield continued(f"  {one.recorded} -> {one.given}{f': {one.reason}' if one.reason else ''}", 4)
    yield from (continued(f"{release}: {why}", 2) for release, why in unread.items())

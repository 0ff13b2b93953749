"""``relman judge``: judge numbers from a file, without any server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from relman_plugins.cli import backtest, pictures, replay
from relman_plugins.cli.exits import Exit, Stop
from relman_plugins.cli.options import AnyFormat, Format, must_be_file
from relman_plugins.cli.screen import echo_json, shown

if TYPE_CHECKING:
    from relman_plugins.judge.report import Report


class _FileFirst(TyperGroup):
    """Takes ``relman judge FILE`` for ``relman judge file FILE``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Add the command that is meant where none is named."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["file", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_FileFirst,
    help="Judge numbers in a file (`relman judge FILE`), or those of a release again.",
    no_args_is_help=True,
)
app.command()(replay.replay)
app.command()(pictures.show)
app.command()(backtest.backtest)


@app.command("file")
def judge(
    file: Annotated[Path, typer.Argument(help="JSON with metrics and their numbers; - is the input.")],
    explain: Annotated[bool, typer.Option("--explain", help="Say in words why.")] = False,
    form: AnyFormat = Format.TEXT,
) -> None:
    """Judge a canary by numbers in a file; exit code 0: pass, 1: another verdict, 2: a bad file."""
    from relman_plugins.domain.status import Verdict
    from relman_plugins.judge.document import BadDocument
    from relman_plugins.judge.explain import explained
    from relman_plugins.judge.reading import read
    from relman_plugins.judge.run import judge as judged

    try:
        document = read(_content(file))
        report = judged(document)
    except BadDocument as error:
        raise Stop(Exit.USAGE, f"{file}: {error}; the reference of `relman judge` has every field") from None
    words = list(explained(document, report)) if explain else []
    if form is Format.JSON:
        echo_json(report.data() | ({"explanation": words} if explain else {}))
    else:
        for line in [*_lines(report), *(["", *words] if words else [])]:
            typer.echo(shown(line))
    if report.verdict is not Verdict.PASS:
        raise typer.Exit(Exit.FINDINGS)


def _content(file: Path) -> bytes:
    from relman_plugins.judge.reading import MAX_BYTES

    if str(file) == "-":
        return typer.get_binary_stream("stdin").read(MAX_BYTES + 1)
    must_be_file(file, "a JSON file")
    try:
        with file.open("rb") as opened:
            return opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise Stop(Exit.USAGE, f"{file}: {error.strerror}") from None


def _lines(report: Report) -> Iterator[str]:
    """Yield the report as a table."""
    yield f"{report.verdict.value}: {report.reason}"
    yield f"score {report.score:g}" + "".join(f"  {name} {part:g}" for name, part in report.groups.items())
    yield ""
    rows = [("metric", "classification", "effect", "interval", "why")]
    for finding in report.metrics:
        marks = [word for word, on in (("critical", finding.critical), ("advisory", finding.muted)) if on]
        label = finding.classification + (f" ({', '.join(marks)})" if marks else "")
        interval = "" if finding.interval is None else " to ".join(map(_number, finding.interval))
        effect = "" if finding.effect is None else f"{finding.effect:.4g}"
        rows.append((finding.name, label, effect, interval, finding.reason))
    widths = [max(len(shown(row[n])) for row in rows) for n in range(4)]
    for row in rows:
        cells = [f"{shown(cell):<{width}}" for cell, width in zip(row, widths, strict=False)]
        yield "  ".join([*cells, shown(row[4])]).rstrip()


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:.4g}"

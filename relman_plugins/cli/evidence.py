"""``relman evidence``: one file with everything recorded of a release, and checking it anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relman_plugins.cli.connect import connected
from relman_plugins.cli.exits import Exit, Stop
from relman_plugins.cli.options import AnyFormat, Format, Release
from relman_plugins.cli.screen import continued, echo_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from relman_plugins.cli.api import Api
    from relman_plugins.evidence.verify import Verified

app = typer.Typer(
    help="Export everything recorded of a release into one signed file, and check such a file offline.",
    no_args_is_help=True,
)

_MARGIN = 17
"""Columns that come before what a check found."""

Reports = Annotated[
    list[Path] | None,
    typer.Option(
        "--report",
        help="Also write it for people: a file that ends in .md or .html; may be repeated.",
        show_default=False,
    ),
]


@app.command()
@connected
def export(
    api: Api,
    release: Release,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="The file; RELEASE.intoto.json here if not said.", show_default=False
        ),
    ] = None,
    report: Reports = None,
    archive: Annotated[
        Path | None,
        typer.Option(
            "--archive",
            help="Make it from this file of `relman ledger archive`, without a server; it is not signed.",
            show_default=False,
        ),
    ] = None,
    form: AnyFormat = Format.TEXT,
) -> None:
    """Write the evidence of a release: an in-toto statement, signed on the server when that has a key."""
    import json

    from relman_plugins.cli.api import part
    from relman_plugins.evidence.verify import verify as verified

    _check_suffixes(report or [])
    if archive is None:
        envelope, unsigned = api.relman("GET", f"/releases/{part(release)}/evidence"), "the server has no key"
    else:
        from relman_plugins.cli.archived import envelope_of

        envelope, unsigned = envelope_of(archive, release), "the server, which has the key, was not asked"
    keys = [s.get("keyid", "") for s in envelope["signatures"]]
    text = json.dumps(envelope, indent=2) + "\n"
    target = output or Path(f"{Path(release).name}.intoto.json")
    _write(target, text)
    signed = f"signed with the key {', '.join(keys)}" if keys else f"not signed: {unsigned}"
    if form is Format.JSON:
        echo_json({"release_id": release, "file": str(target), "keys": keys})
    else:
        typer.echo(f"wrote {target}, {signed}")
    for path in report or ():
        _write_report(path, verified(text.encode()))


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="A file that `relman evidence export` wrote.")],
    key: Annotated[
        list[Path] | None,
        typer.Option(
            "--key",
            help="Public key in PEM of whoever should have made the file; may be repeated.",
            show_default=False,
        ),
    ] = None,
    no_key: Annotated[
        bool, typer.Option("--no-key", help="Check the contents only, and not who made them.")
    ] = False,
    report: Reports = None,
    form: AnyFormat = Format.TEXT,
) -> None:
    """Check evidence offline: signature, digests, approvals, changes, verdicts; and say what that proves."""
    from relman_plugins.evidence.strict import LIMIT
    from relman_plugins.evidence.verify import verify as verified
    from relman_plugins.ledger.keys import LIMIT as KEY_LIMIT
    from relman_plugins.ledger.keys import public_key

    _check_suffixes(report or [])
    if bool(key) is no_key:
        raise Stop(Exit.USAGE, "say whose key with --key FILE, or --no-key to check the contents only")
    keys = []
    for path in key or ():
        try:
            keys.append(public_key(_read(path, KEY_LIMIT).decode("utf-8", "replace")))
        except ValueError as error:
            raise Stop(Exit.USAGE, f"--key {path}: {error}") from error
    found = verified(_read(file, LIMIT), keys)
    if form is Format.JSON:
        echo_json(_data(found))
    else:
        for line in _lines(found):
            typer.echo(line)
    for path in report or ():
        _write_report(path, found)
    if not found.good:
        raise typer.Exit(Exit.FINDINGS)


def _read(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(limit + 1)
    except OSError as error:
        raise Stop(Exit.USAGE, f"{path} can't be read: {error.strerror}") from error


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise Stop(Exit.ENVIRONMENT, f"{path} can't be written: {error.strerror}") from error


def _check_suffixes(paths: list[Path]) -> None:
    for path in paths:
        if path.suffix not in (".md", ".html"):
            raise Stop(Exit.USAGE, f"--report {path}: expected a name that ends in .md or .html")


def _data(found: Verified) -> dict[str, Any]:
    from relman_plugins.evidence import words

    return {
        "release_id": found.evidence.record.release_id if found.evidence else None,
        "good": found.good,
        "checks": [finding._asdict() for finding in found.findings],
        "overrides": list(words.overrides(found)),
        "proves": list(words.proves(found)),
        "proves_not": list(words.proves_not(found)),
    }


def _lines(found: Verified) -> Iterable[str]:
    from relman_plugins.evidence import words

    yield continued(words.headline(found), 0)
    yield ""
    for check, state, text in found.findings:
        yield continued(f"{state:<4}  {check:<9}  {text}", _MARGIN)
    for title, lines in _parts(found):
        yield ""
        yield title
        yield from (continued(f"- {line}", 2) for line in lines)


def _parts(found: Verified) -> Iterable[tuple[str, list[str]]]:
    from relman_plugins.evidence import words

    parts = (
        ("Out of the ordinary:", words.overrides),
        ("This proves:", words.proves),
        ("This does not prove:", words.proves_not),
    )
    for title, lines in parts:
        told = list(lines(found))
        if title == "This proves:" and not told:
            told = ["Nothing: see what failed above."]
        if told:
            yield title, told


def _write_report(path: Path, found: Verified) -> None:
    from relman_plugins.reports.facts import report_of
    from relman_plugins.reports.html import html
    from relman_plugins.reports.markdown import markdown

    if found.evidence is None:
        typer.echo(f"{path} is not written: there is nothing that can be read", err=True)
        return
    try:
        facts = report_of(found.evidence.record, found.evidence.events)
    except Exception as error:  # a file from anywhere: what it holds may be of any shape
        raise Stop(Exit.FINDINGS, f"no report can be made of what the file holds: {error}") from error
    checks = [f"{state}: {check}: {text}" for check, state, text in found.findings]
    parts = [("Checked:", checks), *_parts(found)]
    _write(path, html(facts, parts) if path.suffix == ".html" else markdown(facts, parts))
    typer.echo(f"wrote {path}", err=True)

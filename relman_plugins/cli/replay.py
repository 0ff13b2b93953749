"""``relman judge replay``: give the verdicts of a release again from what it recorded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relman_plugins.cli import complete
from relman_plugins.cli.connect import connected
from relman_plugins.cli.exits import Exit, Stop
from relman_plugins.cli.options import AnyFormat, Format
from relman_plugins.cli.screen import continued, echo_json

if TYPE_CHECKING:
    from relman_plugins.cli.api import Api
    from relman_plugins.evidence.record import Evidence
    from relman_plugins.evidence.verdicts import Replay

_ANYTHING = (ValueError, KeyError, TypeError, AttributeError)
"""What reading raises: a file may hold anything."""


@connected
def replay(
    api: Api,
    release: Annotated[
        str,
        typer.Argument(
            help="Release id, or a file that `relman evidence export` wrote.",
            autocompletion=complete.releases,
            show_default=False,
        ),
    ],
    form: AnyFormat = Format.TEXT,
) -> None:
    """Give a release's verdicts again from its recorded looks; exit code 1 when one comes out otherwise.

    A file needs no server. Whether the record itself is whole is for `relman evidence verify`.
    """
    from relman_plugins.evidence.verdicts import replayed

    try:
        evidence = _evidence(api, release)
    except _ANYTHING as error:
        if api.answered:
            raise
        raise Stop(Exit.USAGE, f"{release}: this is no evidence of a release: {_in_words(error)}") from error
    try:
        found = list(replayed(evidence))
    except _ANYTHING as error:
        told = f"{release}: its looks can't be judged again: {_in_words(error)}"
        raise Stop(Exit.FINDINGS, told) from error
    differ = [one for one in found if not one.same]
    if form is Format.JSON:
        verdicts = [one._asdict() | {"same": one.same} for one in found]
        echo_json({"release_id": evidence.record.release_id, "same": not differ, "analyses": verdicts})
    else:
        for line in _lines(evidence.record.release_id, found):
            typer.echo(line)
    if differ:
        raise typer.Exit(Exit.FINDINGS)


def _evidence(api: Api, release: str) -> Evidence:
    from relman_plugins.cli.api import part
    from relman_plugins.evidence import dsse
    from relman_plugins.evidence.record import evidence_of
    from relman_plugins.evidence.strict import LIMIT, parsed

    envelope: Any
    path = Path(release)
    if path.suffix == ".json":
        try:
            with path.open("rb") as file:
                envelope = parsed(file.read(LIMIT + 1), "the file")
        except OSError as error:
            raise Stop(Exit.USAGE, f"{path} can't be read: {error.strerror}") from error
    else:
        envelope = api.relman("GET", f"/releases/{part(release)}/evidence")
    return evidence_of(parsed(dsse.opened(envelope).payload, "the payload"))


def _in_words(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"there is no {error.args[0]!r} in it"
    return str(error).partition("\n")[0] or type(error).__name__


def _lines(release: str, found: list[Replay]) -> Iterator[str]:
    if not found:
        yield f"{release}: no analysis is recorded"
        return
    differ = sum(not one.same for one in found)
    total = f"{len(found)} {'analysis' if len(found) == 1 else 'analyses'}"
    yield f"{release}: {total} judged again, {f'{differ} otherwise than' if differ else 'all as'} recorded"
    for one in found:
        weight = f" at {one.weight} %" if one.weight is not None else ""
        yield ""
        yield continued(f"{one.step}{weight}: {one.analysis} ({one.judge}), {one.looks} looks", 2)
        yield continued(f"  recorded  {_said(one.recorded, one.recorded_reason)}", 12)
        yield continued(f"  again     {_said(one.given, one.reason)}", 12)
        yield from (continued(f"  differs   {problem}", 12) for problem in one.problems)


def _said(verdict: str, reason: str) -> str:
    return f"{verdict or 'no verdict yet'}{f': {reason}' if reason else ''}"

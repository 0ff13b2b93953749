"""What ``relman ledger verify`` and ``archive`` say, and how they read what they are given."""

from __future__ import annotations

import getpass
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from relman_plugins.cli.exits import Exit, Stop
from relman_plugins.cli.options import Format
from relman_plugins.cli.screen import continued, echo_json, shown
from relman_plugins.domain.chain import Head
from relman_plugins.ledger.archive import MINIMUM_DAYS
from relman_plugins.ledger.archive_file import check
from relman_plugins.ledger.verify import Verified

if TYPE_CHECKING:
    from relman_plugins.ledger.archive import Archived
    from relman_plugins.ledger.engine import Ledger

_SHOWN = 20
"""Releases that stay and are named; the rest is counted."""


def anchor_of(text: str) -> Head:
    """Read ``ID:HASH``; end the command for anything else."""
    found = re.fullmatch(r"(\d{1,18}):(sha256:[0-9a-f]{64})", text.strip())
    if found is None:
        raise Stop(Exit.USAGE, f"--head {text!r}: expected ID:HASH as `relman ledger verify` prints it")
    return Head(id=int(found[1]), hash=found[2], length=0)


def judge_of(paths: list[Path]) -> Callable[[Any], str]:
    """Return what checks signatures with the public keys in files; end the command when one has none."""
    from relman_plugins.ledger.checkpoints import judge
    from relman_plugins.ledger.keys import public_key

    keys = []
    for path in paths:
        try:
            keys.append(public_key(path.read_text()))
        except OSError as error:
            raise Stop(Exit.USAGE, f"--key {path}: {error.strerror or error}") from None
        except ValueError as error:
            raise Stop(Exit.USAGE, f"--key {path}: {error}") from None
    return judge(*keys)


def limit(text: str) -> datetime:
    """Return the time before which releases must have ended; end the command for too short a time."""
    from relman_plugins.spec.models.duration import Duration

    try:
        ago = timedelta(seconds=Duration.parse(text).seconds)
    except ValueError as error:
        raise Stop(Exit.USAGE, f"--older-than {text!r}: {error}") from None
    if ago < timedelta(days=MINIMUM_DAYS):
        raise Stop(
            Exit.USAGE,
            f"--older-than {text!r}: expected {MINIMUM_DAYS}d or more; reports and figures look back so far",
        )
    try:
        return datetime.now(UTC) - ago
    except OverflowError:
        raise Stop(Exit.USAGE, f"--older-than {text!r}: there is no time so long ago") from None


def show_checks(found: list[Verified], form: Format) -> None:
    """Print checks; end with the code for findings when there are any."""
    if form is Format.JSON:
        echo_json([check.model_dump(mode="json") for check in found])
    else:
        for one in found:
            said = "\n".join(one.problems) or f"{one.looked_at} checked"
            typer.echo(continued(f"{'fail' if one.problems else 'ok':<4}  {one.check:<12}  {said}", 20))
        if signed := next((one.signed_up_to for one in found if one.signed_up_to), 0):
            typer.echo(f"signed up to event {signed}")
        if head := next((one.head for one in found if one.head), ""):
            typer.echo(f"head: {head}")
            typer.echo("kept elsewhere, and given back with --head, it tells if anything was rewritten")
    if any(one.problems for one in found):
        raise typer.Exit(Exit.FINDINGS)


def file_checked(path: Path, digest: str = "") -> Verified:
    """Check an archive's file by itself, and against the digest that a ledger has of it."""
    try:
        contents = check(path)
    except OSError as error:
        return Verified(check=path.name, looked_at=0, problems=(f"can't be read: {error.strerror or error}",))
    problems = list(contents.problems)
    if digest and digest != contents.digest:
        problems.insert(0, f"is not the file that the ledger has a note of: {contents.digest}, not {digest}")
    return Verified(check=path.name, looked_at=contents.events, problems=tuple(problems))


def archives_checked(noted: dict[str, str], folder: Path) -> Verified:
    """Check that every file that a ledger has a note of is in a folder, and is that file."""
    found = [file_checked(folder / name, digest) for name, digest in noted.items()]
    problems = tuple(f"{one.check}: {problem}" for one in found for problem in one.problems)
    return Verified(check="archives", looked_at=len(found), problems=problems)


def archive(ledger: Ledger, folder: Path, before: datetime, form: Format, *, dry_run: bool) -> None:
    """Move what is older to files in a folder, and say what went and what stays."""
    choice = ledger.archivable(before)
    text, files = form is Format.TEXT, []
    gone = [] if not dry_run else list(choice.go)
    for done in _moved(ledger, folder, before) if not dry_run else ():
        gone += done.releases
        files.append(
            {"file": str(folder / done.file), "digest": done.digest}
            | {"releases": list(done.releases), "events": done.events}
        )
        if text:
            said = f"{len(done.releases)} releases, {done.events} events"
            typer.echo(f"{said}: {shown(str(folder / done.file))} {done.digest}")
    if not text:
        head = {"before": before.isoformat(), "dry_run": dry_run, "releases": gone}
        echo_json({**head, "files": files, "stays": dict(choice.stay)})
        return
    did = "would go" if dry_run else "archived"
    typer.echo(f"{len(gone)} releases that ended before {before:%Y-%m-%d} {did}")
    _say_each("would go", dict.fromkeys(gone if dry_run else (), ""))
    _say_each("stays", choice.stay)


def _moved(ledger: Ledger, folder: Path, before: datetime) -> Iterator[Archived]:
    from relman_plugins.domain.identity import Actor

    try:
        yield from ledger.archive(folder, before, Actor(kind="person", id=user(), via="cli"))
    except OSError as error:
        raise Stop(Exit.USAGE, f"--to {folder}: {error.strerror or error}") from error


def _say_each(what: str, releases: Mapping[str, str]) -> None:
    for release_id, why in list(releases.items())[:_SHOWN]:
        typer.echo(f"{what}: {release_id} {why}".rstrip())
    if len(releases) > _SHOWN:
        typer.echo(f"and {len(releases) - _SHOWN} more")


def user() -> str:
    """Return who runs the command, as the machine knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"

"""``relman approve``, ``reject``, ``abort``, ``hold`` and ``resume``: what a person decides."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relman_plugins.cli.exits import Exit, Stop
from relman_plugins.cli.options import DEFAULT_URL, Password, Token, Url, User

if TYPE_CHECKING:
    from relman_plugins.cli.api import Api

Release = Annotated[str, typer.Argument(help="Release id, as `relman status` shows it.")]
Gate = Annotated[str, typer.Option("--gate", help="Which gate, when more than one waits.")]
Comment = Annotated[str, typer.Option("--comment", help="Said in Slack and kept in the ledger.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask for confirmation at a terminal.")]
Reason = Annotated[str, typer.Option("--reason", help="Said in Slack and kept in the ledger.")]


def approve(
    release: Release,
    gate: Gate = "",
    comment: Comment = "",
    yes: Yes = False,
    url: Url = DEFAULT_URL,
    user: User = "",
    password: Password = "",
    token: Token = "",
) -> None:
    """Approve exactly what is shown, at the gate that a release waits at."""
    from relman_plugins.cli.api import Api

    with Api(url, user, password, token) as api:
        _vote(api, release, gate, "approve", comment, yes)


def reject(
    release: Release,
    gate: Gate = "",
    comment: Comment = "",
    yes: Yes = False,
    url: Url = DEFAULT_URL,
    user: User = "",
    password: Password = "",
    token: Token = "",
) -> None:
    """Reject a release at the gate that it waits at; one rejection decides."""
    from relman_plugins.cli.api import Api

    with Api(url, user, password, token) as api:
        _vote(api, release, gate, "reject", comment, yes)


def abort(
    release: Release,
    reason: Reason,
    url: Url = DEFAULT_URL,
    user: User = "",
    password: Password = "",
    token: Token = "",
) -> None:
    """Abort a release: traffic goes back to the stable version."""
    _act("abort", release, reason, url, user, password, token)


def hold(
    release: Release,
    reason: Reason = "",
    url: Url = DEFAULT_URL,
    user: User = "",
    password: Password = "",
    token: Token = "",
) -> None:
    """Hold a release: no forward step starts until it is resumed."""
    _act("hold", release, reason, url, user, password, token)


def resume(
    release: Release,
    reason: Reason = "",
    url: Url = DEFAULT_URL,
    user: User = "",
    password: Password = "",
    token: Token = "",
) -> None:
    """Let a held release go on."""
    _act("resume", release, reason, url, user, password, token)


def _act(verb: str, release: str, reason: str, url: str, user: str, password: str, token: str) -> None:
    from relman_plugins.cli.api import Api, part
    from relman_plugins.cli.screen import shown

    if verb == "abort" and not reason.strip():
        raise Stop(Exit.USAGE, "--reason: say why the release is aborted")
    with Api(url, user, password, token) as api:
        answer = api.relman("POST", f"/releases/{part(release)}/{verb}", json={"reason": reason})
    typer.echo(shown(f"{release}: {answer['message']}"))


def _vote(api: Api, release: str, gate: str, decision: str, comment: str, yes: bool) -> None:
    from relman_plugins.cli.api import part
    from relman_plugins.cli.show import console, gate_table

    seen = _open_gate(api, release, gate)
    console().print(gate_table(seen))
    if not yes and sys.stdin.isatty() and sys.stdout.isatty():
        typer.confirm(f"{decision} this?", abort=True)
    answer = api.relman(
        "POST",
        f"/releases/{part(release)}/gates/{part(seen['gate'])}/votes",
        json={"decision": decision, "comment": comment, "digest": seen["subject_digest"]},
    )
    typer.echo(f"{release} {seen['gate']}: {answer['gate']['state']}, {_still(answer['missing'])}")


def _open_gate(api: Api, release: str, gate: str) -> dict[str, Any]:
    gates = api.relman("GET", "/gates", params={"release": release})["gates"]
    if gate:
        found = next((g for g in gates if g["gate"] == gate), None)
        if found is None:
            names = ", ".join(g["gate"] for g in gates) or "none"
            raise Stop(Exit.FINDINGS, f"{release} has not opened a gate {gate!r}; opened: {names}")
        return dict(found)
    waiting = [g for g in gates if g["state"] == "open"]
    if not waiting:
        raise Stop(Exit.FINDINGS, f"{release} waits at no gate; `relman status {release}` says where it is")
    if len(waiting) > 1:
        names = ", ".join(g["gate"] for g in waiting)
        raise Stop(Exit.USAGE, f"{release} waits at several gates; say which by --gate: {names}")
    return dict(waiting[0])


def _still(missing: int) -> str:
    return f"{missing} more needed" if missing else "nothing missing"

"""``relman approve``, ``reject``, ``settle``, ``abort``, ``hold``, ``resume``: what a person decides."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relman_plugins.cli import complete
from relman_plugins.cli.connect import connected
from relman_plugins.cli.exits import Exit, Stop
from relman_plugins.cli.items import Failed, Passed, answers
from relman_plugins.cli.options import AnyFormat, Format, OpenRelease, Reason, Release, Yes
from relman_plugins.cli.rules import check, filled_in, lacking
from relman_plugins.cli.screen import confirmed, echo_json, is_terminal, shown
from relman_plugins.cli.times import moment_of
from relman_plugins.cli.words import moment

if TYPE_CHECKING:
    from relman_plugins.cli.api import Api

Gate = Annotated[
    str,
    typer.Option(
        "--gate",
        help="Which gate, when more than one waits.",
        autocompletion=complete.gates,
        show_default=False,
    ),
]
Comment = Annotated[
    str, typer.Option("--comment", help="Said in Slack and kept in the ledger.", show_default=False)
]

Fields = Annotated[
    list[str] | None,
    typer.Option("--field", help="NAME=VALUE: what a rule of the gate asks for. Repeat.", show_default=False),
]


At = Annotated[
    str,
    typer.Option(
        "--at",
        help="When the approval takes effect: 22:00, or 2026-11-25T22:00+01:00. Without: at once.",
        show_default=False,
    ),
]


Digest = Annotated[
    str,
    typer.Option(
        "--digest",
        help="Of what you looked at (`shown`): approves that and nothing else, without a question.",
        show_default=False,
    ),
]


@connected
def approve(
    api: Api,
    release: OpenRelease,
    gate: Gate = "",
    comment: Comment = "",
    passed: Passed = None,
    failed: Failed = None,
    field: Fields = None,
    at: At = "",
    digest: Digest = "",
    yes: Yes = False,
    form: AnyFormat = Format.TEXT,
) -> None:
    """Approve exactly what is shown, at the gate or checklist that a release waits at.

    Where there is no terminal to ask at, say --digest or --yes.
    """
    when = moment_of(at, "--at") if at else None
    _vote(api, release, gate, "approve", comment, (passed, failed), yes, form, when, field, digest)


@connected
def reject(
    api: Api,
    release: OpenRelease,
    gate: Gate = "",
    comment: Comment = "",
    passed: Passed = None,
    failed: Failed = None,
    yes: Yes = False,
    form: AnyFormat = Format.TEXT,
) -> None:
    """Reject a release at the gate that it waits at; one rejection decides."""
    _vote(api, release, gate, "reject", comment, (passed, failed), yes, form)


@connected
def withdraw(
    api: Api, release: OpenRelease, gate: Gate = "", comment: Comment = "", form: AnyFormat = Format.TEXT
) -> None:
    """Take back your vote, as long as the gate waits; then you may vote again."""
    from relman_plugins.cli.api import part

    seen = _open_gate(api, release, gate)
    path = f"/releases/{part(release)}/gates/{part(seen['gate'])}/votes"
    answer = api.relman("DELETE", path, json={"comment": comment})
    if form is Format.JSON:
        echo_json({"release_id": release, **answer})
    else:
        typer.echo(shown(f"{release} {seen['gate']}: {answer['message']}"))


@connected
def settle(
    api: Api, release: Release, reason: Reason, gate: Gate = "", form: AnyFormat = Format.TEXT
) -> None:
    """Record what was done about an emergency whose approval was rejected afterwards: it is owed no more."""
    from relman_plugins.cli.api import part

    if not reason.strip():
        raise Stop(Exit.USAGE, "--reason: say what was done about it")
    found = gate or _rejected_debt(api, release)
    path = f"/releases/{part(release)}/gates/{part(found)}/settlement"
    answer = api.relman("POST", path, json={"reason": reason})
    if form is Format.JSON:
        echo_json({"release_id": release, **answer})
    else:
        typer.echo(shown(f"{release} {found}: {answer['message']}"))


@connected
def abort(api: Api, release: OpenRelease, reason: Reason, form: AnyFormat = Format.TEXT) -> None:
    """Abort a release: traffic goes back to the stable version."""
    if not reason.strip():
        raise Stop(Exit.USAGE, "--reason: say why the release is aborted")
    _act(api, "abort", release, reason, form)


@connected
def hold(api: Api, release: OpenRelease, reason: Reason = "", form: AnyFormat = Format.TEXT) -> None:
    """Hold a release: no forward step starts until it is resumed."""
    _act(api, "hold", release, reason, form)


@connected
def resume(api: Api, release: OpenRelease, reason: Reason = "", form: AnyFormat = Format.TEXT) -> None:
    """Let a held release go on."""
    _act(api, "resume", release, reason, form)


def _act(api: Api, verb: str, release: str, reason: str, form: Format) -> None:
    from relman_plugins.cli.api import part

    answer = api.relman("POST", f"/releases/{part(release)}/{verb}", json={"reason": reason})
    if form is Format.JSON:
        echo_json(answer)
    else:
        typer.echo(shown(f"{release}: {answer['message']}"))


Said = tuple[Passed, Failed]


def _vote(
    api: Api,
    release: str,
    gate: str,
    decision: str,
    comment: str,
    said: Said,
    yes: bool,
    form: Format,
    at: datetime | None = None,
    fields: list[str] | None = None,
    digest: str = "",
) -> None:
    from relman_plugins.cli.api import part
    from relman_plugins.cli.show import console, gate_table

    check(fields or ())
    seen = _open_gate(api, release, gate)
    body = {
        "decision": decision,
        "comment": comment,
        # A no counts whatever is asked by now.
        **({"digest": seen["subject_digest"]} if decision == "approve" else {}),
        "answers": answers(seen, *said) | filled_in(seen, fields or ()),
        **({"not_before": at.isoformat()} if at else {}),
    }
    # Standard output is only data when a program reads it.
    console(error=form is Format.JSON).print(gate_table(seen))
    if digest:
        _is_still(seen, digest)
    elif decision == "approve" and not yes and not is_terminal():
        raise Stop(
            Exit.USAGE,
            f"nothing was decided: there is no terminal to ask at; --digest {seen['subject_digest']} "
            "approves what is shown above and nothing else, --yes whatever it is by then",
        )
    later = f" to take effect at {at:%Y-%m-%d %H:%M %Z}" if at else ""
    confirmed(f"{decision} this{later}?", yes=yes or bool(digest))
    answer = api.relman("POST", f"/releases/{part(release)}/gates/{part(seen['gate'])}/votes", json=body)
    if form is Format.JSON:
        echo_json({"release_id": release, **answer})
    else:
        typer.echo(shown(f"{release} {seen['gate']}: {answer['gate']['state']}, {_still(answer['gate'])}"))


def _is_still(seen: dict[str, Any], digest: str) -> None:
    if seen["subject_digest"] != digest:
        raise Stop(
            Exit.FINDINGS,
            f"nothing was decided: {seen['gate']} is about {seen['subject_digest']}, not about {digest}; "
            "look at what is shown above, then decide",
        )


def _open_gate(api: Api, release: str, gate: str) -> dict[str, Any]:
    gates = api.relman("GET", "/gates", params={"release": release})["gates"]
    if gate:
        found = next((g for g in gates if g["gate"] == gate), None)
        if found is None:
            names = ", ".join(g["gate"] for g in gates) or "none"
            raise Stop(Exit.FINDINGS, f"{release} has not opened a gate {gate!r}; opened: {names}")
        return dict(found)
    waiting = [g for g in gates if g["state"] == "open"]
    # What is to be approved afterwards holds up nothing, so it comes after what does.
    waiting = [g for g in waiting if not g.get("debt")] or waiting
    if not waiting:
        raise Stop(Exit.FINDINGS, f"{release} waits at no gate; `relman status {release}` says where it is")
    if len(waiting) > 1:
        names = ", ".join(g["gate"] for g in waiting)
        raise Stop(Exit.USAGE, f"{release} waits at several gates; say which by --gate: {names}")
    return dict(waiting[0])


def _rejected_debt(api: Api, release: str) -> str:
    gates = api.relman("GET", "/gates", params={"release": release})["gates"]
    names = [g["gate"] for g in gates if g.get("debt") and g["state"] == "rejected" and not g["settled"]]
    if not names:
        raise Stop(
            Exit.FINDINGS,
            f"of {release} nothing is to be settled; `relman status --debts` lists what is owed",
        )
    if len(names) > 1:
        raise Stop(
            Exit.USAGE, f"of {release} several are to be settled; say which by --gate: {', '.join(names)}"
        )
    return str(names[0])


def _still(gate: dict[str, Any]) -> str:
    needed = f"{gate['missing']} more needed: {lacking(gate)}" if gate["missing"] else "nothing missing"
    return f"{needed}, takes effect at {moment(gate['effect_at'])}" if gate.get("effect_at") else needed

"""Releases and gates as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from relman_plugins.cli import rules, words
from relman_plugins.cli.items import lines
from relman_plugins.cli.screen import shown
from relman_plugins.domain.follow_up import read, told

if TYPE_CHECKING:
    from collections.abc import Iterable


MOST_LINES = 10
"""How many tests and reports of a suite, and lines of a message, are shown; the rest is counted."""


def print_releases(releases: list[dict[str, Any]]) -> None:
    """Print one row per release."""
    if not releases:
        console().print("no releases yet; `relman release PIPELINE VERSION` starts one")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("release", "state", "now", "opened"):
        table.add_column(title, overflow="fold")
    for release in releases:
        status = release["status"]
        cells = (release["release_id"], _state(release), _now(status), words.moment(release["opened_at"]))
        table.add_row(*map(_cell, cells))
    console().print(table)


def print_release(release: dict[str, Any]) -> None:
    """Print one release in full."""
    out = console()
    out.print(release_table(release))
    for gate in release["gates"]:
        out.print()
        out.print(gate_table(gate))


def release_table(release: dict[str, Any]) -> Table:
    """Return one release as a table of facts."""
    status = release["status"]
    artifact = status["artifact"]
    facts: list[tuple[str, str]] = [
        ("release", release["release_id"]),
        ("state", _state(release)),
        ("now", _now(status)),
        ("expected", "\n".join(words.expected(release.get("expected") or {}))),
        (
            "OVERDUE",
            "\n".join(
                f"{o['message']} (due {words.moment(o['due_at'])})" for o in status.get("overdue") or ()
            ),
        ),
        ("waits for", "\n".join(map(waits_for, release.get("waits_for") or ()))),
        ("frozen", "\n".join(map(words.frozen, release.get("freezes") or ()))),
        (
            "artifact",
            f"{artifact['version']} {words.short(artifact['digest'])}" if artifact else "not built yet",
        ),
        ("plan", words.short(release["plan_hash"])),
        ("ticket", "\n".join(map(_ticket, status.get("tickets") or ()))),
        ("changed", ", ".join(status["changed_environments"]) or "nothing yet"),
        ("locks", ", ".join(f"{x['service']} in {x['environment']}" for x in release.get("locks", ()))),
        ("suites", "\n".join(map(_suite, status["suites"]))),
        ("traffic", _served(status["served"])),
        ("rolled back", "\n".join(map(_rollback, status.get("rollbacks") or ()))),
        ("reason", _cut(status["reason"])) if status["reason"] else ("said last", _cut(status["message"])),
        ("follow-ups", _follow_ups(status.get("follow_ups"))),
        ("started by", str(release["started_by"].get("name") or release["started_by"].get("id"))),
        ("run", release["url"]),
        ("trace", release.get("trace_url") or status.get("trace_id") or ""),
    ]
    return _facts((name, value) for name, value in facts if value)


def _cut(said: str) -> str:
    """Return the first lines of what may be a test's whole output."""
    lines = said.splitlines()
    more = len(lines) - MOST_LINES
    return "\n".join(
        [*lines[:MOST_LINES], *([f"… {more} more lines in `relman report`"] if more > 0 else [])]
    )


def _overdue(missed: dict[str, Any]) -> str:
    return f"{missed['message']} (it was due {words.moment(missed['due_at'])})"


def print_locks(locks: list[dict[str, Any]]) -> None:
    """Print one row per lock."""
    if not locks:
        console().print("no lock is held")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("environment", "service", "release", "since", "until"):
        table.add_column(title, overflow="fold")
    for lock in locks:
        times = (words.moment(lock[name]) for name in ("acquired_at", "expires_at"))
        table.add_row(*map(_cell, [lock["environment"], lock["service"], lock["release_id"], *times]))
    console().print(table)


def lock_table(lock: dict[str, Any]) -> Table:
    """Return one lock as a table of facts."""
    return _facts(
        [
            ("lock", f"{lock['service']} in {lock['environment']}"),
            ("release", lock["release_id"]),
            ("since", words.moment(lock["acquired_at"])),
            ("until", f"{words.moment(lock['expires_at'])}, unless its run goes on"),
        ]
    )


def print_debts(debts: list[dict[str, Any]]) -> None:
    """Print one row for each stage of a release whose rules were skipped and not approved afterwards."""
    if not debts:
        console().print("no debts: everything that was skipped in an emergency is approved or settled")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("release", "gate", "state", "skipped", "due", "asked", "why"):
        table.add_column(title, overflow="fold")
    for debt in debts:
        subject = debt["subject"]
        skipped = ", ".join(f"{r['quorum']} of {r['group']}" for r in subject.get("waived") or ())
        asked = ", ".join(_names(p for p in debt["people"] if p["airflow"] not in debt["own"]))
        due, why = words.moment(debt["expires_at"]), str(subject.get("emergency_reason") or "")
        cells = (debt["release_id"], debt["gate"], _owed(debt), skipped, due, asked, why)
        table.add_row(*map(_cell, cells))
    console().print(table)


def _owed(debt: dict[str, Any]) -> str:
    """Say how a gate for afterwards stands."""
    if debt["state"] == "open":
        return "OVERDUE" if debt.get("overdue") else "open"
    said = f": {debt['comment']}" if debt["comment"] else ""
    return f"{debt['state']} by {debt['decided_by']}{said}"


def gate_table(gate: dict[str, Any]) -> Table:
    """Return what is approved, of whom it is asked, and how it stands."""
    subject = gate["subject"]
    tests = [
        f"{t.get('suite')}: {_totals(t, t.get('failures'))}{_more(t)}" for t in subject.get("tests") or ()
    ]
    items = lines(gate)
    voted = {v["person"]: v["decision"] for v in gate["votes"]}
    people = (f"{p['name'] or p['id']}{_vote(voted.get(p['id']))}" for p in gate["people"])
    return _facts(
        [
            ("gate", f"{gate['gate']}: {gate['state']}"),
            (
                "version",
                f"{subject.get('pipeline')} {subject.get('version')} to {subject.get('environment')}",
            ),
            ("artifact", str(subject.get("artifact_digest") or "-")),
            ("plan", str(subject.get("plan_hash") or "-")),
            ("changes", str(subject.get("changes") or "-")),
            *([("goes past", "\n".join(map(str, past)))] if (past := subject.get("closed")) else []),
            *([("fields", "\n".join(given))] if (given := _fields(subject)) else []),
            *([("found", "\n".join(about))] if (about := _found(subject)) else []),
            ("items", "\n".join(items)) if items else ("tests", "\n".join(tests) or "none recorded"),
            ("asked", ", ".join(people)),
            ("takes effect", words.moment(gate["effect_at"]) if gate.get("effect_at") else "at once"),
            ("holds", f"until {words.moment(at)}" if (at := gate.get("valid_until")) else _holds(gate)),
            *([("rules", "\n".join(each))] if (each := rules.told(gate)) else []),
            ("missing", " ".join(filter(None, [str(gate["missing"]), _who(gate)]))),
            ("shown", str(gate["subject_digest"])),
        ]
    )


def _found(subject: dict[str, Any]) -> list[str]:
    """Return what was found out about the release, each part under its title."""
    from relman_plugins.reports.subject import found_out

    return [line for title, said in found_out(subject) for line in (f"{title}:", *(f"  {s}" for s in said))]


def _fields(subject: dict[str, Any]) -> list[str]:
    """Return what the pipeline's own fields were filled in with: it is part of what is approved."""
    return [f"{name}: {value}" for name, value in (subject.get("parameters") or {}).items() if value != ""]


def _who(gate: dict[str, Any]) -> str:
    return f"({found})" if (found := rules.lacking(gate)) else ""


def _holds(gate: dict[str, Any]) -> str:
    from relman_plugins.plan.words import duration

    seconds = gate.get("valid_for_s")
    return f"for {duration(seconds)} once approved" if seconds else "without end"


def _suite(suite: dict[str, Any]) -> str:
    bad = suite["failures"] + suite["errors"]
    where = f"{suite['environment']} " if suite["environment"] else ""
    return f"{where}{suite['suite']}: {_totals(suite, bad)}{_more(suite)}"


def _ticket(seen: dict[str, Any]) -> str:
    """Say how a change ticket stood when its system was asked last."""
    lines = [seen["said"] or seen["number"], *seen["lacks"], seen["url"]]
    return "\n  ".join([f"{lines[0]} ({words.moment(seen['at'])})", *filter(None, lines[1:])])


def _totals(suite: dict[str, Any], bad: int | None) -> str:
    flaky = f", {suite['flakes']} flaky" if suite.get("flakes") else ""
    return f"{suite.get('tests')} tests, {bad} failed, {suite.get('skipped')} skipped{flaky}"


def _more(suite: dict[str, Any]) -> str:
    """Return further lines: what other reports say, and which tests failed or are flaky."""
    named = (("failed", suite.get("failed") or ()), ("flaky", suite.get("flaky") or ()))
    lines = [*(suite.get("reports") or ()), *(f"{word}: {name}" for word, names in named for name in names)]
    shown = [f"\n  {line}" for line in lines[:MOST_LINES]]
    return "".join(
        [*shown, f"\n  … and {len(lines) - MOST_LINES} more"] if len(lines) > MOST_LINES else shown
    )


def _follow_ups(found: dict[str, Any] | None) -> str:
    if not found:
        return ""
    if not found["answered_by"]:
        return f"asked of {', '.join(_names(found['asked']))} until {words.moment(found['until'])}"
    items = [told(item) for item in read(found)]
    return "\n".join(items) or f"none, says {found['answered_by']}"


def _rollback(asked: dict[str, Any]) -> str:
    """Say what became of a rollback after the release had ended."""
    actor, to = asked["actor"], (asked["to"] or {}).get("version", "nothing")
    state = "" if asked["state"] == "finished" else f" {asked['state']}: {asked['message']}".rstrip(": ")
    who = actor.get("name") or actor.get("id")
    return f"{asked['environment']} to {to}{state} ({who}, {words.moment(asked['at'])}: {asked['reason']})"


def _served(served: dict[str, int] | None) -> str:
    return f"the candidate served {served['candidate']} of {served['total']} requests" if served else ""


def _vote(decision: str | None) -> str:
    return f" ({decision})" if decision else ""


def _state(release: dict[str, Any]) -> str:
    """Say how a release stands; a dry run that ended well has released nothing, and is called so."""
    options, outcome = release["options"], release["status"]["outcome"]
    flags = [name.replace("_", " ") for name in ("emergency", "dry_run") if options[name]]
    done = dict.fromkeys(
        f"{asked['environment']} rolled back since"
        for asked in release["status"].get("rollbacks") or ()
        if asked["state"] == "finished"
    )
    flags += list(done)
    return f"{words.outcome(outcome) if outcome else 'running'}{''.join(f', {flag}' for flag in flags)}"


def _now(status: dict[str, Any]) -> str:
    if status["outcome"]:
        return ""
    said = ["held"] if status["held"] else []
    said += ["abort requested"] if status["abort"] else []
    said += [
        f"waits at {w['gate']} for {', '.join(_names(w.get('awaited') or w['people']))}"
        for w in status["waiting_for"]
    ]
    said += [f"approved, takes effect at {words.moment(at)}"] if (at := status.get("takes_effect")) else []
    waiting = {w["gate"] for w in status["waiting_for"]}
    said += [step for step in status["current"] if step not in waiting]
    return "; ".join(said) or "between steps"


def waits_for(lock: dict[str, Any]) -> str:
    """Say whose lock a release waits for, as far as the caller may know."""
    holder = lock["holder"] or "a release that you may not see"
    return f"the lock of {lock['service']} in {lock['environment']}, which {holder} holds"


def _names(people: Iterable[dict[str, Any]]) -> Iterable[str]:
    return (str(p["name"] or p["id"]) for p in people)


def _facts(rows: Iterable[tuple[str, str]]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, _cell(value))
    return table


def _cell(text: str) -> str:
    return escape(shown(text))


def console(*, error: bool = False) -> Console:
    """Return where tables are printed: standard output, or standard error."""
    # A pipe has no width: wrapping at Rich's default of 80 would break what is searched for.
    terminal = Console(stderr=error)
    return terminal if terminal.is_terminal else Console(stderr=error, width=200, no_color=True)

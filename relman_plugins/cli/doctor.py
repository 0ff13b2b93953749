"""``relman doctor``: is everything in place, and if not, what to do."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import typer

from relman_plugins.cli.connect import connected
from relman_plugins.cli.exits import Exit, Stop
from relman_plugins.cli.options import AnyFormat, Format
from relman_plugins.cli.screen import continued, echo_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from relman_plugins.cli.api import Api

BACKLOG = 20
"""More undelivered messages than this are worth a warning: Slack is down, or maintenance doesn't run."""

NEARLY_FULL = 0.8
"""A share of the triggerers' room above which there is a warning."""

SENTINEL = "relman_invalid__"
"""What the DAGs of broken specs begin with (``factory.sentinel``, which brings Airflow)."""

_MARGIN = 22
"""Columns that come before a message."""


@dataclass(frozen=True)
class Check:
    """One finding of the doctor."""

    name: str
    state: Literal["ok", "warn", "fail"]
    message: str
    fatal: bool = False
    """Whether nothing after it can be checked: the environment, not relman, is at fault."""


@connected
def doctor(api: Api, form: AnyFormat = Format.TEXT) -> None:
    """Check server, login, plugin, ledger, extras, cache, versions, waits, backlogs, sources, Slack, DAGs."""
    checks = list(_checks(api))
    if form is Format.JSON:
        echo_json([asdict(check) for check in checks])
    else:
        for check in checks:
            typer.echo(continued(f"{check.state:<4}  {check.name:<14}  {check.message}", _MARGIN))
    if any(check.fatal for check in checks):
        raise typer.Exit(Exit.ENVIRONMENT)
    if any(check.state == "fail" for check in checks):
        raise typer.Exit(Exit.FINDINGS)


def _checks(api: Api) -> Iterator[Check]:
    from relman_plugins.cli.api import NotMounted

    yield _configuration(api.sources)
    try:
        api.reach()
    except Stop as stop:
        yield Check("server", "fail", str(stop), fatal=True)
        return
    yield Check("server", "ok", api.url)
    try:
        imports = api.airflow("GET", "/importErrors", params={"limit": 20})
    except Stop as stop:
        if stop.code is Exit.ENVIRONMENT:
            yield Check("login", "fail", str(stop), fatal=True)
            return
        imports = None
    try:
        health = api.relman("GET", "/health")
    except Stop as stop:
        login = Check("login", "ok", "accepted")
        yield login
        name = "plugin" if isinstance(stop, NotMounted) or "404" in str(stop) else "relman API"
        yield Check(name, "fail", str(stop))
    else:
        yield Check("login", "ok", f"as {health['user']['name']}")
        yield Check("plugin", "ok", f"mounted, relman {health['version']}")
        yield from _health(health)
    yield _imports(imports)
    yield _specs(api)
    yield from _pools(api)


def _configuration(sources: dict[str, str]) -> Check:
    """Say where address and login came from, and show neither password nor token."""
    note = sources.get("note")
    came = ", ".join(f"{what} from {where}" for what, where in sources.items() if what != "note")
    return Check("configuration", "warn" if note else "ok", f"{came}; {note}" if note else came)


def _health(health: dict[str, Any]) -> Iterator[Check]:
    active = health["middleware"]["active"]
    yield Check(
        "middleware",
        "ok" if active else "fail",
        "answers on Airflow's own page count as votes"
        if active
        else "not active: answers on Airflow's Required Actions page bypass the vote service until the gate "
        "reads the ledger; look for plugin errors in the API server's log",
    )
    yield Check("ledger", "ok" if health["ledger"]["ok"] else "fail", health["ledger"]["message"])
    pending = health["outbox"]["pending"]
    if pending is not None:
        late = pending > BACKLOG
        hint = "; is relman_maintenance unpaused, and does the channel answer?" if late else ""
        yield Check("outbox", "warn" if late else "ok", f"{pending} messages wait{hint}")
        for waiting in health["outbox"].get("channels", []):
            # What is being delivered at this moment is no trouble.
            if waiting["error"] and not waiting["error"].startswith("being "):
                told = f"{waiting['pending']} wait since {waiting['oldest']}: {waiting['error']}"
                yield Check(f"to {waiting['channel']}", "warn", told)
            if waiting.get("given_up"):
                told = f"{waiting['given_up']} given up, the latest at {waiting['given_up_at']}: "
                told += f"{waiting['given_up_error']}; what they said is in the releases' record"
                yield Check(f"to {waiting['channel']}", "warn", told)
    yield from _extras(health.get("extras") or ())
    if cache := health.get("spec_cache"):
        yield _spec_cache(cache)
    if found := health.get("bundle"):
        yield _bundle(found)
    if found := health.get("waits"):
        yield _waits(found)
    for system in health.get("tickets", []):
        name = f"{system['system']} ({system['connection']})"
        hint = "" if system["ok"] else "; releases that ask for a ticket there wait, and nothing is lost"
        state: Literal["ok", "fail"] = "ok" if system["ok"] else "fail"
        yield Check("change tickets", state, f"{name}: {system['message']}{hint}")
    for source in health.get("sources", []):
        name = f"{source['source']} ({source['connection']})"
        hint = "" if source["ok"] else "; that is what the API server got: looks are the triggerer's"
        yield Check("numbers", "ok" if source["ok"] else "warn", f"{name}: {source['message']}{hint}")
    if "slack" in health:
        yield _slack(health["slack"])
    if file := health.get("rehearsal_clock"):
        yield Check(
            "clock",
            "warn",
            f"[relman] rehearsal_clock is set, for rehearsals: whoever can write {file} opens every window",
        )
    if health["all_admins"]:
        yield Check(
            "all admins",
            "fail",
            "[core] simple_auth_manager_all_admins is on: nobody is a named person, so votes are refused; "
            "turn it off",
        )
    else:
        yield Check("all admins", "ok", "off: every vote names a person")


def _extras(lacking: Iterable[dict[str, Any]]) -> Iterator[Check]:
    """Say what is not installed: it is looked for beside the API server, and matters where tasks run."""
    for found in lacking:
        what, missing = _USES[found["extra"]], ", ".join(found["missing"])
        add = f"python -m pip install 'relman[{found['extra']}]' on the workers adds it"
        told = f"{missing} is not installed beside the API server, and {what} needs it"
        if found["needed"]:
            yield Check(f"extra {found['extra']}", "warn", f"{told}; recent releases do that; {add}")
        else:
            yield Check(f"extra {found['extra']}", "ok", f"{told}; no recent release does that; {add}")


_USES = {"reports": "reading coverage or findings", "git": "assessing what changed"}
"""What each extra is for."""


def _spec_cache(cache: dict[str, Any]) -> Check:
    if not cache["on"]:
        return Check("spec cache", "ok", "off ([relman] spec_cache): every parse reads and checks every spec")
    if cache["trouble"]:
        return Check("spec cache", "warn", f"{cache['trouble']}; until then every parse costs twice as much")
    return Check("spec cache", "ok", "on: an unchanged spec is not checked anew at each parse")


def _bundle(found: dict[str, Any]) -> Check:
    """Say what becomes of a release in flight when its spec is edited."""
    name, stops = found["name"], "whoever edits a spec stops its releases in flight"
    if not found["version"]:
        return Check("versions", "warn", f"the DAG bundle {name} has none: {stops}; {_VERSIONED}")
    if found["specs_elsewhere"]:
        told = f"the DAG bundle {name} has them, and [relman] specs_folder names specs outside of it: {stops}"
        return Check("versions", "warn", f"{told}; empty that setting")
    told = f"the DAG bundle {name} is at {found['version'][:12]}: a release in flight keeps its spec"
    return Check("versions", "ok", told)


_VERSIONED = (
    "relman_plugins.bundles.snapshot.SnapshotDagBundle gives a folder versions, "
    "and Airflow's GitDagBundle has them"
)


def _waits(found: dict[str, Any]) -> Check:
    """Say whether there is room for one more wait: Airflow says so nowhere but in the triggerer's log."""
    room, more = found["triggerers"] * found["capacity"], "raise [triggerer] capacity or add a triggerer"
    told = f"{found['waits']} waits, of any DAG, and room for {room}"
    if not room:
        return Check(
            "triggerer", "fail", "none is running: whatever waits for people or numbers stands still"
        )
    if found["nobody"] and found["waits"] >= room:
        return Check(
            "triggerer", "fail", f"{told}: {found['nobody']} are not begun and notice nothing; {more}"
        )
    if found["waits"] >= room * NEARLY_FULL:
        return Check("triggerer", "warn", f"{told}; those beyond it will never be begun: {more}")
    return Check("triggerer", "ok", told)


def _slack(slack: dict[str, Any]) -> Check:
    """Say how people can vote from Slack: with buttons, or by links."""
    url = slack["request_url"]
    if not slack["votes"]:
        return Check(
            "Slack votes",
            "ok",
            "by links: the connection relman_slack has no signing_secret in its extra field; for buttons add "
            f"it, and have Slack's app configuration name {url} under Interactivity",
        )
    asked = (
        "this Airflow is asked what a person may do"
        if slack["looks_up"]
        else "people.yaml alone says who may: this Airflow can't be asked about people without their token; "
        "environments with slack_votes: link insist on a login"
    )
    if not url.startswith("https://"):
        return Check("Slack votes", "warn", f"with buttons, but Slack calls only https, not {url}; {asked}")
    named = f"Slack's app must name {url}, and for the command /relman {slack['command_url']}"
    return Check("Slack votes", "ok", f"with buttons; {named}; {asked}")


def _specs(api: Api) -> Check:
    from relman_plugins.plan.model import INVALID_TAG

    try:
        found = api.airflow("GET", "/dags", params={"tags": [INVALID_TAG], "limit": 20})
    except Stop:
        return Check("specs", "warn", "this user may not see DAGs; ask an Airflow admin")
    names = [dag["dag_id"] for dag in found["dags"]]
    if broken := [name for name in names if name.startswith(SENTINEL)]:
        return Check("specs", "fail", f"broken: {', '.join(broken)}; run relman validate")
    if names:
        return Check("specs", "warn", f"broken or gone, with releases in flight: {', '.join(names)}")
    return Check("specs", "ok", "all are valid")


def _pools(api: Api) -> Iterator[Check]:
    from relman_plugins.cli.pools import pool_problems

    found = pool_problems(api)
    if found is None:
        yield Check("pools", "warn", "this user may not see DAGs or pools; ask an Airflow admin")
        return
    problems, good = found
    yield from (Check("pools", "fail", problem) for problem in problems)
    if not problems:
        yield Check("pools", "ok", f"ready: {', '.join(good)}" if good else "no environment names one")


def _imports(answer: dict[str, Any] | None) -> Check:
    if answer is None:
        return Check("DAG imports", "warn", "this user may not see import errors; ask an Airflow admin")
    errors = answer["import_errors"]
    if not errors:
        return Check("DAG imports", "ok", "no import errors")
    first = str(errors[0]["stack_trace"]).strip().splitlines()[-1:] or [""]
    return Check(
        "DAG imports", "fail", f"{answer['total_entries']} broken, first {errors[0]['filename']}: {first[0]}"
    )

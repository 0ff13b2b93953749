"""The end of the demo: what the bad version cost, the releases, the Slack conversation."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from relman_plugins.clients.http import client, request
from relman_plugins.reports.table import table
from relman_plugins.testing.demo_api import AirflowUser
from relman_plugins.testing.demo_screen import Screen
from relman_plugins.testing.slack import render_transcript
from relman_plugins.testing.stack import Stack

MAINTENANCE = "relman_maintenance"


def cost_of_the_bad_version(admin: AirflowUser, release: Mapping[str, Any]) -> str | None:
    """Say how many requests a withdrawn version served, and how fast it was withdrawn; None if it was not."""
    events = admin.events(str(release["release_id"]), 0)
    withdrawn = next((e["data"] for e in events if e["kind"] == "traffic.withdrawn"), None)
    if withdrawn is None:
        return None
    served = withdrawn.get("served") or {}
    took_ms = float(withdrawn["seconds"]) * 1000
    return (
        f"{release['version']} served {served.get('candidate', '?')} of {served.get('total', '?')} requests "
        "in production; "
        f"traffic was back at the stable version {took_ms:.0f} ms after the failing poll"
    )


def seen_of_the_bad_version(admin: AirflowUser, release: Mapping[str, Any]) -> list[str]:
    """Return the numbers of the picture in which a version was caught; none where none was."""
    pictures = admin.pictures(str(release["release_id"]))
    return [line for one in pictures if one.verdict == "fail" for line in table(one)]


def deliver(stack: Stack, admin: AirflowUser, limit_s: float = 30.0) -> int:
    """Have what Slack has not been told yet delivered now; return how many messages still wait."""
    deadline = time.monotonic() + limit_s
    run_id = None
    while (pending := int(admin.health()["outbox"]["pending"] or 0)) and time.monotonic() < deadline:
        if run_id is None or admin.run_state(MAINTENANCE, run_id) in {"success", "failed"}:
            run_id = admin.trigger(MAINTENANCE, {})
        stack.processes.check()
        time.sleep(0.5)
    return pending


def tell(stack: Stack, admin: AirflowUser, screen: Screen) -> None:
    """Show the releases, what Slack was told, and where to go from here."""
    waiting = deliver(stack, admin)
    screen.heading("The releases")
    columns = ("release", "version", "outcome", "run", "plan")
    screen.table("", columns, [_row(admin, release) for release in admin.releases()])
    screen.heading("What Slack was told")
    with client(stack.addresses.slack) as http:
        said = request(http, "GET", "/_transcript").json()
    screen.say(render_transcript(said["channels"] if isinstance(said, dict) else said))
    if waiting:
        screen.say(f"{waiting} messages still wait in the outbox")
    screen.heading("Where things are")
    screen.say(f"ledger     {stack.folders.ledger}")
    screen.say(f"check it   relman ledger verify --ledger-url sqlite:///{stack.folders.ledger}")
    screen.say(f"artifacts  {stack.folders.artifacts}")
    screen.say(f"logs       {stack.folders.logs}")
    screen.say("next       make up   (the same Airflow with these releases; log in as admin, password admin)")


def _row(admin: AirflowUser, release: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        str(release["release_id"]),
        str(release["version"]),
        str(release["status"]["outcome"]),
        admin.run_state(str(release["dag_id"]), str(release["run_id"])),
        str(release["plan_hash"])[:19],
    )

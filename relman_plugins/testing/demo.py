"""Three real releases on an Airflow of its own: ``python -m relman_plugins.testing.demo``, or ``make demo``.

Exit codes: 0 when the story went as told, 1 when a step failed, 130 and 143 when it was stopped by Ctrl-C
or SIGTERM. No process is left behind in any case. ``RELMAN_DEMO_TIMEOUT`` (seconds, default 600) limits it;
the time that a person takes to answer does not count.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from relman_plugins.errors import RelmanError
from relman_plugins.testing.demo_api import AirflowUser
from relman_plugins.testing.demo_approver import Approver, Prompt, Script
from relman_plugins.testing.demo_end import cost_of_the_bad_version, seen_of_the_bad_version, tell
from relman_plugins.testing.demo_found import RATE, SERVICE, deploy_as_found, start_traffic
from relman_plugins.testing.demo_screen import Screen, screen_for
from relman_plugins.testing.demo_story import ACTS, Teller
from relman_plugins.testing.stack import Stack
from relman_plugins.testing.stack_config import USERS
from relman_plugins.testing.stack_signals import Stopped, stoppable

REPO = Path(__file__).resolve().parents[2]


def main(argv: list[str] | None = None) -> int:
    """Run the demo; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m relman_plugins.testing.demo", description=__doc__)
    parser.add_argument(
        "--home", type=Path, default=REPO / ".relman" / "now", help="folder for everything written"
    )
    parser.add_argument("--yes", action="store_true", help="let alice answer by the API even on a terminal")
    given = parser.parse_args(argv)
    screen = screen_for(sys.stdout.isatty())
    approver: Approver = (
        Prompt() if sys.stdin is not None and sys.stdin.isatty() and not given.yes else Script()
    )
    limit_s = float(os.environ.get("RELMAN_DEMO_TIMEOUT", "600"))
    stack = Stack(given.home, REPO, say=lambda text: screen.say(f"starting   {text}"), fresh=True)
    try:
        with stoppable():
            return _run(stack, screen, approver, time.monotonic() + limit_s)
    except Stopped as stopped:
        screen.say(f"stopped by {stopped}; no process is left")
        return stopped.exit_code
    except RelmanError as error:
        screen.heading("The demo failed")
        screen.say(str(error))
        return 1


def _run(stack: Stack, screen: Screen, approver: Approver, deadline: float) -> int:
    screen.heading("An Airflow of its own, on loopback")
    with stack:
        found = deploy_as_found(stack)
        start_traffic(stack)
        screen.say(
            f"Airflow    {stack.addresses.airflow}   (log in as {', '.join(USERS)}; the password is the name)"
        )
        if found:
            screen.say(f"as found   production runs {SERVICE} {found.version}, {RATE} requests per second")
        started = time.monotonic()
        people = {user: AirflowUser(stack.addresses.airflow, user, user) for user in USERS}
        admin = people["admin"]
        try:
            teller = Teller(stack, screen, people, approver, deadline)
            teller.wait_for_dag()
            for number, act in enumerate(ACTS, start=1):
                screen.heading(f"{number}. {SERVICE} {act.version}: {act.title}")
                release = teller.play(act)
                if cost := cost_of_the_bad_version(admin, release):
                    screen.say(cost)
                    screen.say("\n".join(seen_of_the_bad_version(admin, release)))
            tell(stack, admin, screen)
        finally:
            for person in people.values():
                person.close()
        screen.say(f"the three releases took {time.monotonic() - started:.0f} s; stopping")
    screen.say("stopped; no process is left")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""The demo's Airflow, kept running: ``python -m relman_plugins.testing.up``, or ``make up``.

Goes on where ``make demo`` left off. A part that ends by itself, also by SIGKILL, is started again; one that
does so over and over ends all of it with exit code 1. Ends with Ctrl-C or SIGTERM (exit code 0: that is how
it is meant to end); no process is left behind.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections import Counter
from pathlib import Path

from relman_plugins.errors import RelmanError
from relman_plugins.testing.demo import REPO
from relman_plugins.testing.demo_found import (
    RATE,
    RATE_OF_OTHERS,
    SERVICE,
    deploy_as_found,
    driver,
    start_traffic,
    start_users,
)
from relman_plugins.testing.demo_screen import Screen, screen_for
from relman_plugins.testing.stack import Stack
from relman_plugins.testing.stack_config import USERS
from relman_plugins.testing.stack_signals import Stopped, stoppable
from relman_plugins.testing.users import Users, live

LOOK_S = 5
"""Every so many seconds it is looked for what has become live."""

RESTARTS = 5
"""So often one part may end by itself while ``up`` runs; at the next time something is wrong for good."""


def main(argv: list[str] | None = None) -> int:
    """Run until stopped; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m relman_plugins.testing.up", description=__doc__)
    parser.add_argument(
        "--home", type=Path, default=REPO / ".relman" / "now", help="folder for everything written"
    )
    parser.add_argument("--port", type=int, default=8080, help="port of Airflow; another one if it is taken")
    given = parser.parse_args(argv)
    screen = screen_for(sys.stdout.isatty())
    stack = Stack(
        given.home, REPO, say=lambda text: screen.say(f"starting   {text}"), port=given.port, reparse_s=10
    )
    try:
        with stoppable():
            _run(stack, screen)
    except Stopped as stopped:
        screen.say(f"stopped by {stopped}; no process is left")
    except RelmanError as error:
        screen.say(str(error))
        return 1
    return 0


def _run(stack: Stack, screen: Screen) -> None:
    with stack:
        if found := deploy_as_found(stack):
            screen.say(f"as found   production runs {SERVICE} {found.version}")
        production = ("production", SERVICE)
        users = Users(
            places=lambda: live(stack.repo / "release_specs", driver(stack)),
            begin=lambda place: start_traffic(stack) if place == production else start_users(stack, *place),
            forget=stack.processes.running.remove,
        )
        users.look()
        screen.heading(f"Airflow is at {stack.addresses.airflow}")
        screen.table("Log in as", ("user", "password", "may"), [(u, u, role) for u, role in USERS.items()])
        screen.say(
            f"release    {stack.addresses.airflow}/dags/release__{SERVICE}: Trigger, version 1.1.0 to 1.3.0"
        )
        screen.say(
            f"train      {stack.addresses.airflow}/dags/train__{SERVICE}: what `relman train add` puts on it"
        )
        screen.say(f"approve    {stack.addresses.airflow}/required_actions, as alice and as bob: two must")
        screen.say(f"service    {stack.addresses.production(SERVICE)}, {RATE} requests per second")
        screen.say(f"slack      {stack.addresses.slack}/, also to press its buttons")
        screen.say(f"ledger     relman ledger verify --ledger-url sqlite:///{stack.folders.ledger}")
        screen.say(f"logs       {stack.folders.logs}")
        screen.say("stop       Ctrl-C")
        ended: Counter[str] = Counter()
        for second in itertools.count(1):
            users.tend()
            for environment, service in users.look() if second % LOOK_S == 0 else ():
                where = f"{stack.addresses.front}/{environment}/{service}/"
                screen.say(
                    f"users      {service} is live in {environment}: {RATE_OF_OTHERS} requests/s to {where}"
                )
            if all(ended[m.name] < RESTARTS for m in stack.processes.ended()):
                for name in stack.revive():
                    ended[name] += 1
                    screen.say(f"again      {name} had ended by itself ({stack.folders.logs / name}.log)")
            stack.processes.check()
            time.sleep(1)


if __name__ == "__main__":
    raise SystemExit(main())

"""An Airflow whose users are FAB's: how they come to be, sign in and lose their rights."""

from __future__ import annotations

import re
from collections.abc import Mapping

from httpx import Client, Response
from sqlalchemy import create_engine, text

from relman_plugins.clients.http import client, request
from relman_plugins.testing.demo_api import ANSWER_S, AirflowUser
from relman_plugins.testing.stack import Stack

SETTINGS = {
    "AIRFLOW__CORE__AUTH_MANAGER": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
}
USERS = {"admin": "Admin", "alice": "User", "bob": "User", "carol": "User", "olaf": "Op", "vera": "Viewer"}
"""User → role. FAB counts them as they come, and everybody's password is the user name."""

IDS = {user: str(n) for n, user in enumerate(USERS, 1)}


def sign_up(stack: Stack, users: Mapping[str, str]) -> None:
    """Make the users: the first one as an installation does, at a terminal, and the others as that one."""
    first, *others = users
    person = ("--firstname", first, "--lastname", "Example", "--email", f"{first}@shop.example")
    login = ("--username", first, "--password", first, "--role", users[first])
    stack.processes.wait(stack.airflow("users-create", "users", "create", *person, *login), 300)
    admin = AirflowUser(stack.addresses.airflow, first, first)
    for user in others:
        person = {"username": user, "password": user, "first_name": user, "last_name": "Example"}
        change(admin, "POST", "", **person, email=f"{user}@shop.example", roles=[{"name": users[user]}])
    admin.close()


def change(admin: AirflowUser, method: str, path: str, **body: object) -> None:
    """Change FAB's users through its API."""
    request(admin._http, method, f"/auth/fab/v1/users{path}", json=body)


def deactivate(stack: Stack, user: str) -> None:
    """Take a user's account away: FAB's API has no word for it, its page sets this column."""
    engine = create_engine(stack.env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
    with engine.begin() as conn:
        changed = conn.execute(text("UPDATE ab_user SET active = false WHERE username = :u"), {"u": user})
        assert changed.rowcount == 1
    engine.dispose()


def browser(stack: Stack) -> Client:
    """Return a browser's way of asking: it keeps cookies, and goes where it is sent when it is told to."""
    return client(stack.addresses.airflow, headers={"Accept": "text/html"}, timeout=ANSWER_S)


def fill_in(browser: Client, page: Response, user: str) -> Response:
    """Fill in FAB's form of a login and send it; return the page after it."""
    (token,) = re.findall(r'name="csrf_token"[^>]*value="([^"]+)"', page.text)
    form = {"csrf_token": token, "username": user, "password": user}
    return browser.post(page.url, data=form, follow_redirects=True)

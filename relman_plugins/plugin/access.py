"""Who is asking, and what Airflow's auth manager lets them do."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import GetUserDep
from airflow.configuration import conf
from airflow.models.dag import DagModel
from fastapi import Depends, HTTPException, Request

from relman_plugins.domain.identity import Actor
from relman_plugins.plugin.origin import is_ambient, is_json, is_same_origin

Method = Literal["GET", "POST", "PUT"]

ALL_ADMINS = (
    "[core] simple_auth_manager_all_admins is on: everybody is the same anonymous admin, so what is "
    "decided would name nobody; turn it off and sign in as a person"
)


NOBODY = (
    "[fab] auth_role_public lets you look without signing in, and what is done goes on record with a name; "
    "sign in as a person"
)


def all_admins() -> bool:
    """Say whether the server gives every caller the same anonymous admin."""
    return conf.getboolean("core", "simple_auth_manager_all_admins", fallback=False)


def public_host() -> str:
    """Return host and port of ``[api] base_url``, or an empty string."""
    return urlsplit(conf.get("api", "base_url", fallback="") or "").netloc


def public_root() -> str:
    """Return the path under which Airflow is served, without a trailing slash: that of ``[api] base_url``."""
    return urlsplit(conf.get("api", "base_url", fallback="") or "").path.rstrip("/")


def may(user: Any, method: Method, dag_id: str, entity: DagAccessEntity = DagAccessEntity.RUN) -> bool:
    """Say whether ``user`` may read or change ``entity`` of a DAG; the metadata database knows its team."""
    details = DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id))
    manager = get_auth_manager()
    return bool(manager.is_authorized_dag(method=method, access_entity=entity, details=details, user=user))


def may_read_answers(user: Any, dag_id: str) -> bool:
    """Say whether ``user`` may read what a DAG asks people, and who answered what: its Required Actions."""
    return may(user, "GET", dag_id, DagAccessEntity.HITL_DETAIL)


def require_answers(user: Any, dag_id: str) -> None:
    """Answer 403 unless ``user`` may read who answered what: for a whole that can't be told without."""
    if not may_read_answers(user, dag_id):
        raise HTTPException(
            403,
            f"{user.get_name()} may not read Required Actions of {dag_id} in Airflow, and this tells who "
            "answered them and what they said; ask for that permission",
        )


def require(
    user: Any,
    dag_id: str,
    entity: DagAccessEntity = DagAccessEntity.RUN,
    method: Literal["POST", "PUT"] = "PUT",
) -> None:
    """Answer 403 unless ``user`` may change ``entity`` of a DAG, or by POST make one: start a release."""
    if not may(user, method, dag_id, entity):
        what = "start" if method == "POST" else "change"
        raise HTTPException(403, f"{user.get_name()} may not {what} releases of {dag_id} in Airflow")


def user_id(user: Any) -> str:
    """Return the auth manager's id of a user as text: some managers count users by integer."""
    return str(user.get_id())


def display_name(user: Any) -> str:
    """Return the user's name, or an empty string when the auth manager knows no more than the id."""
    name = str(user.get_name() or "")
    return "" if name == user_id(user) else name


def actor(user: Any, via: str) -> Actor:
    """Return the person for the ledger."""
    return Actor(kind="person", id=user_id(user), name=display_name(user), via=via)


def foreign(request: Request) -> str | None:
    """Return why the request is refused as made from elsewhere, or None."""
    if is_ambient(request, all_admins=all_admins()) and not is_same_origin(
        request, public_host=public_host()
    ):
        return (
            "cross-origin request refused: with a signed-in browser session only Airflow's own pages may "
            "change something; scripts send an Authorization: Bearer header instead"
        )
    return None


def _guard(request: Request, user: GetUserDep) -> Any:
    if getattr(user, "is_anonymous", False):
        raise HTTPException(403, NOBODY)
    if reason := foreign(request):
        raise HTTPException(403, reason)
    if not is_json(request):
        raise HTTPException(415, "send a JSON body with Content-Type: application/json")
    return user


Reader = GetUserDep
"""A signed-in user."""

Writer = Annotated[Any, Depends(_guard)]
"""A user who has signed in, on a route that changes something: same origin or Bearer, and a JSON body."""


def via_of(request: Request) -> str:
    """Return the way in: ``page``, or with a token of one's own ``cli`` where it says so, or ``api``.

    A browser's session may change something only from a page of this server, so what a browser sends with it
    comes from one. A program that sends a session's token as its cookie can't be told from it: this says the
    way, and proves nothing. Whoever has a token may say what program they use, and no more.
    """
    if is_ambient(request, all_admins=False) and request.cookies:
        return "page"
    return "cli" if request.headers.get("x-relman-via") == "cli" else "api"

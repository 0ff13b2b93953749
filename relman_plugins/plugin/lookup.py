"""What Airflow says of a person at this moment, whatever a token says, or without one: a button in Slack.

Airflow 3.3.2 has no question for that in its interface of auth managers. Two of them keep their users and can
be asked: the simple one has them in its configuration, FAB in its tables, from which it makes a user of
nothing but the id in a token (``deserialize_user``), and remembers them for half a minute. Others (Keycloak,
AWS) make a user of what the token itself says.
"""

from __future__ import annotations

import inspect
import logging
from typing import Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

from relman_plugins.errors import Refused
from relman_plugins.plugin import access

UNSAID = "Airflow can't say at this moment what you may do; try again in a moment"

_log = logging.getLogger(__name__)


class NoSuchUser(Refused):
    """Airflow has no such active user; anything else that is refused here may be otherwise in a moment."""


def can_look_up() -> bool:
    """Say whether the auth manager knows people who are not there."""
    manager = get_auth_manager()
    return isinstance(manager, SimpleAuthManager) or _is_fab(manager)


def withheld(user_id: str, dag_id: str) -> str | None:
    """Return why Airflow would not let a user answer at a gate of this DAG; None when nothing is against it.

    Where the auth manager can't be asked, nothing is: the People document decides alone, as the owner of the
    environment allowed. An auth manager that breaks says no.
    """
    if not can_look_up():
        return None
    try:
        user = user_of(user_id)
        allowed = all(access.may(user, m, dag_id, DagAccessEntity.HITL_DETAIL) for m in ("GET", "PUT"))
    except Refused as error:
        return str(error)
    except Exception:
        _log.exception("the auth manager can't say what %s may do", user_id)
        return UNSAID
    return None if allowed else f"{user_id} may not change releases of {dag_id} in Airflow"


def name_of(user_id: str) -> str | None:
    """Return a user's name as ``access.display_name`` does of who is signed in; None where it is not known.

    By it Airflow tells who started a run, where the auth manager's ids are not names.
    """
    if not can_look_up():
        return None
    try:
        user = _user(user_id)
    except Exception:
        _log.exception("the auth manager can't say who %s is", user_id)
        return None
    return None if user is None else access.display_name(user)


def user_of(user_id: str) -> Any:
    """Return a user as Airflow knows that person at this moment.

    Raises:
        NoSuchUser: There is no such active user.
        Refused: Nobody can say. Both messages are for people.
    """
    if not can_look_up():
        raise Refused(
            "Airflow's users can't be asked from here what you may do; use the command line, which signs in"
        )
    try:
        user = _user(user_id)
    except Exception:
        _log.exception("the auth manager can't say who %s is", user_id)
        raise Refused(UNSAID) from None
    if user is None:
        raise NoSuchUser(f"Airflow has no active user {user_id!r} any more")
    return user


def _user(user_id: str) -> Any:
    manager = get_auth_manager()
    if isinstance(manager, SimpleAuthManager):
        return next((u for u in manager.get_users() if u.username == user_id), None)
    # FAB counts its users. Only one way of writing a number, so that no user has two ids.
    if not (user_id.isascii() and user_id.isdecimal() and user_id == str(int(user_id))):
        return None
    # Past its memory ([fab] cache_ttl): in it somebody who has just been deactivated still has all rights.
    fresh = inspect.unwrap(type(manager).deserialize_user)
    try:
        user = fresh(manager, {"sub": user_id})
    except ValueError:
        return None  # So FAB says that it has no such user.
    return user if getattr(user, "is_active", False) else None


def _is_fab(manager: Any) -> bool:
    # By name: the provider need not be installed, and is a whole web framework.
    return any(c.__name__ == "FabAuthManager" for c in type(manager).__mro__)

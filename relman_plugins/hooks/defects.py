"""Airflow connection → client of a system that keeps defects."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from relman_plugins.domain.defect import DefectSource
from relman_plugins.errors import ClientUnavailable, unread
from relman_plugins.hooks.door import door_of

if TYPE_CHECKING:
    from relman_plugins.clients.defects.base import Defects


def defects(source: DefectSource) -> Defects:
    """Return a client of the system behind a connection; nothing is asked of the system yet.

    Raises:
        ClientError: the connection can't be read, or its host is no address.
    """
    from airflow.sdk import Connection

    try:
        connection = Connection.get(source.connection)
    except Exception as error:
        raise ClientUnavailable(
            f"cannot read connection {source.connection!r} of the defects: {unread(error)}; create it in "
            "Airflow (type HTTP), or name another in assess"
        ) from error
    return defects_of(source, connection)


def defects_of(source: DefectSource, connection: Any) -> Defects:
    """Return a client of the system that a connection describes.

    Address and login are those of ``hooks.door``.

    Raises:
        ClientRejected: there is no host, or it is no address.
    """
    from relman_plugins.clients.defects.github import GitHub
    from relman_plugins.clients.defects.gitlab import GitLab
    from relman_plugins.clients.defects.jira import Jira

    kinds: dict[str, Callable[..., Defects]] = {"jira": Jira, "github": GitHub, "gitlab": GitLab}
    door = door_of(connection)
    return kinds[source.tracker](door.address, source.project, source.kinds, door.headers, door.auth)

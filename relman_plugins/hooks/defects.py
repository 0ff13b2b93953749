"""Airflow connection → client of a system that keeps defects."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from relman_plugins.domain.defect import DefectSource
from relman_plugins.errors import ClientUnavailable, unread

if TYPE_CHECKING:
    from relman_plugins.clients.defects.base import Defects

_USUAL = {"jira": "", "github": "https://api.github.com", "gitlab": "https://gitlab.com"}


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

    The host may be a whole address; else schema (https unless given), host and port make one. Without a host
    it is github.com's, or gitlab.com's. Login and password are used when set; ``token`` of the extra field
    becomes a bearer token instead.

    Raises:
        ClientRejected: the host is no address.
    """
    from relman_plugins.clients.defects.github import GitHub
    from relman_plugins.clients.defects.gitlab import GitLab
    from relman_plugins.clients.defects.jira import Jira

    kinds: dict[str, Callable[..., Defects]] = {"jira": Jira, "github": GitHub, "gitlab": GitLab}
    host = (connection.host or "").rstrip("/") or _USUAL[source.tracker]
    base = host if "://" in host else f"{connection.schema or 'https'}://{host}"
    base = f"{base}:{connection.port}" if connection.port else base
    token = connection.extra_dejson.get("token")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    auth = (connection.login, connection.password or "") if connection.login and not token else None
    return kinds[source.tracker](base, source.project, source.kinds, headers, auth)

"""An auth manager whose users see some DAGs only, as those of teams do."""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

BLIND = "uma"
"""Who may see and change every DAG but those of releases of ``checkout``."""


DEAF = "carol"
"""Who may read runs, and not what people were asked."""


STARTER = "alice"
"""Who may start runs, and not change them."""


class TeamAuthManager(SimpleAuthManager):
    """As simple as its parent, but for three users."""

    def is_authorized_dag(self, *, method: Any, user: Any, details: Any = None, **kwargs: Any) -> bool:
        """Hide one DAG from one user, Required Actions from another, and keep a third from changing runs."""
        if user.get_id() == STARTER and method == "PUT":
            return False
        if user.get_id() == DEAF and kwargs.get("access_entity") is DagAccessEntity.HITL_DETAIL:
            return False
        if user.get_id() == BLIND and details is not None and details.id == "release__checkout":
            return False
        return super().is_authorized_dag(method=method, user=user, details=details, **kwargs)

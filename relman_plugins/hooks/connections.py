"""Connection types that relman adds to Airflow's form."""

from __future__ import annotations

from airflow.sdk import BaseHook


class SandboxConnectionHook(BaseHook):
    """The address of a sandbox daemon's control port, for the connection form and its Test button."""

    conn_name_attr = "sandbox_conn_id"
    default_conn_name = "relman_sandbox"
    conn_type = "relman_sandbox"
    hook_name = "relman sandbox"

    def __init__(self, sandbox_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.sandbox_conn_id = sandbox_conn_id

    def test_connection(self) -> tuple[bool, str]:
        """Ask the daemon what it runs; say yes or no and why."""
        from relman_plugins.errors import PlatformError
        from relman_plugins.platforms.registry import platform

        connection = self.get_connection(self.sandbox_conn_id)
        try:
            platform("sandbox", host=connection.host, port=connection.port).observe("any", "any")
        except PlatformError as error:
            return False, str(error)
        return True, "The sandbox daemon answers."

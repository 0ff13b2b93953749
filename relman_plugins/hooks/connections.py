"""Connection types that relman adds to Airflow's form: what their Test button does.

What the form looks like is data, in ``provider_info``: Airflow draws it without importing this.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from airflow.sdk import BaseHook


class TestedHook(BaseHook, ABC):
    """A hook that is there for the connection form: real work goes through the other modules of this room."""

    def __init__(self, **kwargs: Any) -> None:
        self.conn_id = str(kwargs.pop(self.conn_name_attr, self.default_conn_name))
        super().__init__(**kwargs)

    conn_name_attr: str
    default_conn_name: str

    def test_connection(self) -> tuple[bool, str]:
        """Ask the other side; say yes or no and why. Never raises."""
        try:
            return True, self._asked(self.get_connection(self.conn_id))
        except Exception as error:
            return False, str(error) or type(error).__name__

    @abstractmethod
    def _asked(self, connection: Any) -> str:
        """Ask the other side; return what it is in a sentence, or raise."""


class SandboxConnectionHook(TestedHook):
    """The address of a sandbox daemon's control port."""

    conn_name_attr = "sandbox_conn_id"
    default_conn_name = "relman_sandbox"
    conn_type = "relman_sandbox"
    hook_name = "relman sandbox"

    def _asked(self, connection: Any) -> str:
        from relman_plugins.platforms.registry import platform

        sandbox = platform(
            "sandbox", host=connection.host, port=connection.port, password=connection.password
        )
        sandbox.observe("any", "any")
        return "The sandbox daemon answers."


class SigningConnectionHook(TestedHook):
    """The private key that the record is signed with."""

    conn_name_attr = "signing_conn_id"
    default_conn_name = "relman_signing"
    conn_type = "relman_signing"
    hook_name = "relman signing key"

    def _asked(self, connection: Any) -> str:
        from relman_plugins.hooks.signing import key_of
        from relman_plugins.ledger.keys import key_id

        return f"The key is there; its id is {key_id(key_of(connection).public_key())}."


class _TicketsConnectionHook(TestedHook):
    """A system of change tickets; ``system`` is its name in specs."""

    system: str

    def _asked(self, connection: Any) -> str:
        from relman_plugins.hooks.tickets import tickets_of

        with tickets_of(self.system, connection) as system:
            return system.check()


class ServiceNowConnectionHook(_TicketsConnectionHook):
    """A ServiceNow instance whose change requests releases are bound to."""

    conn_name_attr = "servicenow_conn_id"
    default_conn_name = "relman_servicenow"
    conn_type = "relman_servicenow"
    hook_name = "relman ServiceNow"
    system = "servicenow"


class JiraConnectionHook(_TicketsConnectionHook):
    """A Jira site whose changes releases are bound to."""

    conn_name_attr = "jira_conn_id"
    default_conn_name = "relman_jira"
    conn_type = "relman_jira"
    hook_name = "relman Jira"
    system = "jira"


class LedgerConnectionHook(TestedHook):
    """The PostgreSQL database of the ledger."""

    conn_name_attr = "ledger_conn_id"
    default_conn_name = "relman_ledger"
    conn_type = "relman_ledger"
    hook_name = "relman ledger (PostgreSQL)"

    def _asked(self, connection: Any) -> str:
        from relman_plugins.hooks.ledger import sqlalchemy_url
        from relman_plugins.ledger.api import open_ledger

        open_ledger(sqlalchemy_url(connection), migrate=False).check()
        return "The ledger answers, and its schema is the one that this relman needs."

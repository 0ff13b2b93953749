"""The Airflow connection to Slack → its signing secret. Secrets stay in connections."""

from __future__ import annotations

import logging

from relman_plugins.plan.routing import CONNECTIONS, SLACK

log = logging.getLogger(__name__)

CONNECTION = CONNECTIONS[SLACK]
"""The one connection whose workspace may vote. Routes may name others, of which any pipeline's author may
choose; whoever knew the signing secret of such an app could vote for everybody."""

FIELD = "signing_secret"
"""Where the secret is: this key of the connection's extra field, which Airflow masks for its name."""


def signing_secret() -> str:
    """Return the secret with which Slack signs what it sends here; empty when there is none.

    Asks Airflow's secrets backends. Never raises: a connection that can't be read has no secret.
    """
    from airflow.sdk import Connection

    try:
        found = Connection.get(CONNECTION).extra_dejson.get(FIELD)
    except Exception as error:
        # Without a secret nobody can vote from Slack. Why there is none says the doctor, to those who ask it;
        # what a backend says may quote the connection.
        if type(error).__name__ != "AirflowNotFoundException":
            log.warning("the connection %s can't be read: %s", CONNECTION, type(error).__name__)
        return ""
    return found.strip() if isinstance(found, str) else ""

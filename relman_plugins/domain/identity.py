"""Ids, versions and people. Patterns are compiled when used: every DAG file imports this, few ask it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import quote

from relman_plugins.domain.base import Frozen
from relman_plugins.domain.ticket_number import is_number

NAME_PATTERN = r"^[a-z][a-z0-9-]{0,62}$"
"""Names of pipelines, environments, stages, suites: a DNS label, so that every platform accepts them."""

VERSION_PATTERN = r"^[0-9A-Za-z][0-9A-Za-z._+-]{0,63}$"
"""Versions: what OCI tags, file names and URLs all accept, plus the ``+`` of semantic versions."""

TICKET_PATTERN = r"^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[^\s<>\"'`|\\^{}()\[\]]*)?$"
"""Addresses of tickets: a link that every reader can follow, without a user or password in it."""

TICKET_LIMIT = 500


def is_version(text: str) -> bool:
    """Say whether ``text`` may be the version of a release."""
    return re.fullmatch(VERSION_PATTERN, text) is not None and ".." not in text


def is_ticket(text: str) -> bool:
    """Say whether ``text`` may be a release's ticket: its address, or its number."""
    return is_ticket_link(text) or is_number(text)


def is_ticket_link(text: str) -> bool:
    """Say whether ``text`` may be the address of a release's ticket."""
    return len(text) <= TICKET_LIMIT and re.fullmatch(TICKET_PATTERN, text) is not None


MAINTENANCE_DAG_ID = "relman_maintenance"
"""The DAG that keeps house, once a minute."""

ROLLBACK_DAG_ID = "relman_rollback"
"""The DAG that rolls back releases that have ended."""


def rollback_run_id(release_id: str, environment: str, n: int) -> str:
    """Return the id of the run that carries out the ``n``-th request of a release and environment."""
    return f"rollback__{release_id}__{environment}__{n}"


def dag_id_of(pipeline: str) -> str:
    """Return the DAG id of a pipeline: ``release__<name>``."""
    return f"release__{pipeline}"


def gate_path(release_id: str, gate: str) -> str:
    """Return where at Airflow's address the page of a gate is, without the first slash."""
    return f"relman/gates/{quote(release_id, safe='')}/{quote(gate, safe='')}"


PROMOTIONS = "relman_promotions"
"""Name of the Airflow asset alias through which releases tell that an environment was promoted."""


def promoted_uri(environment: str, service: str) -> str:
    """Return the URI of the Airflow asset that is updated when a service is promoted in an environment."""
    return f"relman://{environment}/{service}"


TRAIN_RUN = "train__"
"""What the ids of runs begin with that a train started."""


def train_dag_id_of(pipeline: str) -> str:
    """Return the id of the DAG that lets the train of a pipeline depart: ``train__<name>``."""
    return f"train__{pipeline}"


def train_run_id(departs: datetime) -> str:
    """Return the id of the release's run of one departure (aware): the same however often it is asked for."""
    return f"{TRAIN_RUN}{departs.astimezone(UTC).isoformat()}"


def departure_of(run_id: str) -> datetime | None:
    """Return the departure, in UTC, whose run has this id; None for a run of anything else."""
    if not run_id.startswith(TRAIN_RUN):
        return None
    try:
        departs = datetime.fromisoformat(run_id.removeprefix(TRAIN_RUN)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return departs if train_run_id(departs) == run_id else None


def release_id_of(pipeline: str, version: str, n: int) -> str:
    """Return the id of the ``n``-th release (from 1) of a version: ``<pipeline>-<version>-<n>``."""
    return f"{pipeline}-{version}-{n}"


class Actor(Frozen):
    """Who did something: a person, relman itself, or Airflow."""

    kind: Literal["person", "system"] = "system"
    id: str = "relman"
    name: str = ""
    via: str = ""
    """The way in: ``airflow``, ``api``, ``cli``, ``page``, ``slack``, ``schedule``."""
    slack: str = ""
    """Slack member id, for mentions, where it is known."""


class Person(Frozen):
    """Somebody who may answer at a gate."""

    id: str
    """Key in the People document."""
    airflow: str
    """Airflow user id: what the auth manager calls this person."""
    name: str = ""
    slack: str = ""
    """Slack member id, for mentions."""

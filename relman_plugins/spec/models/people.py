"""The people document: who may answer at a gate."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from relman_plugins.domain.identity import Person
from relman_plugins.spec.models.base import ApiVersion, Line, Name, SpecModel
from relman_plugins.spec.models.notify import EMAIL_PATTERN


class PersonEntry(SpecModel):
    """One person."""

    airflow: Line
    """Airflow user id: what the auth manager calls this person."""
    username: Line | None = None
    """Name by which Airflow tells that this person started something, where the id is a number (FAB)."""
    slack: Annotated[str, StringConstraints(pattern=r"^([UW][A-Z0-9]{2,20})?$")] = ""
    """Slack member id, for mentions."""
    email: Annotated[str, StringConstraints(pattern=EMAIL_PATTERN)] | None = None
    """Email address, for routes that name a group."""
    name: Annotated[str, StringConstraints(max_length=200)] = ""
    """Name, for people."""


class People(SpecModel):
    """Who may answer at a gate."""

    api_version: ApiVersion = Field(alias="apiVersion")
    """Version of this format."""
    kind: Literal["People"]
    """Kind of document."""
    people: dict[Name, PersonEntry]
    """People by id."""
    groups: dict[Name, tuple[Name, ...]] = Field(default_factory=dict)
    """Groups of people, named by gates."""

    def members(self, group: str) -> tuple[Person, ...]:
        """Return the people of ``group`` in the order written; raise KeyError if there is no such group."""
        return tuple(self._person(id_) for id_ in self.groups[group])

    def named(self, ids: Iterable[str]) -> tuple[Person, ...]:
        """Return people by their ids, in that order; raise KeyError if there is no such person."""
        return tuple(self._person(id_) for id_ in ids)

    def everybody(self) -> tuple[Person, ...]:
        """Return all people in the order written, whatever group they are in."""
        return tuple(self._person(id_) for id_ in self.people)

    def _person(self, id_: str) -> Person:
        entry = self.people[id_]
        return Person(id=id_, airflow=entry.airflow, name=entry.name, slack=entry.slack)

    def starter(self, user: str) -> Person | None:
        """Return whom Airflow means where it tells by name who started a run; None when nobody says."""
        found = (id_ for id_, entry in self.people.items() if (entry.username or entry.airflow) == user)
        id_ = next(found, None)
        return None if id_ is None else self._person(id_)

    def usernames(self, people: Iterable[Person]) -> dict[str, str]:
        """Return the names by which Airflow tells who started a run, by id, of those who have another id."""
        found = {p.id: self.people[p.id].username for p in people}
        return {id_: name for id_, name in found.items() if name}

    def emails(self, group: str) -> tuple[str, ...]:
        """Return the addresses of ``group``, those who have one; raise KeyError if there is no such group."""
        found = (self.people[id_].email for id_ in self.groups[group])
        return tuple(dict.fromkeys(address for address in found if address))

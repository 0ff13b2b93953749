"""A statement, taken apart: what the checks look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from relman_plugins.domain.base import digest_of
from relman_plugins.domain.chain import ChainedEvent, Head
from relman_plugins.domain.event import Event, Kind
from relman_plugins.evidence.statement import PARTS, PREDICATE_TYPE, STATEMENT_TYPE
from relman_plugins.ledger.api import ReleaseRecord, moment_of

_Model = TypeVar("_Model", bound=BaseModel)


class Evidence(NamedTuple):
    """A statement whose parts have the form that they need; whether they fit together is for the checks."""

    statement: dict[str, Any]
    release: dict[str, Any]
    """The release's row."""
    links: list[ChainedEvent]
    """The events as they are chained, in the ledger's order."""
    votes: list[dict[str, Any]]
    checkpoints: list[dict[str, Any]]
    head: Head
    record: ReleaseRecord
    events: list[Event]

    @property
    def opened(self) -> Event:
        """The event with which the release begins."""
        return self.events[0]

    @property
    def signed(self) -> list[dict[str, Any]]:
        """The checkpoints that stand at an event of the release: these cover it up to there."""
        ids = {link.id for link in self.links}
        return [row for row in self.checkpoints if isinstance(row.get("id"), int) and row["id"] in ids]

    def of(self, *kinds: Kind) -> Iterator[Event]:
        """Yield the events of some kinds, in order."""
        return (e for e in self.events if e.kind in kinds)


def evidence_of(statement: Any) -> Evidence:
    """Take a statement apart; ValueError, with the place, for what is not as relman writes it."""
    _fields(statement, "the statement", ("_type", "subject", "predicateType", "predicate"))
    for name, wanted in (("_type", STATEMENT_TYPE), ("predicateType", PREDICATE_TYPE)):
        if statement[name] != wanted:
            raise ValueError(f"{name} is {str(statement[name])[:80]!r}, expected {wanted!r}")
    predicate = _fields(statement["predicate"], "predicate", PARTS)
    _fields(predicate["exported"], "predicate.exported", ("at", "for", "with"))
    _moment(predicate["exported"]["at"], "predicate.exported.at")
    release = predicate["release"]
    if not isinstance(release, dict) or not isinstance(release.get("plan"), dict):
        raise ValueError("predicate.release: expected an object with the plan")
    record = _record(release)
    links = _each(predicate["events"], "predicate.events", _link)
    for before, link in zip([None, *links], links, strict=False):
        if link.release_id != record.release_id:
            raise ValueError(f"event {link.id} is of another release, {link.release_id[:80]!r}")
        if before is not None and link.id <= before.id:
            raise ValueError(f"event {link.id} stands behind event {before.id}: expected the ledger's order")
    events = [_event(link) for link in links]
    if not events or events[0].kind is not Kind.RELEASE_OPENED:
        raise ValueError(f"predicate.events: expected {Kind.RELEASE_OPENED} first")
    ledger = _fields(predicate["ledger"], "predicate.ledger", ("head", "checkpoints"))
    return Evidence(
        statement=statement,
        release=release,
        links=links,
        votes=_each(predicate["votes"], "predicate.votes", _row),
        checkpoints=_each(ledger["checkpoints"], "predicate.ledger.checkpoints", _row),
        head=_read(Head, ledger["head"], "predicate.ledger.head", strict=True),
        record=record,
        events=events,
    )


def _fields(value: Any, where: str, names: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{where}: expected an object")
    if set(value) != set(names):
        odd = sorted(set(value) ^ set(names))
        raise ValueError(f"{where}: expected {', '.join(names)} and nothing else; see {', '.join(odd)[:200]}")
    return value


_One = TypeVar("_One")


def _each(value: Any, where: str, read: Callable[[Any, str], _One]) -> list[_One]:
    if not isinstance(value, list):
        raise ValueError(f"{where}: expected a list")
    return [read(one, f"{where}[{n}]") for n, one in enumerate(value)]


def _row(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{where}: expected an object")
    return value


def _link(value: Any, where: str) -> ChainedEvent:
    # A number that is written as text would be read as the number, and is not what was hashed.
    return _read(ChainedEvent, value, where, strict=True)


def _record(row: dict[str, Any]) -> ReleaseRecord:
    known = {name: row[name] for name in ReleaseRecord.model_fields if name in row}
    known |= {
        "opened_at": _moment(row.get("opened_at"), "predicate.release.opened_at"),
        "stored_hash": digest_of(row["plan"]),
    }
    return _read(ReleaseRecord, known, "predicate.release")


def _event(link: ChainedEvent) -> Event:
    known, where = link.model_dump(include=set(Event.model_fields)), f"event {link.id}"
    _moment(link.recorded_at, f"{where}.recorded_at")
    return _read(Event, known | {"at": _moment(link.at, f"{where}.at")}, where)


def _moment(text: Any, where: str) -> datetime:
    try:
        return moment_of(text)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _read(model: type[_Model], value: Any, where: str, *, strict: bool = False) -> _Model:
    try:
        return model.model_validate(value, strict=strict)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part)[:40] for part in first["loc"])
        said = f"{place}: {first['msg']}" if place else first["msg"]
        raise ValueError(f"{where} can't be read by this version of relman: {said}") from None

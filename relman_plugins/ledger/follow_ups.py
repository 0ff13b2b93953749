"""Follow-ups of a closed release: who is asked, and the one door through which they are recorded."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from relman_plugins.domain import follow_up
from relman_plugins.domain.base import Frozen
from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.domain.identity import Actor, Person
from relman_plugins.ledger.database import Database
from relman_plugins.ledger.record import clean_json, insert_event, release_name, select_events

Code = Literal["accepted", "not_asked", "answered", "over", "not_entitled", "unfit"]


class Given(Frozen):
    """What became of an answer."""

    code: Code
    """Why, for programs."""
    reason: str
    """Why, for the person who answered: one sentence with what to do next."""

    @property
    def accepted(self) -> bool:
        """Say whether it was recorded."""
        return self.code == "accepted"


def give(
    db: Database,
    release_id: str,
    *,
    airflow_user: str,
    name: str,
    option: str,
    form: Mapping[str, Any],
    via: str,
) -> Given:
    """Check and record one person's answer, in one transaction: see ``Ledger.give_follow_ups``."""
    with db.write(release_name(release_id)) as conn:
        kinds = (Kind.FOLLOW_UP_ASKED, Kind.FOLLOW_UP)
        events = select_events(conn, release_id, kinds=kinds)
        asked = next((e for e in events if e.kind is Kind.FOLLOW_UP_ASKED), None)
        if asked is None:
            return Given(code="not_asked", reason=f"nobody is asked for follow-ups of {release_id}")
        people = [Person.model_validate(p) for p in asked.data["people"]]
        person = next((p for p in people if p.airflow == airflow_user), None)
        if person is None:
            who = ", ".join(p.name or p.airflow for p in people)
            reason = f"{airflow_user} is not asked for follow-ups of {release_id}; ask one of: {who}"
            return Given(code="not_entitled", reason=reason)
        if answer := next((e for e in events if e.kind is Kind.FOLLOW_UP), None):
            by = answer.actor.name or answer.actor.id
            return Given(code="answered", reason=f"{by} has answered for {release_id}; that stands")
        now = db.now()
        until = datetime.fromisoformat(asked.data["until"])
        if now >= until:
            reason = f"the time to name follow-ups of {release_id} was over at {until:%Y-%m-%d %H:%M} UTC"
            return Given(code="over", reason=reason)
        try:
            items = follow_up.checked(option, clean_json(dict(form)))
        except ValueError as error:
            return Given(code="unfit", reason=str(error))
        event = NewEvent(
            kind=Kind.FOLLOW_UP,
            key=f"ledger:follow_up:{release_id}",
            step=asked.step,
            actor=Actor(kind="person", id=person.id, name=name or person.name, via=via),
            data={"items": [i.model_dump(mode="json") for i in items]},
        )
        insert_event(conn, release_id, event, now)
        told = f"{len(items)} recorded" if items else "no follow-ups, recorded"
        return Given(code="accepted", reason=told)

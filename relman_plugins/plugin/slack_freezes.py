"""The line, stopped and started again from Slack: with the rights that its routes ask for, and no others.

Slack vouches for the member who typed. The stored plans say which person that is, and Airflow what he or she
may do; where it can't be asked about people without their token, nobody stops the line from here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from fastapi import HTTPException

from relman_plugins.domain.identity import Person
from relman_plugins.errors import Refused
from relman_plugins.ledger.api import Ledger
from relman_plugins.notifications.blocks import Message, message, section
from relman_plugins.notifications.text import plain
from relman_plugins.plan.model import Shape
from relman_plugins.plugin import access, freezes, lookup
from relman_plugins.plugin.models import FreezeBody, ThawBody
from relman_plugins.plugin.slack_command import USAGE, Command, Misspelt, Wish, wish_of
from relman_plugins.plugin.slack_votes import REMEMBERED_S

MOST_LISTED = 40
"""Freezes that one answer lists; the rest is counted."""


def obey(store: Ledger, command: Command) -> Message | None:
    """Do what somebody typed, and return what that person alone is told; None: nothing is said.

    Idempotent: a request that was here before does nothing and says nothing.

    Raises:
        LedgerError: Nothing was done.
    """
    if not store.is_first(f"slack:{command.seal}", REMEMBERED_S):
        return None
    try:
        return _told(_done(store, command, wish_of(command.text, store.now())))
    except Misspelt as error:
        return _told([f"Nothing was done: {error}. What can be typed:", *USAGE])
    except Refused as error:
        return _told([f"Nothing was done: {error}"])
    except HTTPException as error:
        return _told([f"Nothing was done: {error.detail}"])


def _done(store: Ledger, command: Command, wish: Wish) -> list[str]:
    shapes = [record.plan.shape for record in store.newest()]
    asked = wish.freeze or wish.thaw
    concerned = [s for s in shapes if asked is None or _is_about(asked, s)]
    person, user = _who(concerned, command.user_id)
    actor = access.actor(user, "slack").model_copy(update={"slack": person.slack})
    if wish.freeze is not None:
        return [freezes.stop(store, user, wish.freeze, actor)["message"]]
    if wish.thaw is not None:
        _may_be_thawed_here(shapes, wish.thaw)
        return [freezes.start(store, user, wish.thaw, actor)["message"]]
    return [str(freeze) for freeze in freezes.visible(store, user)] or ["nothing is frozen"]


def _is_about(asked: FreezeBody | ThawBody, shape: Shape) -> bool:
    return asked.pipeline in ("", shape.pipeline) and (
        not asked.environment or asked.environment in {e.name for e in shape.environments}
    )


def _who(shapes: Iterable[Shape], slack: str) -> tuple[Person, Any]:
    """Return the one person whom the plans know by a Slack id, and Airflow's user.

    Each plan is its pipeline's word, and one pipeline must not say who acts for the others: where they
    disagree about a user's Slack id, it names nobody. Users that Airflow has no more are nobody either.

    Raises:
        Refused: There is none, or there are several, or Airflow can't be asked.
    """
    if access.all_admins():
        raise Refused(access.ALL_ADMINS)
    people = [p for shape in shapes for p in _called_on(shape)]
    found = {p.airflow: p for p in people if p.slack == slack}
    if not found:
        raise Refused(
            f"nobody whom the newest releases of these pipelines call on there has your Slack id {slack}; "
            "see that the names are right, have it put into people.yaml, or use the command line: "
            "relman freeze, relman thaw"
        )
    known: dict[str, Any] = {}
    gone: list[Refused] = []
    for airflow in found:
        try:
            known[airflow] = lookup.user_of(airflow)
        except lookup.NoSuchUser as error:
            gone.append(error)
    if not known:
        raise gone[0]
    if len(known) > 1:
        raise Refused(
            f"several people have your Slack id {slack}, so it names nobody; have it corrected in people.yaml"
        )
    ((airflow, user),) = known.items()
    if any(p.slack not in ("", slack) for p in people if p.airflow == airflow):
        raise Refused(
            f"your Slack id {slack} stands for Airflow's user {airflow}, who has another one as well, so it "
            "names nobody; have it corrected in people.yaml, or use the command line: relman freeze, "
            "relman thaw"
        )
    return found[airflow], user


def _called_on(shape: Shape) -> Iterator[Person]:
    """Yield everybody whom a plan calls on: at its gates, for exceptions, in an emergency and after it."""
    for step in shape.steps:
        yield from map(Person.model_validate, step.args.get("people") or ())
    for environment in shape.environments:
        yield from map(Person.model_validate, (environment.exceptions or {}).get("people") or ())
        if environment.break_glass is not None:
            yield from (*environment.break_glass.people, *environment.break_glass.reviewers)


def _may_be_thawed_here(shapes: Sequence[Shape], body: ThawBody) -> None:
    """Raise Refused where the owner of an environment that would be thawed wants people to have signed in.

    The owner's word is in each plan that has the environment; the pipeline's own may be an older one.
    """
    places = {e.name for s in shapes if body.pipeline in ("", s.pipeline) for e in s.environments}
    there = {body.environment} if body.environment else places
    strict = sorted(
        there & {e.name for shape in shapes for e in shape.environments if e.slack_votes == "link"}
    )
    if strict:
        raise Refused(
            f"{', '.join(strict)} has slack_votes: link, so nobody thaws it without signing in; use the "
            "command line: relman thaw"
        )


def _told(lines: list[str]) -> Message:
    shown, more = [plain(line, 1000) for line in lines[:MOST_LISTED]], len(lines) - MOST_LISTED
    return message("\n".join(shown), [section(*shown, more=more)])

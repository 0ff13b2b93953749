"""Approvals: the rules of a gate, who counts for which of them, what is missing and who can still give it.

All rules of a gate must be met, and one person counts for one of them only. Who counts for which is not fixed
when somebody votes: each time, as many as possible are placed, so that no approval is wasted on a rule that
another person could have met. People are told apart by their Airflow users, since that is who signs in.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from relman_plugins.domain.base import Frozen
from relman_plugins.domain.condition import Condition
from relman_plugins.domain.field import Field
from relman_plugins.domain.identity import Actor, Person


class Rule(Frozen):
    """One rule of a gate: how many of whom must approve, and what they must say."""

    id: str
    """Unique in its gate."""
    group: str = ""
    """The group of those who may approve; empty where they are named one by one."""
    quorum: int = 1
    """How many different people must approve."""
    people: tuple[str, ...]
    """Ids of those who may approve, in the order written."""
    comment: Literal["optional", "required"] = "optional"
    fields: tuple[Field, ...] = ()
    """What an approval must say besides yes."""
    self_approval: Literal["refused", "allowed"] = "refused"
    """Whether those whose release it is may approve it."""
    waivable: bool = False
    """Whether an emergency release may skip it, as the environment says."""
    when: Condition | None = None
    """At which risk of the release it is asked for; None: always."""

    @property
    def called(self) -> str:
        """Return what those who may approve are called."""
        return self.group or ", ".join(self.people)


class Escalation(Frozen):
    """Who else may answer when a gate has waited for a time."""

    after_s: float
    """Seconds from the gate's opening."""
    group: str
    people: tuple[str, ...]
    """Ids of the group's members: from then on they may approve for any rule."""

    def opening(self, rules: Iterable[Rule]) -> tuple[Rule, ...]:
        """Return the rules as they are from then on."""
        return tuple(
            r.model_copy(update={"people": tuple(dict.fromkeys((*r.people, *self.people)))}) for r in rules
        )


class Ballot(NamedTuple):
    """An approval, for the question which rules it can count for."""

    user: str
    """Airflow user."""
    meets: frozenset[str]
    """Ids of the rules whose demands on comment and fields it meets, whoever gave it."""


class Lacking(Frozen):
    """What one rule lacks."""

    rule: str
    group: str
    missing: int
    """How many approvals, at least 1."""
    people: tuple[str, ...]
    """Ids of those whose approval would help now."""
    again: tuple[str, ...] = ()
    """Ids of those who have approved without what this rule asks for: they could withdraw, and say it."""
    wants: tuple[str, ...] = ()
    """What an approval must say: ``a comment``, labels of fields."""


class Panel(Frozen):
    """The rules of a gate and the people whom they call on."""

    rules: tuple[Rule, ...]
    people: tuple[Person, ...]
    """Everybody whom a rule calls on."""
    own: dict[str, str]
    """Airflow user → why the release is that person's own: ``started it``, ``wrote commits in it``."""

    @property
    def needed(self) -> int:
        """Return how many approvals the gate needs in all."""
        return sum(rule.quorum for rule in self.rules)

    def known_as(self, user: str, name: str) -> Panel:
        """Return the panel that knows a user by his name too: of a starter Airflow may tell only the name."""
        why = self.own.get(name)
        return self if why is None else self.model_copy(update={"own": {user: why, **self.own}})

    def called_by(self, user: str) -> list[Rule]:
        """Return the rules that call on a user, his own release or not."""
        ids = {p.id for p in self.people if p.airflow == user}
        return [rule for rule in self.rules if ids.intersection(rule.people)]

    def open_to(self, user: str) -> list[Rule]:
        """Return the rules that a user may approve for."""
        return [r for r in self.called_by(user) if user not in self.own or r.self_approval == "allowed"]

    def able(self, ballot: Ballot) -> frozenset[str]:
        """Return the ids of the rules that a ballot can count for."""
        return frozenset(rule.id for rule in self.open_to(ballot.user) if rule.id in ballot.meets)

    def counted(self, ballots: Iterable[Ballot]) -> dict[str, str]:
        """Return who counts for which rule, by Airflow user: as many as can be placed at once."""
        return placed(self._rooms(), {b.user: self.able(b) for b in ballots})

    def missing(self, ballots: Iterable[Ballot]) -> int:
        """Return how many approvals are missing; 0 means that all rules are met."""
        return self.needed - len(self.counted(ballots))

    def helps(self, ballot: Ballot, ballots: Sequence[Ballot]) -> bool:
        """Say whether one more ballot makes fewer approvals missing."""
        others = [b for b in ballots if b.user != ballot.user]
        return self.missing([*others, ballot]) < self.missing(others)

    def lacking(self, ballots: Sequence[Ballot]) -> tuple[Lacking, ...]:
        """Return what each rule lacks that is not met, and who can still give it."""
        able = {b.user: self.able(b) for b in ballots}
        rooms, counted = self._rooms(), placed(self._rooms(), able)
        full = {user: frozenset(r.id for r in self.open_to(user)) for user in self._users()}
        found = []
        for rule in self.rules:
            missing = rule.quorum - sum(id_ == rule.id for id_ in counted.values())
            if not missing:
                continue
            fresh = {u for u, may in full.items() if u not in able and rule.id in reached(may, counted, able)}
            again = {
                user
                for user in able
                if full.get(user, frozenset()) - able[user]
                and rule.id in reached(full[user], counted, able)
                and len(placed(rooms, {**able, user: full[user]})) > len(counted)
            }
            found.append(
                Lacking(
                    rule=rule.id,
                    group=rule.group,
                    missing=missing,
                    people=self._ids(fresh),
                    again=self._ids(again),
                    wants=wants(rule),
                )
            )
        return tuple(found)

    def impossible(self) -> tuple[Lacking, ...]:
        """Return which rules can't be met by the people there are, each with its own release taken out."""
        everybody = [Ballot(user, frozenset(r.id for r in self.rules)) for user in self._users()]
        return self.lacking(everybody)

    def _rooms(self) -> dict[str, int]:
        return {rule.id: rule.quorum for rule in self.rules}

    def _users(self) -> list[str]:
        return list(dict.fromkeys(p.airflow for p in self.people))

    def _ids(self, users: Collection[str]) -> tuple[str, ...]:
        first = {p.airflow: p.id for p in reversed(self.people)}
        return tuple(first[user] for user in self._users() if user in users)


def placed(rooms: Mapping[str, int], able: Mapping[str, Collection[str]]) -> dict[str, str]:
    """Place as many as possible: who (in the order given) → where, nobody twice and nowhere too many.

    A maximum bipartite matching by augmenting paths (Kuhn's algorithm); where several are as large, the order
    of both mappings decides, so the same votes are always counted the same way.
    """
    where: dict[str, str] = {}

    def place(who: str, tried: set[str]) -> bool:
        for room, size in rooms.items():
            if room not in able[who] or room in tried:
                continue
            tried.add(room)
            there = [other for other, at in where.items() if at == room]
            if len(there) < size or any(place(other, tried) for other in there):
                where[who] = room
                return True
        return False

    whole = sum(rooms.values())
    for who in able:
        if len(where) == whole:
            break
        place(who, set())
    return where


def reached(
    may: Collection[str], counted: Mapping[str, str], able: Mapping[str, Collection[str]]
) -> set[str]:
    """Return the rules that one more approval can be of use to, by others counting for another rule then."""
    found, waiting = set(may), list(may)
    while waiting:
        rule = waiting.pop()
        for user, at in counted.items():
            if at == rule:
                more = set(able[user]) - found
                found |= more
                waiting += more
    return found


def wants(rule: Rule) -> tuple[str, ...]:
    """Return what an approval must say for a rule, in words."""
    comment = ("a comment",) if rule.comment == "required" else ()
    return (*comment, *(f"{f.label} ({f.name})" for f in rule.fields if f.required))


def authors(assessed: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return who wrote what is released, each ``{name, email}``, by the last assessment; none without one.

    ``assessed`` is the data of the release's events ``change.assessed``, oldest first. Authors are those whom
    the pipeline sees, and those whom any environment sees: a pipeline chooses where it looks.
    """
    told = assessed[-1] if assessed else {}
    weighed, looked = (_values(told.get(name)) for name in ("environments", "looked_at_for"))
    lists = [told.get("authors"), *(_get(one, "changes", "authors") for one in weighed)]
    lists += [_get(one, "authors") for one in looked]
    found = [a for some in lists if isinstance(some, list | tuple) for a in some if isinstance(a, Mapping)]
    return list({(str(a.get("email")), str(a.get("name"))): a for a in found}.values())


def _values(of: Any) -> list[Any]:
    return list(of.values()) if isinstance(of, Mapping) else []


def _get(data: Any, *path: str) -> Any:
    for name in path:
        data = data.get(name) if isinstance(data, Mapping) else None
    return data


def own_release(
    people: Iterable[Person],
    started_by: Actor,
    wrote: Iterable[Mapping[str, Any]] = (),
    emails: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return whose own release it is, by Airflow user, and why: the starter's, whoever that is, and authors'.

    ``emails`` are the addresses of people by id; authors are known by them, whatever the case of letters.
    Whoever has no address in the People document is not recognised as an author.
    """
    addresses = {str(a.get("email") or "").casefold() for a in wrote} - {""}
    found = {started_by.id: "started it"} if started_by.kind == "person" else {}
    for person in people:
        mine = (emails or {}).get(person.id, "").casefold()
        if mine and mine in addresses:
            found.setdefault(person.airflow, "wrote commits in it")
    return found

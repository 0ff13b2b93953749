"""Who counts for which rule of a gate, against trying every possibility."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from relman_plugins.domain.approval import Ballot, Panel, Rule, authors, own_release, placed
from relman_plugins.domain.identity import Actor, Person

USERS = tuple("abcdef")
ROOMS = ("r1", "r2", "r3")

rooms = st.dictionaries(st.sampled_from(ROOMS), st.integers(1, 3), min_size=1)
able = st.dictionaries(st.sampled_from(USERS), st.frozensets(st.sampled_from(ROOMS)))


def largest(size: dict[str, int], may: dict[str, frozenset[str]]) -> int:
    """Return how many can be placed at most, by trying every placement."""
    best = 0
    for choice in itertools.product(*[[None, *sorted(may[u] & size.keys())] for u in may]):
        if all(choice.count(room) <= n for room, n in size.items()):
            best = max(best, sum(room is not None for room in choice))
    return best


@given(rooms, able)
def test_as_many_as_possible_are_placed_and_nobody_twice(
    size: dict[str, int], may: dict[str, frozenset[str]]
) -> None:
    found = placed(size, may)
    assert len(found) == largest(size, may)
    assert all(room in may[user] and room in size for user, room in found.items())
    assert all(list(found.values()).count(room) <= n for room, n in size.items())
    assert placed(size, may) == found


PEOPLE = tuple(Person(id=f"p-{u}", airflow=u) for u in USERS)


@st.composite
def panels(draw: st.DrawFn) -> Panel:
    rules = tuple(
        Rule(
            id=room,
            group=room,
            quorum=draw(st.integers(1, 2)),
            people=tuple(f"p-{u}" for u in sorted(draw(st.sets(st.sampled_from(USERS), min_size=1)))),
            self_approval=draw(st.sampled_from(["refused", "allowed"])),
        )
        for room in draw(st.lists(st.sampled_from(ROOMS), min_size=1, unique=True))
    )
    own = draw(st.dictionaries(st.sampled_from(USERS), st.just("started it"), max_size=2))
    return Panel(rules=rules, people=PEOPLE, own=own)


def whole(panel: Panel, user: str) -> Ballot:
    return Ballot(user, frozenset(r.id for r in panel.rules))


def missing(panel: Panel, users: tuple[str, ...]) -> int:
    may = {u: frozenset(r.id for r in panel.open_to(u)) for u in users}
    return panel.needed - largest({r.id: r.quorum for r in panel.rules}, may)


@given(panels(), st.permutations(USERS), st.integers(0, 5))
def test_what_is_lacking_is_what_would_help_and_nothing_else(panel: Panel, order: list[str], n: int) -> None:
    voted = tuple(order[:n])
    ballots = [whole(panel, u) for u in voted]
    lacking = panel.lacking(ballots)
    assert sum(one.missing for one in lacking) == panel.missing(ballots) == missing(panel, voted)
    named = {id_ for one in lacking for id_ in one.people}
    for user in order[n:]:
        helps = missing(panel, (*voted, user)) < missing(panel, voted)
        assert panel.helps(whole(panel, user), ballots) == helps == (f"p-{user}" in named)
    assert not named & {f"p-{u}" for u in voted}


@given(panels())
def test_it_is_impossible_exactly_when_everybody_together_is_not_enough(panel: Panel) -> None:
    assert bool(panel.impossible()) == (missing(panel, USERS) > 0)


@given(panels(), st.permutations(USERS))
def test_the_order_of_votes_decides_nothing(panel: Panel, order: list[str]) -> None:
    assert panel.missing([whole(panel, u) for u in order]) == panel.missing([whole(panel, u) for u in USERS])


def test_a_person_in_two_groups_makes_room_for_the_one_in_only_one() -> None:
    board = Rule(id="board", group="board", people=("p-a", "p-b"))
    security = Rule(id="security", group="security", people=("p-a",))
    panel = Panel(rules=(board, security), people=PEOPLE, own={})
    assert panel.counted([whole(panel, "a")]) == {"a": "board"}
    assert panel.counted([whole(panel, "a"), whole(panel, "b")]) == {"a": "security", "b": "board"}
    (lacking,) = panel.lacking([whole(panel, "a")])
    assert (lacking.rule, lacking.people) == ("security", ("p-b",))


def test_two_entries_of_one_user_are_one_person() -> None:
    twice = (Person(id="alice", airflow="a"), Person(id="alice-at-home", airflow="a"))
    panel = Panel(rules=(Rule(id="r", quorum=2, people=("alice", "alice-at-home")),), people=twice, own={})
    assert panel.missing([whole(panel, "a"), whole(panel, "a")]) == 1
    assert panel.helps(whole(panel, "a"), [whole(panel, "a")])
    assert panel.impossible()


def test_who_approved_without_what_another_rule_asks_could_say_it_again() -> None:
    board = Rule(id="board", people=("p-a", "p-b"))
    security = Rule(id="security", people=("p-a",), comment="required")
    panel = Panel(rules=(board, security), people=PEOPLE, own={})
    bare = [Ballot("a", frozenset({"board"})), whole(panel, "b")]
    (lacking,) = panel.lacking(bare)
    assert (lacking.people, lacking.again, lacking.wants) == ((), ("p-a",), ("a comment",))


def test_starter_and_authors_are_whose_own_release_it_is() -> None:
    events = [
        {"authors": [{"name": "Old", "email": "b@x"}]},
        {"authors": [{"name": "A", "email": "A@X.Example"}]},
    ]
    emails = {"p-a": "a@x.example", "p-b": "b@x"}
    starter = Actor(kind="person", id="c", name="c", via="airflow")
    own = own_release(PEOPLE, starter, authors(events), emails)
    assert own == {"c": "started it", "a": "wrote commits in it"}
    assert own_release(PEOPLE, Actor(id="schedule", via="schedule")) == {}
    assert authors([]) == []
    seen: dict[str, object] = {
        "authors": [{"email": "c@x"}],
        "environments": {"p": {"changes": {"authors": [{"email": "a@x"}]}}},
    }
    seen |= {"looked_at_for": {"q": {"authors": [{"email": "b@x"}, {"email": "c@x"}, "odd"]}, "r": None}}
    assert [a["email"] for a in authors([seen])] == ["c@x", "a@x", "b@x"]
    panel = Panel(rules=(Rule(id="r", people=("p-c", "p-b")),), people=PEOPLE, own=own)
    assert not panel.open_to("c")
    assert not panel.known_as("17", "c").open_to("17")
    assert panel.known_as("b", "Bob").open_to("b")

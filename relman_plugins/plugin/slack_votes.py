"""A press of a button becomes a vote: the same service, checks and record as every other way in.

Slack vouches for the member who pressed; the stored plan says which person that is, and Airflow, where it can
be asked, what that person may do.
"""

from __future__ import annotations

from typing import NamedTuple

from relman_plugins.domain.identity import Actor, Person
from relman_plugins.domain.status import Decision
from relman_plugins.ledger.api import GateState, Ledger, ReleaseRecord
from relman_plugins.ledger.ballots import Code
from relman_plugins.notifications.about import About, takes_buttons
from relman_plugins.notifications.buttons import asks_more, said_in
from relman_plugins.notifications.text import link, plain
from relman_plugins.plugin import access, lookup
from relman_plugins.plugin.slack_request import Context, Press
from relman_plugins.settings import base_url

REMEMBERED_S = 660.0
"""For how long a request is remembered: Slack's time stamps count five minutes to either side."""


class Reply(NamedTuple):
    """What follows from a press."""

    told: str = ""
    """For the person alone, escaped; empty: nothing is said."""
    counted: bool = False
    asks: GateState | None = None
    """The gate for which a form is to be opened."""


def reply_to(store: Ledger, press: Press) -> Reply:
    """Cast the vote, or say why not, or which form is to be opened.

    Idempotent: a request that was here before does nothing and says nothing.

    Raises:
        LedgerError: Nothing was decided.
    """
    if not store.is_first(f"slack:{press.seal}", REMEMBERED_S):
        return Reply()
    asked = press.question
    record = store.release(asked.release)
    gate = store.votes.gate(asked.release, asked.gate) if record is not None else None
    if record is None or gate is None:
        return Reply(plain(f"There is no question {asked.gate} of release {asked.release}.", 500))
    person = _person(gate, press)
    if refused := _against(record, gate, press, person):
        return _refuse(store, record, press, person, *refused)
    if press.form is None and (press.decision is Decision.REJECT or press.later or asks_more(gate)):
        return Reply(asks=gate)
    comment, answers = said_in(press.form, gate) if press.form is not None else ("", {})
    result = store.votes.cast(
        asked.release,
        asked.gate,
        airflow_user=person.airflow if person else "",
        name=_known_as(person),
        decision=press.decision,
        digest=asked.digest,
        comment=comment,
        answers=answers if press.decision is Decision.APPROVE else None,
        not_before=press.not_before,
        round_=asked.round,
        via="slack",
    )
    return Reply(plain(result.reason, 1000), counted=result.accepted)


def metadata_of(press: Press) -> str:
    """Return what the form of a press remembers."""
    return Context(question=press.question, decision=press.decision, place=press.place).model_dump_json()


def _person(gate: GateState, press: Press) -> Person | None:
    """Return the one person with this Slack id; None when there is none, or when there are several."""
    found = {p.airflow: p for p in gate.people if p.slack == press.user}
    return next(iter(found.values())) if len(found) == 1 else None


def _against(
    record: ReleaseRecord, gate: GateState, press: Press, person: Person | None
) -> tuple[Code, str] | None:
    """Return why nobody, or not this member, may answer at this gate from Slack."""
    if access.all_admins():
        return "not_authorised", access.ALL_ADMINS
    if not takes_buttons(record, gate):
        return "link_only", f"{gate.gate} is not answered in Slack: answer in Airflow"
    if person is None:
        several = sum(p.slack == press.user for p in gate.people) > 1
        who = ", ".join(p.name or p.airflow for p in gate.people[:20])
        return "unknown_slack_user", (
            f"several people of {gate.gate} have your Slack id {press.user}, so it names nobody; have it "
            "corrected in people.yaml, or answer in Airflow"
            if several
            else f"nobody who may answer {gate.gate} has your Slack id {press.user}; ask one of: {who}"
        )
    reason = lookup.withheld(person.airflow, record.dag_id) or _may_be_own(gate, press, person)
    return ("not_authorised", reason) if reason else None


def _may_be_own(gate: GateState, press: Press, person: Person) -> str | None:
    """Return why an approval may be of one's own release; None when it is known whether it is.

    Airflow tells by name who started a run, and here only an id is at hand. Where the auth manager can't say
    which name that is, a starter who is none of the gate's people by id could be any of them.
    """
    starters = set(gate.panel.own) - {p.airflow for p in gate.people}
    refused = any(rule.self_approval == "refused" for rule in gate.panel.rules)
    if press.decision is Decision.REJECT or not (starters and refused):
        return None
    if lookup.name_of(person.airflow) is not None:
        return None
    return (
        f"Airflow's users can't be asked from here whether {person.name or person.airflow} started this "
        "release, and nobody approves their own: approve in Airflow"
    )


def _known_as(person: Person | None) -> str:
    """Return the name to vote under: Airflow's, by which a starter is recognised, where it has one."""
    return "" if person is None else lookup.name_of(person.airflow) or person.name


def _refuse(
    store: Ledger, record: ReleaseRecord, press: Press, person: Person | None, code: Code, reason: str
) -> Reply:
    asked = press.question
    actor = Actor(
        kind="person",
        id=person.id if person else f"slack:{press.user}",
        name=person.name if person else "",
        via="slack",
        slack=press.user,
    )
    store.votes.refuse(
        asked.release, asked.gate, actor=actor, decision=press.decision, code=code, reason=reason
    )
    about = About(base_url=base_url(), dag_id=record.dag_id, run_id=record.run_id)
    page = about.page_url(asked.release, asked.gate)
    where = link(page, "Open the gate") if code == "link_only" else ""
    return Reply(" ".join(filter(None, [plain(reason, 1000), where])))

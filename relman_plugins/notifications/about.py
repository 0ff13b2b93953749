"""What a message knows besides its event: where to click, who can still act, who is called."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from relman_plugins.domain.event import Event, Kind
from relman_plugins.domain.identity import Person, gate_path
from relman_plugins.domain.severity import Severity, severity_of
from relman_plugins.hooks.ledger import Flags, flags_of
from relman_plugins.plan.routing import Target, mentioned

if TYPE_CHECKING:
    from relman_plugins.ledger.api import GateState, Ledger, ReleaseRecord

ASKING = (Kind.GATE_OPENED, Kind.GATE_REMINDED, Kind.GATE_WARNED)
"""The kinds of events whose messages ask people at a gate."""


class About(NamedTuple):
    """What a message is made with besides its event."""

    base_url: str = ""
    """Public address of Airflow, without a trailing slash; empty: no links."""
    dag_id: str = ""
    run_id: str = ""
    can_act: frozenset[str] | None = None
    """Ids of those who can still answer; None: everybody the event names."""
    call: tuple[Person, ...] = ()
    """Who is called by name, each once."""
    gate: GateState | None = None
    """How the gate that the event asks at stands now, in its latest round."""
    ended: bool = False
    """Whether the release is closed."""
    buttons: bool = False
    """Whether the gate can be answered with buttons."""

    @property
    def run_url(self) -> str:
        """Address of the run in Airflow, or nothing."""
        if not (self.base_url and self.dag_id and self.run_id):
            return ""
        return f"{self.base_url}/dags/{quote(self.dag_id, safe='')}/runs/{quote(self.run_id, safe='')}"

    def report_url(self, release_id: str) -> str:
        """Address of a release's report as a page, or nothing."""
        page = f"relman/api/v1/releases/{quote(release_id, safe='')}/report?format=html"
        return f"{self.base_url}/{page}" if self.base_url else ""

    def picture_url(self, release_id: str, step: str) -> str:
        """Address of the picture of a step's analysis, or nothing."""
        return f"{self.base_url}/{picture_path(release_id, step)}" if self.base_url else ""

    def page_url(self, release_id: str, step: str | None) -> str:
        """Address of relman's own page of a gate, which fits a phone, or nothing."""
        return f"{self.base_url}/{gate_path(release_id, step)}" if self.base_url and step else ""

    def gate_url(self, step: str | None) -> str:
        """Address of a gate's Required Action, or nothing."""
        run = self.run_url
        return f"{run}/tasks/{quote(step, safe='')}/required_actions" if run and step else ""


def picture_path(release_id: str, step: str) -> str:
    """Return where in relman's API the picture of a step's analysis is, without what stands before it."""
    return f"relman/api/v1/releases/{quote(release_id, safe='')}/pictures/{quote(step, safe='')}.svg"


def asker(event: Event) -> str | None:
    """Return the step whose Required Action a gate's event leads to."""
    return event.data.get("asker") or event.step


def about(
    ledger: Ledger,
    release: ReleaseRecord,
    event: Event,
    target: Target,
    base_url: str,
    *,
    buttons: bool = False,
) -> About | None:
    """Return what a message of an event needs to know now; None when nobody needs to hear of it any more.

    A reminder or a warning that was overtaken (by the decision, a hold, the end, or the next one) is not
    worth telling. The call to look at a gate that is late goes only to those who can still answer.
    ``buttons``: whether the place has a way back for them.

    Raises:
        LedgerUnavailable: The ledger does not answer.
    """
    known = About(base_url=base_url, dag_id=release.dag_id, run_id=release.run_id)
    if event.kind is Kind.FOLLOW_UP_ASKED:
        answered = ledger.events(event.release_id, kinds=[Kind.FOLLOW_UP])
        asked = event.data.get("people") or ()
        return known._replace(can_act=frozenset() if answered else frozenset(p["id"] for p in asked))
    if event.kind in ASKING:
        asks = asking(ledger, release, event, base_url, buttons=buttons)
        if event.kind is not Kind.GATE_OPENED and (not asks.can_act or _overtaken(ledger, event)):
            return None
        return asks
    return known._replace(call=_called(release, event, target))


def asking(
    ledger: Ledger, release: ReleaseRecord, event: Event, base_url: str, *, buttons: bool = False
) -> About:
    """Return what the message of a gate's question needs to know now; also long after it was told."""
    gate = ledger.votes.gate(event.release_id, event.step or "")
    flags = flags_of(ledger, event.release_id)
    can_act = _can_act(gate, flags, event)
    return About(
        base_url=base_url,
        dag_id=release.dag_id,
        run_id=release.run_id,
        can_act=can_act,
        gate=gate,
        ended=flags.closed,
        buttons=buttons and bool(can_act) and gate is not None and takes_buttons(release, gate),
    )


def takes_buttons(release: ReleaseRecord, gate: GateState) -> bool:
    """Say whether a gate can be answered with buttons, by its own form and by the stored plan.

    A checklist has more to say than yes or no, and the owner of an environment may insist on a link.
    """
    from relman_plugins.ledger.gates import place_of

    shape = release.plan.shape
    place = place_of(shape, gate.gate)
    votes = next((e.slack_votes for e in shape.environments if e.name == place), "allowed")
    return votes == "allowed" and not gate.subject.get("checklist")


def _can_act(gate: GateState | None, flags: Flags, event: Event) -> frozenset[str]:
    if gate is None or gate.state != "open" or gate.round != event.data.get("round", gate.round):
        return frozenset()
    stopped = flags.over or (flags.held_by and event.kind is not Kind.GATE_OPENED)
    if stopped and not gate.debt:
        return frozenset()
    return frozenset(p.id for p in gate.awaited)


def _overtaken(ledger: Ledger, event: Event) -> bool:
    later = ledger.events(event.release_id, kinds=[event.kind], after=event.id)
    return any(e.step == event.step for e in later)


def _called(release: ReleaseRecord, event: Event, target: Target) -> tuple[Person, ...]:
    """Return who is called: when a release ends badly, or relman can't put something right by itself."""
    grade = severity_of(event.kind, event.step, event.data)
    ended = event.kind is Kind.RELEASE_CLOSED and grade is Severity.ERROR
    if not ended and grade is not Severity.CRITICAL:
        return ()
    starter, found = release.started_by, {}
    if starter.kind == "person":
        person = Person(id=starter.id, airflow=starter.id, name=starter.name, slack=starter.slack)
        found = {person.airflow: person}
    for one in mentioned(release.plan.shape.all_routes, target):
        if one.slack or one.airflow not in found:
            found[one.airflow] = one
    return tuple(found.values())

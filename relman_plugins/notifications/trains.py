"""Tells Slack of trains: what departs when, why nothing did, and what people did about it.

A train has no release yet, so it has no thread: each is a message of its own, posted once. Before one is
posted, the journal notes the attempt; one with an earlier attempt is looked for first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import NamedTuple

from relman_plugins.errors import ClientError
from relman_plugins.ledger.api import Entry, Ledger
from relman_plugins.notifications.blocks import Block, Message, context, message, quote, section
from relman_plugins.notifications.limits import GIVE_UP_AGE
from relman_plugins.notifications.slack import EVENT_TYPE, SlackLike, SlackRefused
from relman_plugins.notifications.text import code, moment, person, plain

_log = logging.getLogger(__name__)


class Told(NamedTuple):
    """What a round did."""

    sent: int = 0
    failed: int = 0


def tell(ledger: Ledger, slack: SlackLike) -> Told:
    """Post what Slack is to be told of trains. Never raises because of Slack.

    An announcement is not told any more when its train has departed, and nothing after a week. One round at a
    time: the caller has the lease of the line, or is the only one.

    Raises:
        LedgerUnavailable: the ledger does not answer.
    """
    now, sent = ledger.now(), 0
    closed: set[str] = set()
    for entry in ledger.trains.untold(now - GIVE_UP_AGE):
        if entry.action == "announced" and entry.departs is not None and entry.departs < now:
            ledger.trains.telling(entry, done=True)
            continue
        if entry.channel in closed:
            continue
        try:
            _post(ledger, slack, entry)
        except ClientError as error:
            _log.warning("Slack was not told of the train %s: %s", entry.pipeline, error)
            if not isinstance(error, SlackRefused):
                return Told(sent, len(closed) + 1)
            closed.add(entry.channel)
        else:
            sent += 1
    return Told(sent, len(closed))


def _post(ledger: Ledger, slack: SlackLike, entry: Entry) -> None:
    key = f"relman:train:{entry.key}"
    tried = ledger.trains.telling(entry)
    if not tried or slack.find(entry.channel, None, key) is None:
        told = train_message(entry)
        metadata = {"event_type": EVENT_TYPE, "event_payload": {"key": key, "train": entry.pipeline}}
        slack.post(entry.channel, told.text, told.blocks, None, metadata)
    ledger.trains.telling(entry, done=True)


def train_message(entry: Entry) -> Message:
    """Return what is said of an entry of the journal. Pure."""
    text, *rest = _WRITERS[entry.action](entry)
    return message(str(text), [section(str(text)), *(b for b in rest if isinstance(b, dict))])


_Written = tuple[str | Block, ...]


def _announced(entry: Entry) -> _Written:
    data, when = entry.data, moment(entry.departs.isoformat() if entry.departs else "")
    what = f"with {code(entry.version)}" if entry.version else "with nothing so far"
    if data.get("settled"):
        what = f"with {code(entry.version)}, settled" if entry.version else "empty"
    text = f"🚆 {_train(entry)} departs {when} {what}"
    if data.get("stays"):
        text = f"🚆 {_train(entry)} would depart {when} and stays: {plain(data['stays'], 300)}"
    closes = data.get("closes")
    small = [plain(entry.reason, 600)]
    if closes and not data.get("settled") and datetime.fromisoformat(closes) != entry.departs:
        small.append(f"What is added until {moment(closes)} goes with it, later versions with the next")
    return (text, context(*small))


def _stayed(what: str, entry: Entry) -> _Written:
    when = f" of {moment(entry.departs.isoformat())}" if entry.departs else ""
    by = f", as {person(entry.actor)} wished" if entry.actor.kind == "person" else ""
    return (f"🚉 {_train(entry)}: {what}{when}{by}", quote(entry.reason))


def _did(mark: str, did: str, entry: Entry) -> _Written:
    when = f" {moment(entry.departs.isoformat())}" if entry.departs else ""
    version = f" {code(entry.version)}" if entry.version else ""
    return (f"{mark} {person(entry.actor)} {did}{version}{when}: {_train(entry)}", quote(entry.reason))


def _train(entry: Entry) -> str:
    return f"the train of *{plain(entry.pipeline, 80)}*"


_WRITERS: dict[str, Callable[[Entry], _Written]] = {
    "announced": _announced,
    "delayed": partial(_stayed, "waits at the departure"),
    "nothing": partial(_stayed, "nothing new for the departure"),
    "held": partial(_stayed, "held at the departure"),
    "skipped": partial(_stayed, "no departure at the time"),
    "failed": partial(_stayed, "*nothing departed* at the time"),
    "lost": partial(_stayed, "*no release was opened* at the departure"),
    "hold": partial(_did, "⏸️", "holds"),
    "resume": partial(_did, "▶️", "lets depart again"),
    "skip": partial(_did, "⏭️", "skips the departure of"),
    "add": partial(_did, "➕", "adds"),
    "remove": partial(_did, "➖", "takes off what was added"),
}

"""Delivers what the ledger's outbox holds to Slack: in order, once, and without ever getting in the way.

One parent message per release, edited in place; everything else goes into its thread. Before a message is
posted, the outbox notes the attempt; a message with an earlier attempt is looked for by the key in its
metadata, so that neither a lost answer nor a killed process makes it appear twice. What cannot be delivered
stays in the outbox, and with it everything later of the same release.
"""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

from relman_plugins.domain.base import Frozen, digest_of
from relman_plugins.domain.event import Event
from relman_plugins.errors import ClientUnavailable, LedgerError
from relman_plugins.ledger.api import Ledger, Line, Message, ReleaseRecord, Thread
from relman_plugins.notifications.about import About, about
from relman_plugins.notifications.blocks import Message as Told
from relman_plugins.notifications.limits import GIVE_UP_AFTER
from relman_plugins.notifications.release import release_message
from relman_plugins.notifications.rewriting import rewritten
from relman_plugins.notifications.slack import EVENT_TYPE, Posted, RateLimited, SlackLike, SlackRefused
from relman_plugins.notifications.thread import thread_message
from relman_plugins.plan.routing import SLACK as CHANNEL
from relman_plugins.plan.routing import Target

LEASE = "notifications.outbox"
LEASE_S = 120.0

UNSURE_S = 30.0
"""After how long a message that was being posted when its process died is looked for."""

FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 300.0
"""Pauses after failures double from the first to the longest."""

WORKSPACE_PAUSE_S = 300.0
"""How long to wait when somebody has to repair the connection or the channel."""

FAILURES_PER_DRAIN = 3
"""Calls without an answer after which a drain ends: each may have cost a time-out."""

_WORKSPACE = frozenset(
    {
        "access_denied", "account_inactive", "invalid_auth", "missing_scope", "not_allowed_token_type",
        "not_authed", "team_access_not_granted", "token_expired", "token_revoked",
    }
)  # fmt: skip
_CHANNEL = frozenset(
    {
        "channel_not_found", "is_archived", "not_in_channel", "posting_to_general_channel_denied",
        "restricted_action", "restricted_action_read_only_channel",
    }
)  # fmt: skip
_PARENT_GONE = frozenset({"message_not_found", "thread_not_found", "cannot_reply_to_message"})
_PARENT_FIXED = frozenset({"cant_update_message", "edit_window_closed"})

_log = logging.getLogger(__name__)


class DrainResult(Frozen):
    """What a drain did."""

    sent: int = 0
    """Messages that have arrived by now; those found to have arrived before are counted too."""
    failed: int = 0
    """Messages that were tried, and will be tried again."""
    given_up: int = 0
    """Messages that Slack refuses for good; they stay in the ledger with the reason."""
    pending: int = 0
    """Messages that still wait."""
    busy: bool = False
    """Somebody else is draining; nothing was done."""
    again_at: datetime | None = None
    """Not worth draining before (UTC); None when nothing stands in the way."""
    errors: tuple[str, ...] = ()
    """What went wrong, each thing once."""


def drain(
    ledger: Ledger,
    slack: SlackLike,
    now: datetime | None = None,
    limit: int = 50,
    holder: str | None = None,
    *,
    connection: str = "",
    base_url: str = "",
    buttons: bool = False,
) -> DrainResult:
    """Deliver what is due, as far as Slack lets us.

    One drain at a time and connection, by a lease in the ledger. Never raises because of Slack.

    Args:
        ledger: Where the outbox is.
        slack: Where it goes.
        now: What is due is decided by this (aware); None is the present.
        limit: How many messages at most.
        holder: Who drains, in the ledger's lease; None makes up a name.
        connection: What goes through this Airflow connection; empty for the default one.
        base_url: Public address of Airflow, for links; empty for none.
        buttons: Whether gates can be answered with buttons there.

    Raises:
        LedgerUnavailable: The ledger does not answer.
    """
    holder = holder or f"{os.uname().nodename}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
    line, lease = Line(CHANNEL, connection), lease_name(CHANNEL, connection)
    if not ledger.lease(lease, holder, LEASE_S):
        return DrainResult(busy=True, pending=ledger.outbox.pending(line))
    try:
        keep_lease = partial(ledger.lease, lease, holder, LEASE_S)
        work = _Drain(ledger, slack, now or datetime.now(UTC), keep_lease, line, base_url, buttons)
        work.run(limit)
        return work.result()
    finally:
        ledger.end_lease(lease, holder)


def lease_name(channel: str, connection: str) -> str:
    """Return the name of the lease of those who deliver there, at most 100 characters."""
    name = ".".join(filter(None, (LEASE, channel, connection)))
    return name if len(name) <= 100 else f"{LEASE}.{digest_of(name)}"


def release_told(ledger: Ledger, release_id: str) -> ReleaseRecord:
    """Return a release that the outbox speaks of; raise LedgerError when the ledger has it not."""
    release = ledger.release(release_id)
    if release is None:
        raise LedgerError(f"the outbox speaks of release {release_id!r}, which the ledger has not")
    return release


class _Stop(Exception):
    """Nothing more is to be tried in this drain."""


class _Drain:
    """One drain: its counters, and what it has learnt about channels on the way."""

    def __init__(
        self,
        ledger: Ledger,
        slack: SlackLike,
        now: datetime,
        keep_lease: Callable[[], bool],
        line: Line,
        base_url: str,
        buttons: bool,
    ) -> None:
        self.ledger, self.slack, self.now, self.keep_lease = ledger, slack, now, keep_lease
        self.line, self.base_url, self.buttons = line, base_url, buttons
        self.sent = self.failed = self.given_up = self.unanswered = 0
        self.again_at: datetime | None = None
        self.errors: dict[str, None] = {}
        self.closed: dict[str, str] = {}
        """Addresses that take nothing in this drain, and why."""

    def run(self, limit: int) -> None:
        groups: dict[tuple[str, str], list[Message]] = {}
        for row in self.ledger.outbox.due(self.now, limit, self.line):
            groups.setdefault((row.event.release_id, row.address), []).append(row)
        try:
            for (release_id, address), rows in groups.items():
                if not self.keep_lease():
                    return
                if address in self.closed:
                    self.put_off(rows[0], self.closed[address], WORKSPACE_PAUSE_S)
                else:
                    _Conversation(self, release_id, address).deliver(rows)
        except _Stop:
            return

    def result(self) -> DrainResult:
        return DrainResult(
            sent=self.sent,
            failed=self.failed,
            given_up=self.given_up,
            pending=self.ledger.outbox.pending(self.line),
            again_at=self.again_at,
            errors=tuple(self.errors),
        )

    def put_off(self, row: Message, error: str, seconds: float) -> None:
        self.note(error)
        self.failed += 1
        self.ledger.outbox.failed(row.id, error, self.now + timedelta(seconds=seconds))

    def give_up(self, row: Message, error: str) -> None:
        self.note(f"given up: {error}")
        self.given_up += 1
        self.ledger.outbox.failed(row.id, error, None)

    def stop_all(self, seconds: float) -> None:
        """Leave Slack alone for a while."""
        self.again_at = self.now + timedelta(seconds=seconds)
        self.ledger.outbox.delay(self.line, self.again_at)
        raise _Stop

    def note(self, error: str) -> None:
        if error not in self.errors:
            _log.warning("Slack was not told: %s", error)
        self.errors[error] = None


class _Conversation:
    """One release in one channel."""

    def __init__(self, drain: _Drain, release_id: str, address: str) -> None:
        self.drain, self.release_id, self.address = drain, release_id, address
        self.thread = drain.ledger.outbox.thread(release_id, address, drain.line.connection)
        self.record: ReleaseRecord | None = None
        self.parent_is_new = False

    def deliver(self, rows: list[Message]) -> None:
        """Deliver in order; the first that cannot be delivered ends it."""
        drain = self.drain
        for row in rows:
            drain.ledger.outbox.failed(row.id, "being posted", drain.now + timedelta(seconds=UNSURE_S))
            try:
                ts = self.tell(row, last=row is rows[-1])
            except RateLimited as error:
                drain.put_off(row, str(error), error.pause_s)
                drain.stop_all(error.pause_s)
            except SlackRefused as error:
                self.refused(row, error)
                if row.attempts < GIVE_UP_AFTER or error.code in _WORKSPACE | _CHANNEL:
                    return
            except ClientUnavailable as error:
                pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(row.attempts // 2, 10))
                drain.put_off(row, str(error), pause)
                drain.unanswered += 1
                if drain.unanswered >= FAILURES_PER_DRAIN:
                    raise _Stop from error
                return
            else:
                drain.ledger.outbox.sent(row.id, ts)
                drain.sent += 1

    def refused(self, row: Message, error: SlackRefused) -> None:
        drain = self.drain
        if error.code in _WORKSPACE:
            drain.put_off(row, str(error), WORKSPACE_PAUSE_S)
            drain.stop_all(WORKSPACE_PAUSE_S)
        if error.code in _CHANNEL:
            drain.closed[self.address] = str(error)
            drain.put_off(row, str(error), WORKSPACE_PAUSE_S)
        elif row.attempts >= GIVE_UP_AFTER:
            drain.give_up(row, str(error))
        else:
            drain.put_off(row, str(error), FIRST_PAUSE_S)

    def tell(self, row: Message, *, last: bool) -> str:
        """Bring one event to Slack and return the id of the message that shows it.

        The parent is brought up to date before the last message counts as sent: if that fails, the message is
        tried again, found to be there, and the parent gets its second chance.
        """
        before = row.attempts > 0
        thread = self.thread or self.open_thread(look_first=before)
        drain, place = self.drain, Target(*self.drain.line, self.address)
        known = about(drain.ledger, self.release(), row.event, place, drain.base_url, buttons=drain.buttons)
        said = thread_message(row.event, known) if known is not None else None
        ts = thread.ts
        if said is not None:
            key = row.event.key
            found = self.drain.slack.find(thread.channel_id, thread.ts, key) if before else None
            ts = (found or self.reply(said, key)).ts
        self.rewrite(row.event, place)
        if last and not self.parent_is_new:
            self.update_parent()
        return ts

    def rewrite(self, event: Event, place: Target) -> None:
        """Let the questions that the event answers say so; those that are gone or fixed stay as they are."""
        if self.thread is None:
            return
        drain = self.drain
        for ts, told in rewritten(
            drain.ledger, self.release(), event, place, drain.base_url, buttons=drain.buttons
        ):
            try:
                drain.slack.update(self.thread.channel_id, ts, told.text, told.blocks)
            except SlackRefused as error:
                if error.code not in _PARENT_GONE | _PARENT_FIXED:
                    raise

    def reply(self, said: Told, key: str) -> Posted:
        thread = self.thread or self.open_thread(look_first=False)
        try:
            return self.post(thread.channel_id, said, key, thread.ts)
        except SlackRefused as error:
            if error.code not in _PARENT_GONE:
                raise
        # Somebody deleted the parent: the release gets another one, and its thread goes on there.
        thread = self.open_thread(look_first=False)
        return self.post(thread.channel_id, said, key, thread.ts)

    def open_thread(self, *, look_first: bool) -> Thread:
        key = f"relman:parent:{self.release_id}"
        found = self.drain.slack.find(self.address, None, key) if look_first else None
        if found is None:
            found = self.post(self.address, self.parent(), key, None)
            self.parent_is_new = True
        self.drain.ledger.outbox.set_thread(
            self.release_id, self.address, found.ts, found.channel_id, self.drain.line.connection
        )
        self.thread = Thread(ts=found.ts, channel_id=found.channel_id)
        return self.thread

    def update_parent(self) -> None:
        if self.thread is None:
            return
        told = self.parent()
        try:
            self.drain.slack.update(self.thread.channel_id, self.thread.ts, told.text, told.blocks)
        except SlackRefused as error:
            if error.code in _PARENT_GONE:
                self.open_thread(look_first=False)
            elif error.code not in _PARENT_FIXED:
                raise

    def release(self) -> ReleaseRecord:
        if self.record is None:
            self.record = release_told(self.drain.ledger, self.release_id)
        return self.record

    def parent(self) -> Told:
        release, events = self.release(), self.drain.ledger.events(self.release_id)
        known = About(base_url=self.drain.base_url, dag_id=release.dag_id, run_id=release.run_id)
        return release_message(self.release_id, release.plan, events, known)

    def post(self, channel: str, told: Told, key: str, thread_ts: str | None) -> Posted:
        """Post; what Slack finds malformed is posted again as words alone, so that it is not lost."""
        metadata = {"event_type": EVENT_TYPE, "event_payload": {"key": key, "release": self.release_id}}
        try:
            return self.drain.slack.post(channel, told.text, told.blocks, thread_ts, metadata)
        except SlackRefused as error:
            if not error.code.startswith(("invalid_blocks", "msg_blocks_too_long", "msg_too_long")):
                raise
            self.drain.note(str(error))
        return self.drain.slack.post(channel, told.text, [], thread_ts, metadata)

"""Waiting for windows and calendars: the same at the gate and at the moment of each act."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from relman_plugins import settings
from relman_plugins.domain.base import digest_of
from relman_plugins.domain.event import Kind
from relman_plugins.plan.in_force import in_force
from relman_plugins.plan.model import PAST_WINDOW
from relman_plugins.steps import excepting
from relman_plugins.steps.run import StepRun
from relman_plugins.triggers.base import deferral
from relman_plugins.triggers.waits import WindowTrigger

if TYPE_CHECKING:
    from relman_plugins.calendars.gate import Look
    from relman_plugins.plan.model import Step
    from relman_plugins.steps.base import ReleaseStepOperator

_ACTS = (Kind.CHANGE_STARTED, Kind.CHANGE_FINISHED)


class Seen(NamedTuple):
    """What a step saw at a window gate."""

    look: Look
    need_s: float
    """For how many seconds the gate must stay open."""
    times: dict[str, Any]
    """What says when the gate is open: the plan, or what is on record since."""
    last: int
    """The last event that says so; 0: the plan."""
    excepted: tuple[str, ...]
    """The closings that people have let the release past."""
    told: str = ""
    """What it goes past, and by whose approval."""

    @property
    def open(self) -> bool:
        """Say whether the step goes through."""
        return self.look.answer.open

    @property
    def reasons(self) -> str:
        """Say why it does, or does not."""
        return self.told or "; ".join(self.look.answer.reasons)


def look_now(run: StepRun, gate: Step, *, begun: bool = False) -> Seen:
    """Look at a window gate of the plan for this release, by the ledger's clock.

    It is open as well when people have let the release past all that closes it, and closed when it would not
    be open for long enough, where the environment wants that. ``begun``: the stage's change has begun.

    Raises:
        CalendarError: it can't be said: then nothing goes forward.
    """
    from relman_plugins.calendars.gate import Gate
    from relman_plugins.plan.times import needed_time

    changes = run.events(Kind.CALENDAR_CHANGED)
    times, now = in_force(gate, changes), run.ledger.now()
    asked = Gate.of(times)
    need_s = needed_time(run.shape, gate, run.step, settings.minimum_deferral(), begun=begun)
    allowed = excepting.allowed(run, PAST_WINDOW)
    excepted = tuple(sorted(map(str, allowed.past))) if allowed is not None else ()
    look = asked.look(now, run.started_by, need_s, excepted)
    last = max((e.id for e in changes if e.step == gate.id), default=0)
    seen = Seen(look, need_s, times, last, excepted)
    if seen.open and not seen.look.past:
        excepting.lay_down(run, PAST_WINDOW)
    if seen.open and seen.look.past and allowed is not None:
        past = {one.id: one.says for one in seen.look.past}
        about = {"past": list(past), "reasons": list(past.values())}
        told = excepting.tell(run, allowed, Kind.WINDOW_PASSED, about["reasons"], **about)
        return seen._replace(told=told)
    return seen


def patience_of(run: StepRun, gate: Step) -> tuple[datetime, datetime]:
    """Return since when the step waits for the gate, and until when it does.

    A release that was held meanwhile has its whole patience again, since the window may have opened and
    closed while it was not to go on. So has a step whose opening came and went, or that has acted since.
    """
    now = run.ledger.now()
    acted = max((e.id for e in run.mine(*_ACTS)), default=0)
    waited = [e for e in run.mine(Kind.WINDOW_WAITED) if e.id > acted]
    resumed = [e for e in run.events(Kind.RELEASE_RESUMED) if waited and e.id > waited[0].id]
    waits = [e for e in waited if not resumed or e.id > resumed[-1].id]
    since = waits[-1].at if waits else resumed[-1].at if resumed else now
    if waits:
        opening = waits[-1].data.get("next_open")
        since = now if opening and datetime.fromisoformat(opening) <= now else _begun(waits[-1].data, since)
    return since, since + timedelta(seconds=gate.args["timeout_s"])


def _begun(data: dict[str, object], at: datetime) -> datetime:
    since = data.get("since")
    return datetime.fromisoformat(since) if isinstance(since, str) else at


def wait(step: ReleaseStepOperator, run: StepRun, gate: Step, seen: Seen) -> NoReturn:
    """Record what is waited for, and defer to the opening; the step then begins anew, with all its checks.

    Where only what leaves room for exceptions is in the way, people are asked for one.
    """
    from relman_plugins.calendars.weekly import stamp

    said, ask = seen.look.answer, {one.id: one.says for one in seen.look.asks}
    since, until = patience_of(run, gate)
    asks = excepting.ask(run, PAST_WINDOW, list(ask), list(ask.values())) if ask else ""
    data = {
        "message": f"waiting for the release window: {seen.reasons}",
        "reasons": list(said.reasons),
        "since": since.isoformat(),
        "next_open": said.next_open.isoformat() if said.next_open else None,
        "gives_up_at": until.isoformat(),
        **({"gate": asks} if asks else {}),
    }
    told = run.mine(Kind.WINDOW_WAITED)
    if not told or told[-1].data != data:
        # Numbered: a calendar that is edited and edited back is waited for twice.
        run.record(Kind.WINDOW_WAITED, f"waited:{len(told)}:{digest_of(data)[7:23]}", data)
    opens = stamp(said.next_open) if said.next_open else "never, as far as can be told"
    step.log.info("closed: %s; next opening: %s", seen.reasons, opens)
    step.defer(
        trigger=WindowTrigger(
            release_id=run.release_id,
            gate=seen.times,
            step=gate.id,
            changed=seen.last,
            started_by=run.started_by,
            expires_at=until.isoformat(),
            since=since.isoformat(),
            asks=asks,
            asked=list(ask),
            excepted=list(seen.excepted),
            need_s=seen.need_s,
            opens_at=said.next_open.isoformat() if said.next_open else "",
            spread_s=settings.window_spread(),
            **deferral(settings.minimum_deferral()),
        ),
        method_name="resume",
    )
    raise AssertionError("defer raises")

"""Waiting for windows and calendars: the same at the gate and at the moment of each act."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NoReturn

from relman_plugins import settings
from relman_plugins.domain.event import Kind
from relman_plugins.plan.model import PAST_WINDOW
from relman_plugins.steps import excepting
from relman_plugins.steps.run import StepRun
from relman_plugins.triggers.base import deferral
from relman_plugins.triggers.waits import WindowTrigger, gate_args

if TYPE_CHECKING:
    from relman_plugins.calendars.weekly import Answer
    from relman_plugins.plan.model import Step
    from relman_plugins.steps.base import ReleaseStepOperator

_ACTS = (Kind.CHANGE_STARTED, Kind.CHANGE_FINISHED)


def answer_now(run: StepRun, gate: Step) -> Answer:
    """Say whether a window gate of the plan is open for this release, by the ledger's clock.

    It is open as well when people have let the release past all that closes it, and closed when it would not
    be open for long enough, where the environment wants that.

    Raises:
        CalendarError: it can't be said: then nothing goes forward.
    """
    from relman_plugins.calendars.gate import Gate

    asked, now = Gate.of(gate.args), run.ledger.now()
    said = asked.answer(now, run.started_by)
    if said.open and asked.leaves_room:
        excepting.lay_down(run, PAST_WINDOW)
    past = asked.exceptions(said, now, run.started_by)
    if past and (told := excepting.let_past(run, past, Kind.WINDOW_PASSED, past, reasons=list(past))):
        return said.model_copy(update={"open": True, "reasons": (told,), "next_open": None})
    return asked.fitting(now, run.started_by, needed_s(run, gate))


def needed_s(run: StepRun, gate: Step) -> float:
    """Return for how many seconds a gate must stay open from now on, by the plan's own times; 0: any."""
    from relman_plugins.plan.times import needed_time

    return needed_time(run.shape, gate, run.step, settings.minimum_deferral())


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


def wait(step: ReleaseStepOperator, run: StepRun, gate: Step, said: Answer) -> NoReturn:
    """Record what is waited for, and defer to the opening; the step then begins anew, with all its checks."""
    from relman_plugins.calendars.weekly import stamp

    since, until = patience_of(run, gate)
    reasons = "; ".join(said.reasons)
    data = {
        "message": f"waiting for the release window: {reasons}",
        "reasons": list(said.reasons),
        "since": since.isoformat(),
        "next_open": said.next_open.isoformat() if said.next_open else None,
        "gives_up_at": until.isoformat(),
    }
    asks, firm = _ask(run, gate)
    run.record(Kind.WINDOW_WAITED, f"waited:{since.isoformat()}", data | ({"gate": asks} if asks else {}))
    opens = stamp(said.next_open) if said.next_open else "never, as far as can be told"
    step.log.info("closed: %s; next opening: %s", reasons, opens)
    step.defer(
        trigger=WindowTrigger(
            release_id=run.release_id,
            gate=gate_args(gate.args),
            started_by=run.started_by,
            expires_at=until.isoformat(),
            since=since.isoformat(),
            asks=asks,
            firm=firm,
            need_s=needed_s(run, gate),
            opens_at=said.next_open.isoformat() if said.next_open else "",
            spread_s=settings.window_spread(),
            **deferral(settings.minimum_deferral()),
        ),
        method_name="resume",
    )
    raise AssertionError("defer raises")


def _ask(run: StepRun, gate: Step) -> tuple[str, bool]:
    """Return the gate at which people are asked to let the release past what is closed; empty for none.

    And whether something else keeps it closed, too, so that nobody is asked.
    """
    from relman_plugins.calendars.gate import Gate

    asked, now = Gate.of(gate.args), run.ledger.now()
    said = asked.answer(now, run.started_by)
    past = asked.exceptions(said, now, run.started_by)
    if past:
        return excepting.ask(run, PAST_WINDOW, past, past), False
    return "", asked.leaves_room and not said.open

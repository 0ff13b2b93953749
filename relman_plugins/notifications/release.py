"""The message that stands for a release in the channel: edited in place, the details are in its thread."""

from __future__ import annotations

from collections.abc import Iterable

from relman_plugins.domain.event import Event, Kind
from relman_plugins.ledger.rollbacks import asked_of
from relman_plugins.notifications.about import About
from relman_plugins.notifications.blocks import (
    MAX_BLOCKS,
    Message,
    context,
    header,
    message,
    section,
    sections,
)
from relman_plugins.notifications.progress import Mark, stages
from relman_plugins.notifications.rollbacks import standing
from relman_plugins.notifications.text import code, digest, link, moment, one_line, person, plain
from relman_plugins.notifications.thread import OUTCOME_MARKS
from relman_plugins.plan.model import ReleasePlan

_NOTHING = About()


def release_message(
    release_id: str, plan: ReleasePlan, events: Iterable[Event], about: About = _NOTHING
) -> Message:
    """Return the parent message: what is released, how it stands, and a list of stages with marks.

    ``events`` are all of the release's, oldest first. The result depends on nothing else, so that two writers
    make the same message.
    """
    seen = list(events)
    pipeline, options = plan.shape.pipeline, plan.options
    mark, standing = _standing(plan, seen)
    lines = [
        f"{s.mark} *{plain(s.name, 80)}*{' – ' + s.detail if s.detail else ''}" for s in stages(plan, seen)
    ]
    waiting = next((g for s in stages(plan, seen) if s.mark is Mark.WAITING and (g := s.waiting)), None)
    expected = _expected(seen) if mark in (Mark.WAITING, Mark.RUNNING) else ""
    todo = link(about.gate_url(waiting), "Answer in Airflow") if waiting else ""
    if any(e.kind is Kind.RELEASE_CLOSED for e in seen):
        todo = link(about.report_url(release_id), "Read the report")
    small = [link(about.run_url, "Open the run"), code(release_id), f"plan {digest(plan.hash)}"]
    small += [f"opened by {person(e.actor)}" for e in seen if e.kind is Kind.RELEASE_OPENED][:1]
    small += [f"since {moment(seen[0].at)}"] if seen else []
    flags = [word for word, on in (("emergency", options.emergency), ("dry run", options.dry_run)) if on]
    if flags:
        standing += f" – *{' and '.join(flags)}*"
    return message(
        f"{mark} {plain(pipeline, 80)} {code(options.version)}: {standing}",
        [
            header(f"{mark} {one_line(pipeline, 60)} {one_line(options.version, 70)}"),
            section(standing, expected, todo),
            *sections(lines, MAX_BLOCKS - 3),
            context(*filter(None, small)),
        ],
    )


def _expected(events: list[Event]) -> str:
    """Say when the release will be done, as was foreseen last; nothing when nobody could tell."""
    last = next((e.data for e in reversed(events) if e.kind is Kind.RELEASE_FORECAST), {})
    if not (last.get("p50") and last.get("p90")):
        return ""
    waits = f"; the longest wait is {code(last['waits_for'])}" if last.get("waits_for") else ""
    return f"🔭 done about {moment(last['p50'])}, with 90 % by {moment(last['p90'])}{waits}"


def _standing(plan: ReleasePlan, events: list[Event]) -> tuple[str, str]:
    for event in reversed(events):
        if event.kind is Kind.RELEASE_CLOSED:
            outcome = str(event.data.get("outcome", "closed"))
            reason = f": {plain(event.data['reason'], 300)}" if event.data.get("reason") else ""
            since = {asked.environment: asked for asked in asked_of(events)}
            back = any(asked.state == "finished" for asked in since.values())
            told = "".join(f"; {standing(asked)}" for asked in since.values())
            mark = "↩️" if back else OUTCOME_MARKS.get(outcome, "•")
            return mark, f"*{plain(outcome.replace('_', ' '))}*{told}{reason}"
    for event in reversed(events):
        if event.kind is Kind.ABORT_REQUESTED:
            return "🛑", f"abort asked for by {person(event.actor)}"
        if event.kind is Kind.RELEASE_HELD:
            return "⏸️", f"held by {person(event.actor)}"
        if event.kind is Kind.RELEASE_RESUMED:
            break
    waiting = [s for s in stages(plan, events) if s.mark is Mark.WAITING]
    if waiting:
        return Mark.WAITING.value, f"{plain(waiting[0].name)} {waiting[0].detail}, {waiting[0].times}"
    return Mark.RUNNING.value, "on its way"

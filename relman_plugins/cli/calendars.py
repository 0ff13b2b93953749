"""What ``relman calendar`` reads from the specs, and what there is to show of a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import typer

from relman_plugins.calendars.answer import closed_times
from relman_plugins.calendars.gate import Gate
from relman_plugins.calendars.series import Span
from relman_plugins.calendars.work import Work
from relman_plugins.cli.exits import Exit, Stop


class Shown(NamedTuple):
    """One time of one window."""

    span: Span
    calendar: str
    name: str
    effect: str


class Planned(NamedTuple):
    """A release that starts by itself."""

    at: datetime
    pipeline: str


@dataclass(frozen=True)
class View:
    """What happens between two moments: windows, freezes, planned releases; and when it is closed."""

    since: datetime
    until: datetime
    closed: list[Span]
    windows: list[Shown]
    releases: list[Planned]

    def as_json(self, iso: Callable[[datetime], Any]) -> dict[str, Any]:
        """Return the view for programs."""
        return {
            "closed": [{"start": iso(s.start), "end": iso(s.end)} for s in self.closed],
            "windows": [
                {
                    "calendar": w.calendar,
                    "name": w.name,
                    "effect": w.effect,
                    "start": iso(w.span.start),
                    "end": iso(w.span.end),
                    "summary": w.span.summary,
                }
                for w in self.windows
            ],
            "releases": [{"pipeline": r.pipeline, "at": iso(r.at)} for r in self.releases],
        }

    def as_ics(self, environment: str) -> str:
        """Return the view as an iCalendar file for other calendars; the same for the same view."""
        from icalendar import Calendar, Event

        calendar = Calendar()
        calendar.add("prodid", "-//relman//calendar//EN")
        calendar.add("version", "2.0")
        calendar.add("x-wr-calname", f"Releases to {environment}")
        words = {"allow": "Window", "deny": "Freeze"}
        events = [(w.span.start, w.span.end, f"{words[w.effect]}: {w.name}", w.effect) for w in self.windows]
        events += [(r.at, r.at, f"Release: {r.pipeline}", "release") for r in self.releases]
        for start, end, summary, kind in sorted(events):
            event = Event()
            event.add("uid", f"{start:%Y%m%dT%H%M%SZ}-{kind}-{_slug(summary)}@{environment}.relman")
            event.add("dtstamp", start)
            event.add("dtstart", start)
            event.add("dtend", end)
            event.add("summary", summary)
            event.add("transp", "OPAQUE" if kind == "deny" else "TRANSPARENT")
            calendar.add_component(event)
        return str(calendar.to_ical().decode())


def _slug(text: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in text.lower())


def gate_of(folder: Path, environment: str, pipeline: str) -> Gate:
    """Return what the specs in ``folder`` say of an environment; with the stage's calendars of a pipeline.

    Raises:
        Stop: there is no such file, or something in it is wrong, which is printed.
    """
    from relman_plugins.plan.calendars import actions, applying

    _exists(folder / "environments" / f"{environment}.yaml", environment)
    if pipeline:
        documents = _documents(folder, pipeline)
        stages = [s for s in documents.pipeline.stages if s.environment == environment]
        if not stages:
            raise Stop(Exit.USAGE, f"pipeline {pipeline} has no stage in {environment}")
        env, known, events = documents.environments[environment], documents.calendars, documents.events
        names = [*env.calendars, *(name for stage in stages for name in stage.calendars)]
        labels, does = documents.pipeline.metadata.labels, actions(documents, environment)
    else:
        from relman_plugins.spec.loader import load_environment

        place = load_environment(folder, environment)
        if place.environment is None:
            _print(place)
            raise Stop(Exit.FINDINGS)
        env, known, events = place.environment, place.calendars, place.events
        names, labels, does = list(env.calendars), {}, ("deploy",)
    calendars = applying(
        (known[name] for name in dict.fromkeys(names)),
        events,
        environment=environment,
        pipeline=pipeline,
        labels=labels,
    )
    windows = [w.model_dump(by_alias=True) for w in env.windows]
    return Gate.model_validate({"windows": windows, "calendars": calendars, "actions": does})


def view(gate: Gate, releases: list[Planned], since: datetime, until: datetime) -> View:
    """Return what there is to show of a time.

    Raises:
        CalendarError: a window repeats too often for so long a time.
    """
    work, calendars = Work(), gate.all_calendars()
    windows = [
        Shown(span, calendar.name, str(window), window.effect)
        for calendar in calendars
        for window in calendar.windows
        for span in window.spans(since, until, work)
    ]
    closed = closed_times(calendars, since, until, Work())
    return View(since, until, closed, sorted(windows), releases)


def planned(folder: Path, environment: str, pipeline: str, since: datetime, until: datetime) -> list[Planned]:
    """Return the releases that start by themselves: of one pipeline, or of all that are right."""
    from relman_plugins.plan.compile import compile_shape
    from relman_plugins.plan.train import Train
    from relman_plugins.spec.api import load_pipeline, pipeline_files

    found = []
    for file in [folder / f"{pipeline}.yaml"] if pipeline else pipeline_files(folder):
        documents = load_pipeline(file).documents
        if documents is None or environment not in documents.environments:
            continue
        if (schedule := compile_shape(documents).schedule) is not None:
            starts = Train.of(schedule).departs.within(since, until)
            found += [Planned(start, documents.pipeline.metadata.name) for start in starts]
    return sorted(found)


def _documents(folder: Path, pipeline: str) -> Any:
    from relman_plugins.spec.api import load_pipeline

    file = folder / f"{pipeline}.yaml"
    _exists(file, pipeline)
    loaded = load_pipeline(file)
    if loaded.documents is None:
        _print(loaded)
        raise Stop(Exit.FINDINGS)
    return loaded.documents


def _exists(file: Path, name: str) -> None:
    from relman_plugins.spec.bundle import is_name

    if not is_name(name) or not file.is_file():
        raise Stop(Exit.USAGE, f"{file}: no such file; --folder says where the specs are")


def _print(loaded: Any) -> None:
    from relman_plugins.cli.screen import shown
    from relman_plugins.spec import render

    typer.echo(shown(render.render_text(loaded.diagnostics, loaded.sources)), err=True)

"""Schedules: their times are said once and can be followed, and so is where the version comes from."""

from __future__ import annotations

from collections.abc import Iterator

from relman_plugins.domain.repository import is_address
from relman_plugins.errors import CalendarError
from relman_plugins.spec.bundle import Bundle, entries, text_at
from relman_plugins.spec.diagnostic import Diagnostic
from relman_plugins.spec.position import Node
from relman_plugins.spec.rules.calendars import is_zone
from relman_plugins.spec.trail import finding
from relman_plugins.spec.words import listed, quoted, suggestion

PLACE = ("schedule",)
SOURCE = ("schedule", "version")
SOURCES = ("file", "git", "directory", "registry", "index")


def _schedule(bundle: Bundle) -> Node | None:
    node = bundle.pipeline.root.child(*PLACE)
    return node if node is not None and isinstance(node.value, dict) else None


def ways(bundle: Bundle) -> Iterator[Diagnostic]:
    """A schedule says its times in one way, with the zone that it needs."""
    schedule = _schedule(bundle)
    if schedule is None:
        return
    given = schedule.value
    found = [way for way in ("days", "cron", "opening", "assets") if way in given]
    hint = "days: with at:, or cron:, or opening:, or assets:"
    if len(found) != 1:
        said = f"in {len(found)} ways ({listed(found)})" if found else "in none"
        message = f"a schedule must say its times in one way, and says them {said}"
    elif ("days" in given) is not ("at" in given):
        lacking, there = ("at", "days") if "days" in given else ("days", found[0])
        message = f"{quoted(there)} in a schedule goes with {quoted('at')}, {quoted(lacking)} is missing"
        if there != "days":
            message = f"{quoted('at')} is for {quoted('days')}; {quoted(there)} says the time by itself"
    elif "assets" in given and (early := [key for key in ("cutoff", "announce") if key in given]):
        message = (
            f"{listed(early)} needs a time that is known ahead; a schedule by {quoted('assets')} has none"
        )
        hint = f"remove {early[0]}:"
    elif "zone" not in given and not {"opening", "assets"} & set(given):
        message, hint = "a schedule needs a time zone", "add zone:, such as Europe/Berlin"
    else:
        return
    yield finding(bundle.pipeline, PLACE, "RM901", message, key=True, hint=hint)


def followed(bundle: Bundle) -> Iterator[Diagnostic]:
    """A cron expression is one, and happens."""
    schedule = _schedule(bundle)
    expression, zone = text_at(schedule, "cron"), text_at(schedule, "zone")
    if expression is None or zone is None or not is_zone(zone):
        return
    from relman_plugins.calendars.cron import Cron
    from relman_plugins.calendars.work import Work

    try:
        Cron(expression=expression, zone=zone, seconds=1).check(Work())
    except CalendarError as error:
        yield finding(bundle.pipeline, (*PLACE, "cron"), "RM408", str(error))


def opening(bundle: Bundle) -> Iterator[Diagnostic]:
    """What opens is an environment of this pipeline, and is not open for ever."""
    name = text_at(_schedule(bundle), "opening")
    if name is None:
        return
    stages = [(path, stage) for path, stage in bundle.stages() if text_at(stage, "environment") == name]
    names = [text for _, stage in bundle.stages() if (text := text_at(stage, "environment"))]
    document = bundle.environments.get(name)
    if not stages:
        message = f"{quoted(name)} is no environment of this pipeline; those are: {listed(names)}"
        hint = suggestion(name, names) or "name the environment of one of its stages"
    elif document is not None and not any(
        list(entries(at, *path))
        for at, path in (
            (document, ("windows",)),
            (document, ("calendars",)),
            *((bundle.pipeline, (*path, "calendars")) for path, _ in stages),
        )
    ):
        message = f"{quoted(name)} has neither windows nor calendars: it is always open"
        hint = "give the environment windows:, or say days: and at:"
    else:
        return
    yield finding(bundle.pipeline, (*PLACE, "opening"), "RM902", message, hint=hint)


def source(bundle: Bundle) -> Iterator[Diagnostic]:
    """A version is looked for in one place, and what is said of it means something there."""
    node = bundle.pipeline.root.child(*SOURCE)
    if node is None or not isinstance(node.value, dict):
        return
    found = [way for way in SOURCES if way in node.value]
    if len(found) != 1:
        said = f"in {len(found)} places ({listed(found)})" if found else "nowhere"
        message = f"a schedule must look for the version in one place, and does {said}"
        hint = f"one of {listed(SOURCES)}; without version: only what people add departs"
        yield finding(bundle.pipeline, SOURCE, "RM903", message, key=True, hint=hint)
        return
    unused = ("prefix", "range", "prereleases") if found == ["file"] else ()
    address = is_address(text_at(node, found[0]) or "")
    for key in (*unused, *(() if address else ("connection",))):
        if key in node.value:
            message = f"{quoted(key)} means nothing here: the version comes from {quoted(found[0])}"
            if key == "connection" and found == ["git"]:
                message = "the repository is a directory on the worker: no connection is used for it"
            yield finding(
                bundle.pipeline, (*SOURCE, key), "RM207", message, key=True, hint="remove it",
                severity="warning",
            )  # fmt: skip


def ranges(bundle: Bundle) -> Iterator[Diagnostic]:
    """A range of versions is one."""
    text = text_at(bundle.pipeline.root, *SOURCE, "range")
    if text is None:
        return
    from relman_plugins.domain.versions import range_of

    try:
        range_of(text)
    except ValueError as error:
        hint = "such as >=1.4,<2 or ~=1.4"
        yield finding(bundle.pipeline, (*SOURCE, "range"), "RM904", str(error), hint=hint)


RULES = (ways, followed, opening, source, ranges)

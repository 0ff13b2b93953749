"""Calendars that environments and stages name: they exist, and what they say can be followed."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import ValidationError

from relman_plugins.errors import CalendarError
from relman_plugins.spec.bundle import Bundle, Path_, entries, text_at
from relman_plugins.spec.diagnostic import Diagnostic
from relman_plugins.spec.position import Document, Node
from relman_plugins.spec.rules.calendars import is_zone
from relman_plugins.spec.trail import finding, holder
from relman_plugins.spec.words import listed, quoted, suggestion

WAYS = ("weekly", "rule", "cron", "once", "ics", "holidays")
NEVER_HELD_UP = ("rollback", "abort", "teardown")


def existing(bundle: Bundle) -> Iterator[Diagnostic]:
    """Calendars that are named exist; one is named once."""
    for document, place, names in bundle.calendar_lists():
        seen: set[str] = set()
        for path, node in names:
            name = node.value
            if name in seen:
                message = f"calendar {quoted(name)} is named twice in {holder(document, place)}"
                yield finding(document, path, "RM409", message, severity="warning", hint="remove one of them")
            seen.add(name)
            if name in bundle.calendars or f"calendars/{name}" in bundle.unreadable:
                continue
            known = sorted(p.stem for p in (bundle.folder / "calendars").glob("*.yaml"))
            message = f"unknown calendar {quoted(name)}; those that exist are {listed(known, 'none')}"
            hint = suggestion(name, known) or f"describe it in calendars/{name}.yaml"
            yield finding(document, path, "RM212", message, hint=hint)


def _windows(bundle: Bundle) -> Iterator[tuple[Document, Path_, Node]]:
    for document in bundle.calendars.values():
        for path, window in entries(document, "windows"):
            if isinstance(window.value, dict):
                yield document, path, window


def ways(bundle: Bundle) -> Iterator[Diagnostic]:
    """A window says its times in one way."""
    for document, path, window in _windows(bundle):
        found = [way for way in WAYS if way in window.value]
        if len(found) != 1:
            said = f"in {len(found)} ways ({listed(found)})" if found else "in none"
            message = f"{holder(document, path)} must say its times in one way, and says them {said}"
            yield finding(document, path, "RM406", message, hint=f"one of {listed(WAYS)}")


def actions(bundle: Bundle) -> Iterator[Diagnostic]:
    """A window is about actions that can be held up."""
    from relman_plugins.spec.models.calendar import ACTIONS

    for document, path, _ in _windows(bundle):
        for place, node in entries(document, *path, "actions"):
            action = node.value
            if action in NEVER_HELD_UP:
                message = f"{quoted(action)} can't be held up by a calendar: the way back is always open"
                yield finding(
                    document, place, "RM407", message, hint="remove it; relman never asks a calendar"
                )
            elif isinstance(action, str) and action not in ACTIONS:
                message = (
                    f"{quoted(action)} is nothing that calendars hold up; expected one of {listed(ACTIONS)}"
                )
                yield finding(document, place, "RM407", message, hint=suggestion(action, ACTIONS))


def exceptions(bundle: Bundle) -> Iterator[Diagnostic]:
    """Only what denies leaves room for exceptions."""
    for document, path, window in _windows(bundle):
        if "unless" in window.value and text_at(window, "effect") == "allow":
            message = f"{holder(document, path)} allows, so there is nothing that a release could go past"
            hint = "remove unless:, or write it at a window that denies"
            yield finding(document, (*path, "unless"), "RM410", message, key=True, hint=hint)


def followed(bundle: Bundle) -> Iterator[Diagnostic]:
    """What a window says can be followed, within bounded work."""
    if not bundle.calendars:
        return
    from relman_plugins.calendars.work import MOST_STEPS, Work
    from relman_plugins.spec.models.calendar import ACTIONS, CalendarWindow
    from relman_plugins.spec.times import times

    left = MOST_STEPS  # all windows together have the time of one answer
    for document, path, node in _windows(bundle):
        zone = text_at(document.root, "zone")
        own = text_at(node, "zone") or zone
        found = [way for way in WAYS if way in node.value]
        if zone is None or own is None or not is_zone(zone) or not is_zone(own) or len(found) != 1:
            continue  # said by other rules
        try:
            window = CalendarWindow.model_validate(node.value)
        except ValidationError:
            continue
        if window.ics and f"calendars/{window.ics.file}" not in bundle.events:
            continue
        if window.weekly and window.weekly.from_ == window.weekly.to:
            continue
        work = Work(min(left, MOST_STEPS // 4))
        try:
            held_up = tuple(action for action in window.actions if action in ACTIONS)
            times(window.model_copy(update={"actions": held_up}), zone, bundle.events, work)
        except CalendarError as error:
            message = f"{holder(document, path)}: {error}"
            yield finding(document, (*path, found[0]), "RM408", message)
        left -= work.most - work.left
        if left <= 0:
            return


RULES = (existing, ways, actions, exceptions, followed)

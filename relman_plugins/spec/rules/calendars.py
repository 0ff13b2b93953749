"""Calendars: time zones that exist, windows that open."""

from __future__ import annotations

from collections.abc import Iterator
from zoneinfo import ZoneInfo, available_timezones

from relman_plugins.spec.bundle import Bundle, Path_, entries, text_at
from relman_plugins.spec.diagnostic import Diagnostic
from relman_plugins.spec.models.duration import Duration
from relman_plugins.spec.position import Document, Node
from relman_plugins.spec.trail import finding, holder
from relman_plugins.spec.words import quoted, suggestion

WEEK = 7 * 24 * 60
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def zones(bundle: Bundle) -> Iterator[Diagnostic]:
    """Time zones are IANA names."""
    places: list[tuple[Document, Path_]] = [(bundle.pipeline, ("schedule", "zone"))]
    places += [(d, (*p, "zone")) for d in bundle.environments.values() for p, _ in entries(d, "windows")]
    for calendar in bundle.calendars.values():
        places += [
            (calendar, ("zone",)),
            *((calendar, (*p, "zone")) for p, _ in entries(calendar, "windows")),
        ]
    for document, path in places:
        zone = text_at(document.root, *path)
        if zone and not is_zone(zone):
            message = f"unknown time zone {quoted(zone)} in {holder(document, path[:-1])}"
            yield finding(document, path, "RM401", message, hint=_nearest(zone))


def _weekly(bundle: Bundle) -> Iterator[tuple[Document, Path_]]:
    """Yield where weekly times stand: in environments and in calendars."""
    for document in bundle.environments.values():
        yield from ((document, path) for path, _ in entries(document, "windows"))
    for document in bundle.calendars.values():
        yield from ((document, (*path, "weekly")) for path, _ in entries(document, "windows"))


def is_zone(zone: str) -> bool:
    """Say whether there is an IANA time zone of that name."""
    if zone == "localtime":
        return False
    try:
        ZoneInfo(zone)
    except (ValueError, OSError, KeyError):
        return False
    return True


def _nearest(zone: str) -> str:
    known = available_timezones()
    cities = {name.rsplit("/", 1)[-1].casefold(): name for name in sorted(known) if "/" in name}
    city = cities.get(zone.strip().replace(" ", "_").casefold())
    return (
        f"did you mean {quoted(city)}?" if city else suggestion(zone, known) or "such as Europe/Berlin or UTC"
    )


def empty(bundle: Bundle) -> Iterator[Diagnostic]:
    """A window is open for some time."""
    for document, path in _weekly(bundle):
        start, end = text_at(document.root, *path, "from"), text_at(document.root, *path, "to")
        if start is not None and start == end:
            message = f"{holder(document, path)} opens and closes at {quoted(start)}: it is never open"
            hint = 'a whole day is from: "00:00", to: "24:00"'
            yield finding(document, (*path, "to"), "RM402", message, hint=hint)


def repeated(bundle: Bundle) -> Iterator[Diagnostic]:
    """A day is named once."""
    holders: list[tuple[Document, Path_]] = [(bundle.pipeline, ("schedule",))]
    for document, path in (*holders, *_weekly(bundle)):
        seen: set[str] = set()
        for place, day in entries(document, *path, "days"):
            if isinstance(day.value, str) and day.value in seen:
                message = f"{quoted(day.value)} is named twice in {holder(document, path)}"
                yield finding(
                    document, place, "RM403", message, severity="warning", hint="remove one of them"
                )
            elif isinstance(day.value, str):
                seen.add(day.value)


def patience(bundle: Bundle) -> Iterator[Diagnostic]:
    """A release waits for a window for longer than the environment is ever closed."""
    for document in bundle.environments.values():
        text = text_at(document.root, "window_timeout")
        windows = [window for _, window in entries(document, "windows")]
        if text is None:
            continue
        if not windows and "calendars" in document.root.children:
            continue
        if not windows:
            message = "the environment has no windows to wait for"
            hint = "add windows: or calendars:, or remove window_timeout:"
            yield finding(
                document, ("window_timeout",), "RM404", message, key=True, hint=hint, severity="warning"
            )
            continue
        closed = _longest_closed(windows)
        try:
            patience_s = Duration.parse(text).seconds
        except ValueError:
            continue
        if closed is not None and patience_s < closed * 60:
            longest = Duration(closed * 60)
            message = f"a release gives up after {text}, but the environment closes for up to {longest}"
            hint = "make window_timeout: longer"
            yield finding(document, ("window_timeout",), "RM405", message, hint=hint, severity="warning")


def _longest_closed(windows: list[Node]) -> int | None:
    """Return the longest closed stretch of a week in minutes; None if zones differ or something is wrong."""
    if len({text_at(w, "zone") for w in windows}) != 1:
        return None
    stretches: list[tuple[int, int]] = []
    for window in windows:
        start, end = _minute(text_at(window, "from")), _minute(text_at(window, "to"))
        days = window.value.get("days")
        if start is None or end is None or start == end or not isinstance(days, list):
            return None
        if any(day not in _DAYS for day in days):
            return None
        length = end - start if end > start else end - start + 24 * 60
        stretches += [(d, d + length) for d in (_DAYS.index(day) * 24 * 60 + start for day in days)]
    if not stretches:
        return None
    stretches.sort()
    first, open_until, longest = stretches[0][0], stretches[0][1], 0
    for start, end in [*stretches[1:], (first + WEEK, first + WEEK)]:
        longest = max(longest, start - open_until)
        open_until = max(open_until, end)
    return longest


def _minute(text: str | None) -> int | None:
    hours, colon, minutes = (text or "").partition(":")
    if not colon or not hours.isdecimal() or not minutes.isdecimal() or len(hours) > 2 or len(minutes) > 2:
        return None
    return int(hours) * 60 + int(minutes)


RULES = (zones, empty, repeated, patience)
